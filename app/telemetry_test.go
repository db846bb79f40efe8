package main

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	collectormetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	collectortrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"stateless-servers/app/config"
	"stateless-servers/session/sessiontest/must"
)

// A collector receives OTLP over HTTP.
type collector struct {
	t  *testing.T
	mu sync.Mutex

	resource []*common.KeyValue
	spans    []*trace.Span
	metrics  []string // names
	requests int
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests++
	body, err := io.ReadAll(r.Body)
	if err != nil {
		c.t.Error(err)
	}
	switch r.URL.Path {
	case "/v1/traces":
		var request collectortrace.ExportTraceServiceRequest
		if err := proto.Unmarshal(body, &request); err != nil {
			c.t.Error(err)
		}
		for _, resource := range request.ResourceSpans {
			c.resource = resource.Resource.Attributes
			for _, scope := range resource.ScopeSpans {
				c.spans = append(c.spans, scope.Spans...)
			}
		}
	case "/v1/metrics":
		var request collectormetrics.ExportMetricsServiceRequest
		if err := proto.Unmarshal(body, &request); err != nil {
			c.t.Error(err)
		}
		for _, resource := range request.ResourceMetrics {
			for _, scope := range resource.ScopeMetrics {
				for _, metric := range scope.Metrics {
					c.metrics = append(c.metrics, metric.Name)
				}
			}
		}
	default:
		c.t.Errorf("a request for %s", r.URL.Path)
	}
}

func attributeOf(list []*common.KeyValue, key string) string {
	for _, attribute := range list {
		if attribute.Key == key {
			return attribute.Value.GetStringValue()
		}
	}
	return ""
}

// A server exports the spans of requests and of their store operations, and metrics, before it ends.
func TestExports(t *testing.T) {
	c := &collector{t: t}
	endpoint := httptest.NewServer(c)
	defer endpoint.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.URL)
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
	web, _, end := serve(t, func(*config.Config) {})
	get(t, web+"/healthz")
	request := must.Get(http.NewRequest(http.MethodPost, web+"/api/visits", nil))(t)
	request.Header.Set("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	response := must.Get(http.DefaultClient.Do(request))(t)
	response.Body.Close()
	must.Succeed(t, end())

	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.spans) != 2 {
		t.Fatalf("got %d spans, want one of the request and one of the store: %v", len(c.spans), c.spans)
	}
	store, visit := c.spans[0], c.spans[1]
	if store.Name != "create" || attributeOf(store.Attributes, "db.system.name") != "memory" ||
		string(store.ParentSpanId) != string(visit.SpanId) {
		t.Errorf("got %v below %v, want the store's below the request's", store, visit)
	}
	if visit.Name != "POST /api/visits" || string(visit.ParentSpanId) != "\xb7\xadk\x71i\x20\x33\x31" {
		t.Errorf("got %v, want the span of the request below the client's", visit)
	}
	for key, want := range map[string]string{
		"service.name": "stateless-servers", "service.instance.id": "server-1", "deployment.environment.name": "test",
	} {
		if got := attributeOf(c.resource, key); got != want {
			t.Errorf("the resource's %s is %q, want %q", key, got, want)
		}
	}
	names := strings.Join(c.metrics, " ")
	for _, want := range []string{"db.client.operation.duration", "http.server.request.duration"} {
		if !strings.Contains(names, want) {
			t.Errorf("got the metrics %s, want %s", names, want)
		}
	}
}

// A server without the variables, or with one that switches exports off, exports nothing. A collector that is down does no harm.
func TestExportsNothing(t *testing.T) {
	c := &collector{t: t}
	endpoint := httptest.NewServer(c)
	defer endpoint.Close()
	for name, variables := range map[string]map[string]string{
		"no variable": {},
		"disabled":    {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint.URL, "OTEL_SDK_DISABLED": "true"},
		"none": {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint.URL, "OTEL_TRACES_EXPORTER": "none",
			"OTEL_METRICS_EXPORTER": "none"},
		"a collector that is down": {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"},
	} {
		t.Run(name, func(t *testing.T) {
			for variable, value := range variables {
				t.Setenv(variable, value)
			}
			web, _, end := serve(t, func(*config.Config) {})
			if status, body := get(t, web+"/api/session"); status != http.StatusOK {
				t.Errorf("got %d %s", status, body)
			}
			if err := end(); err != nil {
				t.Error(err)
			}
		})
	}
	if c.requests != 0 {
		t.Errorf("%d requests reached the collector", c.requests)
	}
}

func TestUnsupportedExports(t *testing.T) {
	for name, value := range map[string]string{
		"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "http/json", "OTEL_TRACES_EXPORTER": "zipkin",
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
			t.Setenv(name, value)
			c := config.Default()
			c.ServerName, c.PlainHTTP = "server-1", true
			if _, err := newServer(t.Context(), c, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("got %v, want an error that names the variable", err)
			}
		})
	}
}
