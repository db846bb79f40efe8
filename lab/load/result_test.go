package load

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"stateless-servers/lab/check"
	"stateless-servers/lab/machine"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// sampleResult returns the result of n requests that took 1 to n ms.
func sampleResult(t *testing.T, n int, started time.Time) Result {
	t.Helper()
	h := newHistogram()
	for i := range n {
		record(h, time.Duration(i+1)*time.Millisecond)
	}
	r := Result{
		Requests: int64(n), OK: int64(n - 1), Duration: 2, RateTarget: float64(n) / 2, RateAchieved: float64(n) / 2,
		Latency: quantiles(h), Service: quantiles(h), Servers: map[string]int64{"server-1": int64(n - 1)},
		Errors: map[string]int64{"timeout": 1}, Sessions: check.Counts{Total: 5, Lost: 1},
		Operations: map[string]Operation{"read": {Requests: int64(n), Failed: 1, latency: h}},
		Events:     []Event{{1, fmt.Sprintf("%d requests", n)}}, URL: "http://127.0.0.1:1", Started: started, Warmup: 3, Late: float64(n),
		Findings: []string{"Session 0 of visitor 0 was lost"},
		Settings: []Settings{{Run: fmt.Sprint("run-", n), Rate: "50", Sessions: 5, Mix: "read=1", Timeout: 10, Machine: machine.Machine{System: "linux/arm64", CPUs: 2}}},
	}
	spans := newSeries(time.Second)
	for i := range n { // half in the first second, half in the third
		at := time.Duration(i*2/n*2) * time.Second
		spans.add(sample{received: at, due: at - time.Duration(i+1)*time.Millisecond, server: "server-1"})
	}
	var err error
	if r.Series, err = spans.all(); err != nil {
		t.Fatal(err)
	}
	if err := r.encode(h, h); err != nil {
		t.Fatal(err)
	}
	r.Judge(Thresholds{Errors: new(float64(5)), Lost: new(int64(0))})
	return r
}

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// Programs parse the JSON of a result, so its fields must not change, and follow the schema.
func TestResultJSON(t *testing.T) {
	r := sampleResult(t, 100, noon)
	r.Histograms = Histograms{"encoded", "encoded"}
	read := r.Operations["read"]
	read.Histogram = "encoded"
	r.Operations["read"] = read
	for i := range r.Series {
		r.Series[i].Histogram = "encoded"
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	schema, err := jsonschema.NewCompiler().Compile("result.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(document); err != nil {
		t.Errorf("the result does not follow its schema: %v", err)
	}
	document.(map[string]any)["verdict"] = "good"
	if schema.Validate(document) == nil {
		t.Error("a result with an unknown verdict follows the schema, want that it does not")
	}
	const golden = "testdata/result.golden.json"
	if *update {
		if err := os.WriteFile(golden, append(text, '\n'), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if string(text)+"\n" != string(want) {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
}

func TestMerge(t *testing.T) {
	a, b := sampleResult(t, 100, noon.Add(time.Second)), sampleResult(t, 900, noon)
	b.URL, b.Duration = "http://127.0.0.1:2", 4
	b.Servers = map[string]int64{"server-1": 400, "server-2": 499}
	merged, err := Merge(a, b)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(merged)
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseResult(text)
	if err != nil {
		t.Fatal(err)
	}
	if again, err = Merge(again); err != nil {
		t.Fatal(err)
	}
	for _, r := range []Result{merged, again} {
		if r.Requests != 1000 || r.OK != 998 || r.Duration != 4 || r.Warmup != 3 || r.RateTarget != 500 || r.RateAchieved != 500 || r.Late != 900 {
			t.Errorf("sums: %+v", r)
		}
		if r.Servers["server-1"] != 499 || r.Servers["server-2"] != 499 || r.Errors["timeout"] != 2 ||
			r.Sessions != (check.Counts{Total: 10, Lost: 2}) || len(r.Findings) != 2 {
			t.Errorf("counts: %+v", r)
		}
		if r.URL != "http://127.0.0.1:1, http://127.0.0.1:2" || !r.Started.Equal(noon) ||
			fmt.Sprint(r.Events) != "[{1 900 requests} {2 100 requests}]" {
			t.Errorf("times: %+v", r)
		}
		// One began a second after the other: 450, 50, 450 and 50 were answered.
		var spans []string
		for _, span := range r.Series {
			spans = append(spans, fmt.Sprintf("%g s: %d, p50 %.0f ms", span.T, span.Requests, span.P50))
		}
		const want = "0 s: 450, p50 225 ms; 1 s: 50, p50 25 ms; 2 s: 450, p50 676 ms; 3 s: 50, p50 75 ms"
		if got := strings.Join(spans, "; "); len(r.Settings) != 2 || got != want {
			t.Errorf("series: %s\nsettings: %+v", got, r.Settings)
		}
		// 100 of the 1000 are 1 to 100 ms, and 900 are 1 to 900 ms: 500 are at most 400 ms.
		if r.Latency.P50 < 399.5 || r.Latency.P50 > 400.5 || r.Latency.Max < 899 || r.Latency.Max > 901 || r.Service != r.Latency {
			t.Errorf("quantiles: %+v", r.Latency)
		}
	}
}

func TestMergeRefusesInvalidResults(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"hello", "not the result of a load test"},
		{"{}", "it has no histograms"},
		{`{"histograms":{"latency":"x","service":"x"}}`, "or no time"},
	} {
		if _, err := ParseResult([]byte(test.text)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v", test.text, err)
		}
	}
	r := sampleResult(t, 2, noon)
	broken := r
	broken.Settings = nil
	broken.Histograms.Service = r.Histograms.Service[:20]
	if _, err := Merge(r, broken); err == nil || !strings.Contains(err.Error(), "result 2: its histogram can't be read") {
		t.Errorf("got %v", err)
	}
	long := hdrhistogram.New(1, (2 * maxTime).Microseconds(), 3)
	_ = long.RecordValue((2 * maxTime).Microseconds())
	if err := broken.encode(long, long); err != nil {
		t.Fatal(err)
	}
	if _, err := Merge(broken); err == nil || !strings.Contains(err.Error(), "1 times over 1h") {
		t.Errorf("got %v", err)
	}
}

func TestThresholds(t *testing.T) {
	for _, test := range []struct {
		thresholds Thresholds
		want       string
	}{
		{Thresholds{P99: new(100 * time.Millisecond)}, "passed [{p99 99.007 100 ms true}]"},
		{Thresholds{P99: new(98 * time.Millisecond)}, "failed [{p99 99.007 98 ms false}]"},
		{Thresholds{Errors: new(1.0)}, "passed [{errors 1 1 % true}]"},
		{Thresholds{Errors: new(0.9)}, "failed [{errors 1 0.9 % false}]"},
		{Thresholds{Lost: new(int64(1))}, "passed [{violations 1 1  true}]"},
		{Thresholds{Lost: new(int64(0))}, "failed [{violations 1 0  false}]"},
		{Thresholds{Errors: new(1.0), Lost: new(int64(0))}, "failed [{errors 1 1 % true} {violations 1 0  false}]"},
		{Thresholds{}, "not judged []"},
	} {
		r := sampleResult(t, 100, noon)
		r.Thresholds = nil
		r.Judge(test.thresholds)
		if got := fmt.Sprint(r.Verdict, " ", r.Thresholds); got != test.want {
			t.Errorf("%s, want %s", got, test.want)
		}
		var nothing Result
		if nothing.Judge(test.thresholds); test.thresholds.Lost == nil && nothing.Verdict == Passed {
			t.Errorf("a test without requests passes the thresholds %v, want them exceeded", nothing.Thresholds)
		}
	}
}

// The sum is judged by the lowest threshold for each figure, and a part that was interrupted makes it interrupted. A file that
// claims to have passed is judged again.
func TestThresholdsOfMergedResults(t *testing.T) {
	a, b := sampleResult(t, 100, noon), sampleResult(t, 200, noon)
	a.Judge(Thresholds{P99: new(150 * time.Millisecond), Errors: new(0.8), Lost: new(int64(3))})
	b.Judge(Thresholds{P99: new(time.Second), Errors: new(0.9), Lost: new(int64(2))})
	merged, err := Merge(a, b)
	const want = "failed [{errors 0.6666666666666666 0.8 % true} {p99 197.119 150 ms false} {violations 2 2  true}]"
	if got := fmt.Sprint(merged.Verdict, " ", merged.Thresholds); err != nil || got != want {
		t.Errorf("%s, %v, want %s", got, err, want)
	}
	if read := merged.Operations["read"]; read.Requests != 300 || read.Failed != 2 || read.Latency != merged.Latency {
		t.Errorf("reads: %+v", read)
	}
	b.Verdict = Interrupted
	if merged, err = Merge(a, b); err != nil || merged.Verdict != Interrupted {
		t.Errorf("%s, %v, want interrupted", merged.Verdict, err)
	}
	merged.Verdict, merged.Thresholds[1].Passed = Passed, true
	text, err := json.Marshal(merged)
	if err != nil {
		t.Fatal(err)
	}
	if merged, err = ParseResult(text); err != nil || merged.Verdict != Failed || merged.Thresholds[1].Passed {
		t.Errorf("%s, %v, %v, want failed", merged.Verdict, merged.Thresholds, err)
	}
	if _, err := Merge(a, merged); err == nil || !strings.Contains(err.Error(), "results 1 and 2 both have the requests of run run-100") {
		t.Errorf("merging a result that is already in the other: %v, want it refused", err)
	}
}

func TestErrorClasses(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{context.DeadlineExceeded, "timeout"},
		{&net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}, "timeout"},
		{&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, "refused"},
		{&net.OpError{Op: "read", Err: syscall.ECONNRESET}, "closed"},
		{fmt.Errorf("reading: %w", io.ErrUnexpectedEOF), "closed"},
		{&net.OpError{Op: "dial", Err: &net.DNSError{IsNotFound: true}}, "dns"},
		{fmt.Errorf("handshake: %w", tls.AlertError(40)), "tls"},
		{errors.New("anything"), "connection"},
	} {
		if got := class(test.err); got != test.want {
			t.Errorf("%v: %s, want %s", test.err, got, test.want)
		}
	}
}
