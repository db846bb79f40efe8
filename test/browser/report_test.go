package browser

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"stateless-servers/lab/check"
	"stateless-servers/lab/load"
	"stateless-servers/lab/machine"
	"stateless-servers/lab/report"
	"stateless-servers/session/sessiontest/must"
)

// loadResult returns the result of a load test of a minute on twelve servers, two of which fail for ten seconds.
func loadResult(t *testing.T) load.Result {
	t.Helper()
	h := hdrhistogram.New(1, time.Hour.Microseconds(), 3)
	for i := range 1000 {
		must.Succeed(t, h.RecordValue(int64(i*i)/10+300))
	}
	encoded := must.Get(h.Encode(hdrhistogram.V2CompressedEncodingCookieBase))(t)
	text, latency := string(encoded), load.Quantiles{P50: 25.28, P90: 81.3, P99: 98.4, P999: 100.1, Max: 100.1}
	r := load.Result{
		Requests: 60_000, OK: 59_400, Duration: 60, RateTarget: 1000, RateAchieved: 1000, Latency: latency, Service: latency,
		Errors: map[string]int64{"http_503": 400, "timeout": 200}, Sessions: check.Counts{Total: 900, StaleReads: 3},
		Operations: map[string]load.Operation{}, Events: []load.Event{{T: 20, What: "errors begin: http_503"}, {T: 31, What: "errors end, after 600"}},
		URL: "https://shop.example.com", Started: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC), Warmup: 2, Late: 0.4,
		Findings:   []string{"Visitor 12 added 3 coffees at 21.2 s by server-3 (200).\nA read at 21.4 s by server-10 lacks them."},
		Settings:   []load.Settings{{Rate: "1000", Sessions: 900, Mix: load.DefaultMix().String(), Timeout: 10, Machine: machine.Current()}},
		Histograms: load.Histograms{Latency: text, Service: text},
	}
	for _, kind := range []string{"none", "read", "write", "cart", "login", "logout"} {
		r.Operations[kind] = load.Operation{Requests: 10_000, Failed: 100, Latency: latency, Histogram: text}
	}
	for second := range 62 {
		span := load.Span{T: float64(second), Requests: 1000, P50: 25, P99: 98, Max: 100, Servers: map[string]int64{}, Failed: map[string]int64{}, Histogram: text}
		for i := range 12 {
			span.Servers[fmt.Sprint("server-", i+1)] = 83
		}
		if second/10 == 2 {
			span.P99, span.Errors, span.Failed["server-1"], span.Failed["server-2"] = 310, 60, 30, 30
		}
		r.Series = append(r.Series, span)
	}
	return r
}

func TestReportLooks(t *testing.T) {
	failed := loadResult(t)
	failed.Judge(load.Thresholds{P99: new(250 * time.Millisecond), Errors: new(0.1), Lost: new(int64(0))})
	empty := load.Result{Histograms: failed.Histograms, Verdict: load.NotJudged, Settings: failed.Settings}
	for name, r := range map[string]load.Result{"failed": failed, "empty": empty} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if err := report.Write(w, r); err != nil {
					t.Error(err)
				}
			}))
			t.Cleanup(server.Close)
			b := newTab(t)
			b.open(server.URL)
			b.checkLooks("report-" + name)
		})
	}
}
