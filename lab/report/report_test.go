package report_test

import (
	"bytes"
	"encoding/base64"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"stateless-servers/lab/check"
	"stateless-servers/lab/load"
	"stateless-servers/lab/machine"
	"stateless-servers/lab/report"
	"stateless-servers/session/sessiontest/must"
)

// encoded returns an encoded histogram of 1 to n ms.
func encoded(t *testing.T, n int) string {
	t.Helper()
	h := hdrhistogram.New(1, time.Hour.Microseconds(), 3)
	for i := range n {
		must.Succeed(t, h.RecordValue(int64(i+1)*1000))
	}
	text := must.Get(h.Encode(hdrhistogram.V2CompressedEncodingCookieBase))(t)
	return string(text)
}

func sample(t *testing.T) load.Result {
	t.Helper()
	h := encoded(t, 1000)
	return load.Result{
		Requests: 1000, OK: 990, Duration: 10, RateTarget: 200, RateAchieved: 100, URL: "http://127.0.0.1:1/<b>",
		Started: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC), Warmup: 2,
		Latency: load.Quantiles{P50: 500, P90: 900, P99: 990, P999: 999, Max: 1000}, Histograms: load.Histograms{Latency: h, Service: h},
		Operations: map[string]load.Operation{"read": {Requests: 700, Failed: 3, Latency: load.Quantiles{P50: 4, P90: 5, P99: 6, P999: 7, Max: 8}, Histogram: h}},
		Servers:    map[string]int64{"server-2": 400, "server-10": 590}, Errors: map[string]int64{"timeout": 3, "http_502": 7},
		Sessions: check.Counts{Total: 50, Lost: 4}, Findings: []string{"Session 0 of visitor 0 <was lost>"},
		Events: []load.Event{{T: 1.5, What: "server-1 killed"}},
		Series: []load.Span{
			{T: 0, Requests: 300, Errors: 10, P50: 1, P99: 2, Max: 3, Servers: map[string]int64{"server-2": 100, "server-10": 190}, Histogram: h},
			{T: 1, Requests: 700, P50: 4, P99: 5, Max: 6, Servers: map[string]int64{"server-2": 300}, Histogram: h},
		},
		Settings: []load.Settings{{Rate: "100..300", Sessions: 50, Mix: "read=1", Timeout: 10, Machine: machine.Machine{System: "linux/arm64", CPUs: 2}}},
	}
}

func written(t *testing.T, r load.Result) string {
	t.Helper()
	var page bytes.Buffer
	must.Succeed(t, report.Write(&page, r))
	return page.String()
}

func TestPageHasTheFigures(t *testing.T) {
	page := written(t, sample(t))
	for _, part := range []string{
		"Load test of http://127.0.0.1:1/&lt;b&gt;", "99 %", "100/s <small>of 200</small>", "Rate missed.", "990.00 ms",
		"<th scope=\"row\">99.9</th><td>999.00</td>", "server-1 killed", ">server-2</th><th scope=\"col\">server-10</th>", "<td>100</td><td>190</td>",
		`read</th><td>700</td><td class="bad">3</td><td>4.00</td><td>6.00</td><td>8.00</td>`, `<g class="server-1">`, `<g class="failed">`,
		"sessions lost</th><td>4</td>", "Session 0 of visitor 0 &lt;was lost&gt;", "http_502</th><td>7</td>", "linux/arm64, 2 CPUs",
		"100..300", "prefers-color-scheme:dark",
	} {
		if !strings.Contains(page, part) {
			t.Errorf("%q is not in the page", part)
		}
	}
	if n, want := strings.Count(page, "<svg"), strings.Count(page, `role="img" aria-label="`); n != 6 || n != want {
		t.Errorf("%d charts, %d of which say what they show", n, want)
	}
	calm := sample(t)
	calm.RateAchieved, calm.OK, calm.Sessions.Lost, calm.Errors, calm.Findings, calm.Events, calm.Operations = 200, 1000, 0, nil, nil, nil, nil
	if page := written(t, calm); strings.Contains(page, "Rate missed") || strings.Contains(page, `class="bad"`) || strings.Contains(page, `<g class="failed">`) || strings.Contains(page, "<pre>") {
		t.Error("the page of a result without failures reports some")
	}
}

