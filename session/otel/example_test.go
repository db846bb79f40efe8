package otel_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"stateless-servers/session"
	"stateless-servers/session/memory"
	"stateless-servers/session/otel"
)

func Example() {
	spans := tracetest.NewInMemoryExporter() // or an exporter of OTLP
	tracers := sdk.NewTracerProvider(sdk.WithSyncer(spans))
	defer tracers.Shutdown(context.Background())

	observer, err := otel.NewObserver(otel.Options{TracerProvider: tracers})
	if err != nil {
		fmt.Println(err)
		return
	}
	manager, err := session.New(memory.New(), session.Options{Observer: observer})
	if err != nil {
		fmt.Println(err)
		return
	}
	handler := manager.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		session.Counter("visits").Add(r.Context(), 1)
	}))
	handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", nil))
	for _, span := range spans.GetSpans() {
		fmt.Println(span.SpanKind, span.Name, span.Attributes[0].Value.AsString())
	}
	// Output: client create memory
}
