package main

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"stateless-servers/app/session"
)

// metrics are what the admin server's /metrics shows.
type metrics struct {
	registry   *prometheus.Registry
	operations *prometheus.HistogramVec
	bytes      *prometheus.CounterVec
	requests   *prometheus.CounterVec
	inFlight   prometheus.Gauge
}

var _ session.Observer = (*metrics)(nil)

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		operations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "session_store_operation_seconds", Help: "Time of session store operations, by outcome.",
			Buckets: prometheus.ExponentialBuckets(0.00025, 2, 13), // 250 µs to 1 s
		}, []string{"store", "operation", "outcome"}),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "session_store_bytes_total", Help: "Bytes of session state sent or returned by session store operations.",
		}, []string{"store", "operation"}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "http_requests_total", Help: "Requests answered, by status code and method.",
		}, []string{"code", "method"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "http_requests_in_flight", Help: "Requests being answered.",
		}),
	}
	m.registry.MustRegister(m.operations, m.bytes, m.requests, m.inFlight,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// ObserveOperation counts one store operation.
func (m *metrics) ObserveOperation(o session.Operation) {
	m.operations.WithLabelValues(o.Store, o.Name, o.Outcome).Observe(o.Duration.Seconds())
	m.bytes.WithLabelValues(o.Store, o.Name).Add(float64(o.Bytes))
}

func (m *metrics) instrument(next http.Handler) http.Handler {
	return promhttp.InstrumentHandlerInFlight(m.inFlight, promhttp.InstrumentHandlerCounter(m.requests, next))
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}
