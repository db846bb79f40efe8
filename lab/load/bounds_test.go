package load

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"stateless-servers/session/sessiontest"
)

// Every number of a result is checked: the test sets each in turn too low, too high, or to the largest possible value.
func TestNumbersOfAResultAreBounded(t *testing.T) {
	sample, err := json.Marshal(sampleResult(t, 10, noon))
	if err != nil {
		t.Fatal(err)
	}
	numbers := 0
	for i := 0; ; i++ {
		tried := false
		for _, x := range []float64{-5, 1e16, 1e308, math.MaxInt64} {
			var r Result
			if err := json.Unmarshal(sample, &r); err != nil {
				t.Fatal(err)
			}
			seen := 0
			where := ""
			visit(reflect.ValueOf(&r).Elem(), func(v reflect.Value, path string) {
				if seen == i {
					tried, where = true, path
					if v.Kind() == reflect.Float64 {
						v.SetFloat(x)
					} else {
						v.SetInt(int64(max(-5, min(x, math.MaxInt64/2))))
					}
				}
				seen++
			})
			numbers = seen
			if !tried {
				break
			}
			text, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := ParseResult(text); err == nil || !strings.Contains(err.Error(), "allowed is a number from 0 to 1e+15") {
				t.Errorf("%s as %g: %v", where, x, err)
			}
		}
		if !tried {
			break
		}
	}
	if numbers < 50 {
		t.Errorf("only %d numbers found", numbers)
	}
}

// visit calls do with every settable number in v.
func visit(v reflect.Value, do func(v reflect.Value, path string)) { visitAt(v, "", do) }

func visitAt(v reflect.Value, path string, do func(reflect.Value, string)) {
	switch v.Kind() {
	case reflect.Int, reflect.Int64, reflect.Float64:
		do(v, path)
	case reflect.Slice:
		for i := range v.Len() {
			visitAt(v.Index(i), fmt.Sprintf("%s[%d]", path, i), do)
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			item := reflect.New(v.Type().Elem()).Elem()
			item.Set(v.MapIndex(key))
			visitAt(item, path+"["+key.String()+"]", do)
			v.SetMapIndex(key, item)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if field := v.Type().Field(i); field.IsExported() {
				visitAt(v.Field(i), path+"."+field.Name, do)
			}
		}
	}
}