// The page and the summary begin with the verdict.
func TestVerdictComesFirst(t *testing.T) {
	limit := func(d time.Duration) load.Thresholds { return load.Thresholds{P99: &d} }
	for _, test := range []struct {
		verdict    load.Verdict
		thresholds load.Thresholds
		sign, want string
		row        []string // of the page and of the summary
	}{
		{"", limit(time.Second), "✅", "Passed: 1 of 1 thresholds hold.", []string{`<tr class="good"><td class="text">PASS</td>`, "| ✅ PASS | p99 | 990 ms | 1000 ms |"}},
		{"", limit(time.Millisecond), "❌", "Failed: 1 of 1 thresholds exceeded.", []string{`<tr class="bad"><td class="text">FAIL</td>`, "| ❌ FAIL | p99 | 990 ms | 1 ms |"}},
		{load.Interrupted, load.Thresholds{}, "❌", "Interrupted: the figures apply to the 10 s that were measured.", []string{"", ""}},
		{"", load.Thresholds{}, "⚪", "Not judged: no threshold was set.", []string{"", ""}},
	} {
		r := sample(t)
		r.Verdict = test.verdict
		r.Judge(test.thresholds)
		page := written(t, r)
		if i := strings.Index(page, ">"+test.want+"</h2>"); i < 0 || i > strings.Index(page, "<svg") || !strings.Contains(page, test.row[0]) {
			t.Errorf("the page does not begin with %q and %s", test.want, test.row[0])
		}
		var summary bytes.Buffer
		must.Succeed(t, report.WriteMarkdown(&summary, r))
		if text := summary.String(); !strings.HasPrefix(text, "## "+test.sign+" "+test.want+"\n") || !strings.Contains(text, test.row[1]) {
			t.Errorf("the summary does not begin with %q and %s:\n%s", test.want, test.row[1], text)
		}
	}
}

// writes keeps each write.
type writes []string

func (w *writes) Write(p []byte) (int, error) { *w = append(*w, string(p)); return len(p), nil }

// The summary has the figures, and no markup from a result's texts. It is one write, because several tests may append to a file.
func TestSummary(t *testing.T) {
	var summary writes
	r := sample(t)
	r.Findings[0] += "\r# lost"
	r.Errors["time\rout"] = 3
	delete(r.Errors, "timeout")
	must.Succeed(t, report.WriteMarkdown(&summary, r))
	const want = `## ⚪ Not judged: no threshold was set.

Load test of http://127.0.0.1:1/&lt;b>, 2026-11-21 12:00 UTC, measured for 10 s. **Rate missed**: 100 of 200 requests per second were sent; the figures apply to this rate.

| operation | requests | failed | p50, ms | p90, ms | p99, ms | longest, ms |
|---|---:|---:|---:|---:|---:|---:|
| read | 700 | 3 | 4.00 | 5.00 | 6.00 | 8.00 |
| all | 1000 | 10 | 500.00 | 900.00 | 990.00 | 1000.00 |

Failed: 10, http\_502: 7, time out: 3.

Sessions: 50, 4 sessions lost, 0 updates lost, 0 stale reads, 0 cross-session leaks, 0 alive after logout.

    Session 0 of visitor 0 <was lost>
    # lost
`
	if len(summary) != 1 || summary[0] != want {
		t.Errorf("got\n%q\nwant\n%q", summary, want)
	}
}

// external matches markup that makes a browser load something else.
var external = regexp.MustCompile(`(?i)<script|<link|<img|<iframe|\ssrc=|\bhref=|url\(|@import`)

func TestPageHasNoExternalReferences(t *testing.T) {
	page := written(t, sample(t))
	if found := external.FindAllString(page, -1); found != nil {
		t.Errorf("found %q", found)
	}
	if !strings.Contains(page, `content="default-src 'none'; style-src 'unsafe-inline'"`) {
		t.Error("the content security policy is missing")
	}
}

// Texts in a result are escaped in tables, charts and legends.
func TestPageEscapesTexts(t *testing.T) {
	const markup = `</text></title></svg></style><script>alert(1)</script><iframe><img>"'&`
	r := sample(t)
	r.URL, r.Findings, r.Events = markup, []string{markup}, []load.Event{{T: 1, What: markup}}
	r.Servers, r.Errors = map[string]int64{markup: 1}, map[string]int64{markup: 1}
	r.Series[0].Servers = map[string]int64{markup: 1}
	r.Settings[0] = load.Settings{Rate: markup, Mix: markup, Machine: machine.Machine{System: markup, Processor: markup, Revision: markup, Go: markup}}
	page := written(t, r)
	if found := external.FindAllString(page, -1); found != nil {
		t.Errorf("found %q", found)
	}
	if n, want := strings.Count(page, "&lt;script"), 10; n < want { // or the test would see nothing
		t.Errorf("it is there %d times, want %d or more", n, want)
	}
	if n := strings.Count(page, "</svg>"); n != 6 {
		t.Errorf("%d charts end", n)
	}
}

// A merged result, and one without responses, make a page, too.
func TestPageOfOtherResults(t *testing.T) {
	r := sample(t)
	merged := must.Get(load.Merge(r, r))(t)
	if page := written(t, merged); !strings.Contains(page, "<td>600</td><td>20</td>") || strings.Count(page, "linux/arm64") != 2 {
		t.Error("the spans of two machines, or their settings, don't add up")
	}
	empty := encoded(t, 0)
	written(t, load.Result{Histograms: load.Histograms{Latency: empty, Service: empty}})

	r.Histograms.Latency = base64.StdEncoding.EncodeToString([]byte("nonsense"))
	if err := report.Write(&bytes.Buffer{}, r); err == nil {
		t.Error("a histogram that can't be read is no error")
	}
}
