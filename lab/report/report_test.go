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
)

// encoded returns an encoded histogram of 1 to n ms.
func encoded(t *testing.T, n int) string {
	t.Helper()
	h := hdrhistogram.New(1, time.Hour.Microseconds(), 3)
	for i := range n {
		if err := h.RecordValue(int64(i+1) * 1000); err != nil {
			t.Fatal(err)
		}
	}
	text, err := h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func sample(t *testing.T) load.Result {
	t.Helper()
	h := encoded(t, 1000)
	return load.Result{
		Requests: 1000, OK: 990, Duration: 10, RateTarget: 200, RateAchieved: 100, URL: "http://127.0.0.1:1/<b>",
		Started: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC), Warmup: 2,
		Latency: load.Quantiles{P50: 500, P90: 900, P99: 990, P999: 999, Max: 1000}, Histograms: load.Histograms{Latency: h, Service: h},
		Servers: map[string]int64{"server-2": 400, "server-10": 590}, Errors: map[string]int64{"timeout": 3, "http_502": 7},
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
	if err := report.Write(&page, r); err != nil {
		t.Fatal(err)
	}
	return page.String()
}

func TestPageHasTheFigures(t *testing.T) {
	page := written(t, sample(t))
	for _, part := range []string{
		"Load test of http://127.0.0.1:1/&lt;b&gt;", "99 %", "100/s <small>of 200</small>", "Rate missed.", "990.00 ms",
		"<th scope=\"row\">99.9</th><td>999.00</td>", "server-1 killed", ">server-2</th><th scope=\"col\">server-10</th>", "<td>100</td><td>190</td>",
		"sessions lost</th><td>4</td>", "Session 0 of visitor 0 &lt;was lost&gt;", "http_502</th><td>7</td>", "linux/arm64, 2 CPUs",
		"100..300", "prefers-color-scheme:dark",
	} {
		if !strings.Contains(page, part) {
			t.Errorf("%q is not in the page", part)
		}
	}
	if n, want := strings.Count(page, "<svg"), strings.Count(page, `role="img" aria-label="`); n != 3 || n != want {
		t.Errorf("%d charts, %d of which say what they show", n, want)
	}
	calm := sample(t)
	calm.RateAchieved, calm.OK, calm.Sessions.Lost, calm.Errors, calm.Findings, calm.Events = 200, 1000, 0, nil, nil, nil
	if page := written(t, calm); strings.Contains(page, "Rate missed") || strings.Contains(page, `class="bad"`) || strings.Contains(page, "<pre>") {
		t.Error("the page of a result without failures reports some")
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
	if n := strings.Count(page, "</svg>"); n != 3 {
		t.Errorf("%d charts end", n)
	}
}

// A merged result, and one without responses, make a page, too.
func TestPageOfOtherResults(t *testing.T) {
	r := sample(t)
	merged, err := load.Merge(r, r)
	if err != nil {
		t.Fatal(err)
	}
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
