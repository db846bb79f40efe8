// Package otel traces and measures the operations of a session store with OpenTelemetry, by its semantic conventions for
// database clients (1.43). It is a module of its own, so that other users of package session don't need OpenTelemetry. Pass the
// result of NewObserver as session.Options.Observer.
package otel

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/semconv/v1.43.0/dbconv"
	"go.opentelemetry.io/otel/trace"

	"stateless-servers/session"
)

// scope is the name of the instrumentation scope.
const scope = "stateless-servers/session/otel"

// OutcomeKey is the attribute with the outcome of an operation, such as "ok" or "missing": a session.Outcome.
const OutcomeKey = attribute.Key("session.outcome")

// Options configure an Observer. The zero value of each field means its default.
type Options struct {
	// TracerProvider and MeterProvider receive the spans and metrics; default otel.GetTracerProvider() and
	// otel.GetMeterProvider().
	TracerProvider trace.TracerProvider
	MeterProvider  metric.MeterProvider
	// Attributes are added to every span and metric, such as semconv.ServerAddress or semconv.DBNamespace; default none.
	Attributes []attribute.KeyValue
}

// An Observer gives each operation of a store a span, and records its duration in the histogram db.client.operation.duration.
// Create one with NewObserver.
//
// A span is of the kind client. It is a child of the request's span if the request's context has one, and is named after the
// operation. Span and metric have the attributes db.system.name, db.operation.name and OutcomeKey. An operation that failed has
// error.type, too, with the value of its outcome. Replies such as "missing", which visitors cause, are not errors.
//
// A Manager of session.NewWithCodec needs no Observer of this package: the operations on a cookie or token call no database.
type Observer struct {
	tracer     trace.Tracer
	duration   dbconv.ClientOperationDuration
	attributes []attribute.KeyValue
}

var _ session.Observer = (*Observer)(nil)

// NewObserver returns an Observer. It returns an error if the MeterProvider refuses the histogram.
func NewObserver(o Options) (*Observer, error) {
	if o.TracerProvider == nil {
		o.TracerProvider = otel.GetTracerProvider()
	}
	if o.MeterProvider == nil {
		o.MeterProvider = otel.GetMeterProvider()
	}
	duration, err := dbconv.NewClientOperationDuration(
		o.MeterProvider.Meter(scope, metric.WithSchemaURL(semconv.SchemaURL)),
		// The boundaries that the convention advises.
		metric.WithExplicitBucketBoundaries(0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10))
	if err != nil {
		return nil, fmt.Errorf("measure session stores: %w", err)
	}
	return &Observer{
		tracer:   o.TracerProvider.Tracer(scope, trace.WithSchemaURL(semconv.SchemaURL)),
		duration: duration, attributes: o.Attributes,
	}, nil
}

// ObserveOperation records a span and the duration of an operation that ends now.
func (o *Observer) ObserveOperation(ctx context.Context, operation session.Operation) {
	end := time.Now()
	attributes := make([]attribute.KeyValue, 0, 4+len(o.attributes))
	attributes = append(attributes, semconv.DBSystemNameKey.String(system(operation.Store)),
		semconv.DBOperationName(string(operation.Name)), OutcomeKey.String(string(operation.Outcome)))
	failed := isError(operation.Outcome)
	if failed {
		attributes = append(attributes, semconv.ErrorTypeKey.String(string(operation.Outcome)))
	}
	attributes = append(attributes, o.attributes...)

	ctx, span := o.tracer.Start(ctx, string(operation.Name), trace.WithSpanKind(trace.SpanKindClient),
		trace.WithTimestamp(end.Add(-operation.Duration)), trace.WithAttributes(attributes...))
	if failed {
		span.SetStatus(codes.Error, string(operation.Outcome))
	}
	span.End(trace.WithTimestamp(end))
	// The histogram's exemplars lead to the span.
	o.duration.Inst().Record(ctx, operation.Duration.Seconds(), metric.WithAttributeSet(attribute.NewSet(attributes...)))
}

// system returns the db.system.name of a store. The convention has no name for Valkey, which speaks the protocol of Redis; other
// stores keep their own names.
func system(store string) string {
	switch store {
	case "valkey":
		return semconv.DBSystemNameRedis.Value.AsString()
	case "postgres":
		return semconv.DBSystemNamePostgreSQL.Value.AsString()
	case "dynamodb":
		return semconv.DBSystemNameAWSDynamoDB.Value.AsString()
	default:
		return store
	}
}

// isError reports whether the operation failed, because of the store or of the handler that asked for it.
func isError(outcome session.Outcome) bool {
	switch outcome {
	case session.OutcomeOK, session.OutcomeMissing, session.OutcomeEnded, session.OutcomeChanged:
		return false
	default:
		return true
	}
}
