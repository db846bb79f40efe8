package main

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"stateless-servers/app/config"
	"stateless-servers/session"
)

func TestTotals(t *testing.T) {
	var conflicts int64
	m := newMetrics(func() int64 { return conflicts })
	shown := func() string {
		recorder := httptest.NewRecorder()
		m.handler().ServeHTTP(recorder, httptest.NewRequest("GET", "/metrics", nil))
		return recorder.Body.String()
	}
	// Collectors compute differences and drop the first value, so each counter must start at zero.
	for before, name := range config.Metrics() {
		if !strings.Contains(shown(), "\n"+name+" 0\n") {
			t.Errorf("counter %d, %s, is missing at the start", before, name)
		}
	}
	for _, o := range []session.Operation{
		{Name: session.OperationLoad, Outcome: session.OutcomeOK, Duration: time.Millisecond},
		{Name: session.OperationLoad, Outcome: session.OutcomeMissing, Duration: time.Millisecond},
		{Name: session.OperationUpdate, Outcome: session.OutcomeUnavailable, Duration: 900 * time.Millisecond},
		{Name: session.OperationUpdate, Outcome: session.OutcomeEnded, Duration: config.SlowOperation},
		{Name: session.OperationRenew, Outcome: session.OutcomeCanceled, Duration: config.SlowOperation - 1},
	} {
		m.ObserveOperation(t.Context(), o)
	}
	conflicts = 7
	text := shown()
	for name, want := range map[string]string{
		config.MetricOperations: "5", config.MetricMissing: "1", config.MetricUnavailable: "1", config.MetricSlow: "2",
		config.MetricConflicts: "7", config.MetricBusySeconds: "1.029999999",
	} {
		if !strings.Contains(text, "\n"+name+" "+want+"\n") {
			t.Errorf("%s isn't %s:\n%s", name, want, text)
		}
	}
	if !strings.Contains(text, `session_store_operation_seconds_count{operation="renew",outcome="canceled",store=""} 1`) {
		t.Errorf("the histogram lacks the renewal:\n%s", text)
	}
}
