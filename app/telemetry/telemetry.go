// Package telemetry exports traces and metrics over OTLP, as the standard variables of OpenTelemetry say: those with the prefix
// OTEL_, which the SDK reads itself. Start reading at Start.
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	otelapi "go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"

	"stateless-servers/session"
	"stateless-servers/session/otel"
)

// Telemetry exports traces and metrics. Create one with Start. A nil Telemetry exports nothing.
type Telemetry struct {
	tracers  *trace.TracerProvider
	meters   *metric.MeterProvider
	observer session.Observer
}

// Start returns a Telemetry if a variable names an endpoint: OTEL_EXPORTER_OTLP_ENDPOINT for both signals, or
// OTEL_EXPORTER_OTLP_TRACES_ENDPOINT and OTEL_EXPORTER_OTLP_METRICS_ENDPOINT for one of them. Otherwise, and if
// OTEL_SDK_DISABLED is true, it returns nil. OTEL_TRACES_EXPORTER=none and OTEL_METRICS_EXPORTER=none leave out a signal.
// The protocol is http/protobuf; Start returns an error if a variable asks for another. It sends nothing itself, so that a
// server starts without its collector.
//
// The resource has the given server name as service.instance.id. service.name is stateless-servers unless
// OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES names another.
//
// Errors of exports go to the logger, by OpenTelemetry's handler of errors, which the process has only once.
func Start(ctx context.Context, server string, logger *slog.Logger) (*Telemetry, error) {
	traces, err := enabled("TRACES")
	if err != nil {
		return nil, err
	}
	metrics, err := enabled("METRICS")
	if err != nil || !traces && !metrics {
		return nil, err
	}
	about, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithHost(), resource.WithAttributes(
		attribute.String("service.name", "stateless-servers"), attribute.String("service.instance.id", server),
	), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("telemetry: %w", err)
	}
	otelapi.SetErrorHandler(otelapi.ErrorHandlerFunc(func(err error) { logger.Warn("telemetry", "error", err) }))
	tracerOptions := []trace.TracerProviderOption{trace.WithResource(about)}
	if traces {
		exporter, err := otlptracehttp.New(ctx)
		if err != nil {
			return nil, fmt.Errorf("export traces: %w", err)
		}
		tracerOptions = append(tracerOptions, trace.WithBatcher(exporter))
	}
	meterOptions := []metric.Option{metric.WithResource(about)}
	if metrics {
		exporter, err := otlpmetrichttp.New(ctx)
		if err != nil {
			return nil, fmt.Errorf("export metrics: %w", err)
		}
		meterOptions = append(meterOptions, metric.WithReader(metric.NewPeriodicReader(exporter)))
	}
	t := &Telemetry{tracers: trace.NewTracerProvider(tracerOptions...), meters: metric.NewMeterProvider(meterOptions...)}
	if t.observer, err = otel.NewObserver(otel.Options{TracerProvider: t.tracers, MeterProvider: t.meters}); err != nil {
		return nil, err
	}
	return t, nil
}

// enabled reports whether a signal, TRACES or METRICS, is exported.
func enabled(signal string) (bool, error) {
	const prefix = "OTEL_EXPORTER_OTLP_"
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") ||
		os.Getenv(prefix+"ENDPOINT") == "" && os.Getenv(prefix+signal+"_ENDPOINT") == "" {
		return false, nil
	}
	exporter := "OTEL_" + signal + "_EXPORTER"
	switch value := os.Getenv(exporter); value {
	case "", "otlp":
	case "none":
		return false, nil
	default:
		return false, fmt.Errorf("%s=%q: allowed is otlp or none", exporter, value)
	}
	for _, name := range []string{prefix + signal + "_PROTOCOL", prefix + "PROTOCOL"} {
		if value := os.Getenv(name); value != "" {
			if value != "http/protobuf" {
				return false, fmt.Errorf("%s=%q: allowed is http/protobuf", name, value)
			}
			break
		}
	}
	return true, nil
}

// Handler returns a handler that gives each request a span, below the one of its header traceparent if that has one, and records
// the metrics of HTTP servers. It leaves out the health checks of load balancers.
func (t *Telemetry) Handler(next http.Handler) http.Handler {
	if t == nil {
		return next
	}
	return otelhttp.NewHandler(next, "request", otelhttp.WithTracerProvider(t.tracers), otelhttp.WithMeterProvider(t.meters),
		otelhttp.WithPropagators(propagation.TraceContext{}),
		otelhttp.WithFilter(func(r *http.Request) bool { return r.URL.Path != "/healthz" && r.URL.Path != "/readyz" }))
}

// Observer returns an Observer that exports the operations of a store and passes them on to next.
func (t *Telemetry) Observer(next session.Observer) session.Observer {
	if t == nil {
		return next
	}
	return observers{next, t.observer}
}

// observers receives operations for several observers.
type observers []session.Observer

// ObserveOperation passes the operation to each observer.
func (list observers) ObserveOperation(ctx context.Context, operation session.Operation) {
	for _, o := range list {
		o.ObserveOperation(ctx, operation)
	}
}

// Close exports what is left, until ctx ends.
func (t *Telemetry) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	return errors.Join(t.tracers.Shutdown(ctx), t.meters.Shutdown(ctx))
}