func TestSizesOfAResultAreBounded(t *testing.T) {
	for want, spoil := range map[string]func(*Result){
		"series has 1201 items": func(r *Result) {
			r.Series = nil
			for i := range maxMergedSpans + 1 {
				r.Series = append(r.Series, Span{T: float64(i)})
			}
		},
		"series[1].t is 0: allowed is more":      func(r *Result) { r.Series[1].T = 0 },
		"series has 1100 servers":                func(r *Result) { r.Series = []Span{{T: 0, Servers: names("a", 600)}, {T: 1, Servers: names("b", 500)}} },
		`operations has "wash": allowed are [no`: func(r *Result) { r.Operations["wash"] = Operation{} },
		"errors has 1001 keys":                   func(r *Result) { r.Errors = names("e", 1001) },
		"events has 100001 items":                func(r *Result) { r.Events = make([]Event, maxItems+1) },
		"findings[0] has 1048577 bytes":          func(r *Result) { r.Findings = []string{strings.Repeat("a", maxText+1)} },
		"settings[0].machine.load is -1":         func(r *Result) { r.Settings[0].Machine.Load = -1 },
		`series[0].servers["\x1b[2J"] is -1: al`: func(r *Result) { r.Series[0].Servers = map[string]int64{"\x1b[2J": -1} },
	} {
		r := sampleResult(t, 10, noon)
		spoil(&r)
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseResult(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func names(prefix string, n int) map[string]int64 {
	list := map[string]int64{}
	for i := range n {
		list[fmt.Sprint(prefix, i)] = 1
	}
	return list
}

// Only results that overlap in time are merged.
func TestMergeRefusesResultsOfOtherTimes(t *testing.T) {
	for apart, may := range map[time.Duration]bool{
		0: true, 4 * time.Second: true, -4 * time.Second: true, 6 * time.Second: false, -6 * time.Second: false,
		24 * time.Hour: false, math.MaxInt64: false,
	} {
		_, err := Merge(sampleResult(t, 10, noon), sampleResult(t, 12, noon.Add(apart)))
		if (err == nil) != may || err != nil && !strings.Contains(err.Error(), "only what was tested at the same time adds up") {
			t.Errorf("%v apart: %v", apart, err)
		}
	}
	far := time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)
	if _, err := Merge(sampleResult(t, 10, noon), sampleResult(t, 12, far)); err == nil {
		t.Error("the year 9999 overlaps with this one")
	}
}

// For any times of spans, the merged series has a bounded number of spans and all responses.
func TestMergedSeriesIsBounded(t *testing.T) {
	sessiontest.Long(t)
	for _, times := range [][]float64{{1e14}, {0, 1, 1e14}, {0, 1e-300, 1e-299}} {
		a, b := sampleResult(t, 10, noon), sampleResult(t, 12, noon.Add(time.Second))
		histogram := a.Series[0].Histogram
		a.Series = nil
		for _, at := range times {
			a.Series = append(a.Series, Span{T: at, Requests: 1, Histogram: histogram})
		}
		b.Series = nil
		sum, err := Merge(a, b)
		if err != nil {
			t.Fatal(err)
		}
		var answered int64
		for _, span := range sum.Series {
			answered += span.Requests
		}
		if len(sum.Series) > maxMergedSpans || answered != int64(len(times)) {
			t.Errorf("%v: %d spans with %d requests", times, len(sum.Series), answered)
		}
		text, err := json.Marshal(sum)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseResult(text); err != nil {
			t.Errorf("%v: what was merged can't be read: %v", times, err)
		}
	}
}

// A histogram from a file needs no more memory than one of a run, and its counts don't overflow.
func TestHistogramsAreBounded(t *testing.T) {
	large := hdrhistogram.New(1, maxTime.Microseconds(), 5)
	_ = large.RecordValue(1)
	many := newHistogram()
	_ = many.RecordValues(1, math.MaxInt64)
	for _, h := range []*hdrhistogram.Histogram{large, many} {
		r := sampleResult(t, 10, noon)
		if err := r.encode(h, h); err != nil {
			t.Fatal(err)
		}
		if _, err := Merge(r); err == nil || !strings.Contains(err.Error(), "result 1: its histogram has more than 3 significant digits") {
			t.Errorf("got %v", err)
		}
		r = sampleResult(t, 10, noon)
		r.Series[0].Histogram, _ = encode(h)
		if _, err := Merge(r); err == nil || !strings.Contains(err.Error(), "its histogram has more than 3 significant digits") {
			t.Errorf("of a span: got %v", err)
		}
	}
}

// A result can be parsed even if servers send arbitrary names and the process was stopped for a day.
func TestResultOfARunIsBounded(t *testing.T) {
	sessiontest.Long(t)
	r := sampleResult(t, 10, noon)
	spans := newSeries(time.Second)
	known := newStats(time.Second)
	for i := range 2000 {
		spans.add(sample{received: time.Second, server: known.name(fmt.Sprint("server-", i)), failed: "timeout"})
		spans.add(sample{received: time.Second, server: known.name(strings.Repeat("x", 200+i))})
	}
	spans.add(sample{received: 24 * time.Hour, server: known.name("server-7")})
	var err error
	if r.Series, err = spans.all(); err != nil {
		t.Fatal(err)
	}
	if n := len(r.Series); n != maxMergedSpans {
		t.Errorf("%d spans", n)
	}
	if got := r.Series[1].Servers; len(got) != maxServers+1 || got["server-7"] != 1 || got["others"] != 1500+2000 {
		t.Errorf("%d servers, server-7 %d times, others %d times", len(got), got["server-7"], got["others"])
	}
	if got := r.Series[maxMergedSpans-1].Servers["server-7"]; got != 1 {
		t.Errorf("what was answered a day later counts %d times at the end", got)
	}
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseResult(text); err != nil {
		t.Error(err)
	}
}

func TestCookieJarIsBounded(t *testing.T) {
	jar := &cookies{}
	for i := range 2 * maxCookies {
		jar.apply([]string{fmt.Sprintf("c%d=1", i), "c0=2"})
	}
	if len(jar.list) != maxCookies || !strings.HasPrefix(jar.header, "c0=2; c1=1; ") {
		t.Errorf("%d cookies: %s", len(jar.list), jar.header)
	}
}

// FuzzResult parses arbitrary results and merges the valid ones.
func FuzzResult(f *testing.F) {
	f.Add([]byte("{}"))
	f.Add([]byte(`{"histograms":{"latency":"AAAA","service":"` + base64.StdEncoding.EncodeToString([]byte("nonsense")) + `"},"started":"2026-01-01T00:00:00Z"}`))
	h := newHistogram()
	record(h, time.Second)
	r := Result{
		Started: noon, Series: []Span{{Servers: map[string]int64{"a": 1}}}, Operations: map[string]Operation{"read": {latency: h}},
		Thresholds: []Threshold{{Name: "errors", Limit: 1}},
	}
	if err := r.encode(h, h); err != nil {
		f.Fatal(err)
	}
	r.Series[0].Histogram = r.Histograms.Latency
	text, err := json.Marshal(r)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := ParseResult(text)
		if err != nil {
			return
		}
		_, _ = Merge(r, r) // a histogram may still be unreadable
	})
}
