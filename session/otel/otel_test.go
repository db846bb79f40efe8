package otel_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"stateless-servers/session"
	"stateless-servers/session/memory"
	"stateless-servers/session/otel"
	"stateless-servers/session/sessiontest/must"
)

// A down is a store that doesn't reply.
type down struct{ *memory.Store }

func (down) Create(context.Context, session.ID, session.Record) error { return errors.New("no reply") }

// An exporter keeps spans and metrics in memory.
type exporter struct {
	spans    *tracetest.SpanRecorder
	tracers  *sdktrace.TracerProvider
	reader   *metric.ManualReader
	observer *otel.Observer
}

func newExporter(t *testing.T, attributes ...attribute.KeyValue) exporter {
	t.Helper()
	e := exporter{spans: tracetest.NewSpanRecorder(), reader: metric.NewManualReader()}
	e.tracers = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(e.spans))
	var err error
	e.observer, err = otel.NewObserver(otel.Options{
		TracerProvider: e.tracers, MeterProvider: metric.NewMeterProvider(metric.WithReader(e.reader)), Attributes: attributes,
	})
	must.Succeed(t, err)
	return e
}

// histogram returns the only metric.
func (e exporter) histogram(t *testing.T) metricdata.Metrics {
	t.Helper()
	var all metricdata.ResourceMetrics
	must.Succeed(t, e.reader.Collect(t.Context(), &all))
	if len(all.ScopeMetrics) != 1 || len(all.ScopeMetrics[0].Metrics) != 1 {
		t.Fatalf("got %+v, want one metric", all.ScopeMetrics)
	}
	return all.ScopeMetrics[0].Metrics[0]
}

// Each operation of a request has a span below the request's.
func TestSpansOfARequest(t *testing.T) {
	for _, test := range []struct {
		name    string
		store   session.Store
		status  codes.Code
		outcome string
		failure attribute.Value
	}{
		{"success", memory.New(), codes.Unset, "ok", attribute.Value{}},
		{"outage", down{memory.New()}, codes.Error, "unavailable", attribute.StringValue("unavailable")},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := newExporter(t, attribute.String("server.address", "sessions.example.com"))
			manager := must.Get(session.New(test.store, session.Options{Observer: e.observer}))(t)
			handler := manager.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				session.Counter("visits").Add(r.Context(), 1)
			}))
			ctx, request := e.tracers.Tracer("test").Start(t.Context(), "POST /")
			handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodPost, "/", nil))
			request.End()

			spans := e.spans.Ended()
			if len(spans) != 2 {
				t.Fatalf("got %d spans, want 2", len(spans))
			}
			span := spans[0]
			if span.Name() != "create" || span.SpanKind() != trace.SpanKindClient || span.Status().Code != test.status {
				t.Errorf("got %s, %v, %v", span.Name(), span.SpanKind(), span.Status())
			}
			if span.Parent().SpanID() != request.SpanContext().SpanID() || span.StartTime().Before(spans[1].StartTime()) {
				t.Error("the span is not within the request's")
			}
			attributes := attribute.NewSet(span.Attributes()...)
			for key, want := range map[attribute.Key]attribute.Value{
				"db.system.name": attribute.StringValue("memory"), "db.operation.name": attribute.StringValue("create"),
				"session.outcome": attribute.StringValue(test.outcome), "error.type": test.failure,
				"server.address": attribute.StringValue("sessions.example.com"),
			} {
				if got, _ := attributes.Value(key); got != want {
					t.Errorf("%s is %v, want %v", key, got, want)
				}
			}
			points := e.histogram(t).Data.(metricdata.Histogram[float64]).DataPoints
			if len(points) != 1 || points[0].Count != 1 || points[0].Attributes != attributes {
				t.Errorf("the metric has the points %+v, want one with the attributes of the span", points)
			}
		})
	}
}

// The histogram has the name, the unit and the boundaries of the semantic conventions, and the duration of each operation.
func TestHistogram(t *testing.T) {
	e := newExporter(t)
	for range 2 {
		e.observer.ObserveOperation(t.Context(), session.Operation{
			Store: "dynamodb", Name: session.OperationLoad, Outcome: session.OutcomeMissing, Duration: 7 * time.Millisecond,
		})
	}
	metricdatatest.AssertEqual(t, metricdata.Metrics{
		Name: "db.client.operation.duration", Unit: "s", Description: "Duration of database client operations.",
		Data: metricdata.Histogram[float64]{
			Temporality: metricdata.CumulativeTemporality,
			DataPoints: []metricdata.HistogramDataPoint[float64]{{
				Attributes: attribute.NewSet(attribute.String("db.system.name", "aws.dynamodb"),
					attribute.String("db.operation.name", "load"), attribute.String("session.outcome", "missing")),
				Count: 2, Sum: 0.014, Min: metricdata.NewExtrema(0.007), Max: metricdata.NewExtrema(0.007),
				Bounds:       []float64{0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10},
				BucketCounts: []uint64{0, 0, 2, 0, 0, 0, 0, 0, 0, 0},
			}},
		},
	}, e.histogram(t), metricdatatest.IgnoreTimestamp(), metricdatatest.IgnoreExemplars())
	span := e.spans.Ended()[0]
	if took := span.EndTime().Sub(span.StartTime()); took != 7*time.Millisecond {
		t.Errorf("the span takes %v, want 7ms", took)
	}
}

// Stores that the conventions know have their names there.
func TestSystems(t *testing.T) {
	for store, want := range map[string]string{
		"valkey": "redis", "postgres": "postgresql", "dynamodb": "aws.dynamodb", "memcached": "memcached", "mine": "mine",
	} {
		e := newExporter(t)
		e.observer.ObserveOperation(t.Context(), session.Operation{Store: store, Name: session.OperationLoad})
		attributes := attribute.NewSet(e.spans.Ended()[0].Attributes()...)
		if got, _ := attributes.Value("db.system.name"); got.AsString() != want {
			t.Errorf("%s: db.system.name is %q, want %q", store, got.AsString(), want)
		}
	}
}
