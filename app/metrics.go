package main

import (
	"context"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"stateless-servers/app/config"
	"stateless-servers/session"
)

// metrics holds the metrics that the admin server serves at /metrics.
type metrics struct {
	registry   *prometheus.Registry
	operations *prometheus.HistogramVec
	bytes      *prometheus.CounterVec
	requests   *prometheus.CounterVec
	inFlight   prometheus.Gauge
	totals     totals
}

// totals holds the counters of config.Metrics, except for MetricConflicts, which the store counts.
type totals struct{ operations, busySeconds, slow, missing, unavailable prometheus.Counter }

var _ session.Observer = (*metrics)(nil)

// newMetrics returns the metrics of a server. The function conflicts returns the value of MetricConflicts.
func newMetrics(conflicts func() int64) *metrics {
	m := &metrics{
		totals: totals{
			operations:  newCounter(config.MetricOperations, "Operations of the session store."),
			busySeconds: newCounter(config.MetricBusySeconds, "Total duration of the operations of the session store."),
			slow:        newCounter(config.MetricSlow, "Operations of the session store of "+config.SlowOperation.String()+" or longer."),
			missing:     newCounter(config.MetricMissing, "Operations of the session store that found no session."),
			unavailable: newCounter(config.MetricUnavailable, "Operations that failed because the session store didn't respond."),
		},
		registry: prometheus.NewRegistry(),
		operations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "session_store_operation_seconds", Help: "Duration of session store operations, by outcome.",
			Buckets: prometheus.ExponentialBuckets(0.00025, 2, 13), // 250 µs to 1 s
		}, []string{"store", "operation", "outcome"}),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "session_store_bytes_total", Help: "Bytes of session state that session store operations sent or received.",
		}, []string{"store", "operation"}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "http_requests_total", Help: "Completed requests, by status code and method.",
		}, []string{"code", "method"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "http_requests_in_flight", Help: "Requests in progress.",
		}),
	}
	m.registry.MustRegister(m.operations, m.bytes, m.requests, m.inFlight,
		m.totals.operations, m.totals.busySeconds, m.totals.slow, m.totals.missing, m.totals.unavailable,
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: config.MetricConflicts, Help: "Writes retried because of a concurrent write.",
		}, func() float64 { return float64(conflicts()) }),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// ObserveOperation records a store operation.
func (m *metrics) ObserveOperation(_ context.Context, o session.Operation) {
	m.operations.WithLabelValues(o.Store, string(o.Name), string(o.Outcome)).Observe(o.Duration.Seconds())
	m.bytes.WithLabelValues(o.Store, string(o.Name)).Add(float64(o.Bytes))
	m.totals.operations.Inc()
	m.totals.busySeconds.Add(o.Duration.Seconds())
	if o.Duration >= config.SlowOperation {
		m.totals.slow.Inc()
	}
	switch o.Outcome {
	case session.OutcomeMissing:
		m.totals.missing.Inc()
	case session.OutcomeUnavailable:
		m.totals.unavailable.Inc()
	}
}

func newCounter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
}

func (m *metrics) instrument(next http.Handler) http.Handler {
	return promhttp.InstrumentHandlerInFlight(m.inFlight, promhttp.InstrumentHandlerCounter(m.requests, next))
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}
