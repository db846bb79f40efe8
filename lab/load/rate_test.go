package load

import (
	"context"
	"testing"
	"time"
)

func TestRates(t *testing.T) {
	for _, text := range []string{"200", "0.5", "100..500", "500..100", "100,200,400", "1..100,100,100..1"} {
		rate, ok := ParseRate(text)
		if !ok || rate.String() != text {
			t.Errorf("%q: %v, %q", text, ok, rate)
		}
	}
	for _, text := range []string{"", "0", "-1", "x", "100..", "..5", "1,,2", "1e9", "100001", "NaN", "Inf", "100-500"} {
		if rate, ok := ParseRate(text); ok {
			t.Errorf("%q is parsed as %v, want an error", text, rate)
		}
	}
}

func TestSchedule(t *testing.T) {
	const s, ms = time.Second, time.Millisecond
	tests := []struct {
		rate             string
		warmup, duration time.Duration
		first, total     int
		due              map[int]time.Duration
	}{
		{"200", 0, 2 * s, 0, 400, map[int]time.Duration{0: 0, 1: 5 * ms, 399: 1995 * ms}},
		{"200", s, 2 * s, 200, 600, map[int]time.Duration{0: 0, 200: s, 201: 1005 * ms, 599: 2995 * ms}},
		{"10", 0, s, 0, 10, map[int]time.Duration{0: 0, 1: 0, 2: 200 * ms, 3: 200 * ms, 9: 800 * ms}}, // in twos
		{"10", 300 * ms, 300 * ms, 3, 6, map[int]time.Duration{2: 200 * ms, 3: 300 * ms, 4: 300*ms + 100*ms, 5: 300*ms + 100*ms}},
		{"100,200,400", 0, 3 * s, 0, 700, map[int]time.Duration{99: 990 * ms, 100: s, 101: 1005 * ms, 300: 2 * s, 301: 2002500 * time.Microsecond}},
		{"100..500", 0, s, 0, 300, map[int]time.Duration{0: 0, 132: 600 * ms}}, // 100·0.6 + 400/2·0.6² = 132
		{"500..100", 0, s, 0, 300, map[int]time.Duration{168: 400 * ms}},       // 500·0.4 - 400/2·0.4² = 168
		{"0.1", 0, s, 0, 1, map[int]time.Duration{0: 0}},
	}
	for _, test := range tests {
		rate, _ := ParseRate(test.rate)
		schedule := newSchedule(rate, test.warmup, test.duration)
		if schedule.first != test.first || schedule.total != test.total {
			t.Errorf("%s: measures %d to %d, want %d to %d", test.rate, schedule.first, schedule.total, test.first, test.total)
		}
		for n, want := range test.due {
			if got := schedule.due(n); (got - want).Abs() > time.Microsecond {
				t.Errorf("%s: request %d is due at %v, want %v", test.rate, n, got, want)
			}
		}
		before := time.Duration(0)
		for n := range schedule.total {
			due := schedule.due(n)
			if due < before || due >= schedule.length || (n >= test.first) != (due >= test.warmup) {
				t.Fatalf("%s: request %d is due at %v, the one before at %v", test.rate, n, due, before)
			}
			before = due
		}
		if got := schedule.scheduled(schedule.length); got != test.total-test.first {
			t.Errorf("%s: %d scheduled", test.rate, got)
		}
		if got := schedule.scheduled(test.warmup); got != 0 {
			t.Errorf("%s: %d scheduled before the measurement", test.rate, got)
		}
	}
}

func TestMixes(t *testing.T) {
	mix, ok := ParseMix("write=20,read=80")
	if !ok || mix != (Mix{0, 80, 20, 0, 0, 0}) || mix.String() != "read=80,write=20" {
		t.Errorf("got %v, %v", mix, ok)
	}
	if again, ok := ParseMix(DefaultMix().String()); !ok || again != DefaultMix() {
		t.Errorf("the default is %v, read as %v", DefaultMix(), again)
	}
	for _, text := range []string{"", "read", "read=", "read=x", "read=-1", "read=0", "wash=1", "read=1,read=2", "read=1001", "read=1,"} {
		if mix, ok := ParseMix(text); ok {
			t.Errorf("%q is parsed as %v, want an error", text, mix)
		}
	}
	drawn := map[string]int{}
	for range 1000 {
		drawn[string(mix.draw())]++
	}
	if len(drawn) != 2 || drawn["read"] < drawn["write"] {
		t.Errorf("drawn %v", drawn)
	}
}

func TestCookies(t *testing.T) {
	jar := &cookies{}
	steps := []struct {
		lines []string
		want  string
	}{
		{nil, ""},
		{[]string{"session=a; Path=/; HttpOnly", "AWSALB=x"}, "session=a; AWSALB=x"},
		{[]string{"AWSALB=y"}, "session=a; AWSALB=y"},
		{[]string{"b@d name=1", "AWSALBCORS=z"}, "session=a; AWSALB=y; AWSALBCORS=z"},
		{[]string{"session=; Max-Age=0"}, "AWSALB=y; AWSALBCORS=z"},
		{[]string{"gone=; Max-Age=0", "session=c; Max-Age=60"}, "AWSALB=y; AWSALBCORS=z; session=c"},
		{[]string{"session=c; Expires=Thu, 01 Jan 1970 00:00:00 GMT"}, "AWSALB=y; AWSALBCORS=z"},
		{[]string{"session=d"}, "AWSALB=y; AWSALBCORS=z; session=d"},
	}
	for _, step := range steps {
		jar.apply(step.lines)
		if jar.header != step.want {
			t.Errorf("after %q: %q, want %q", step.lines, jar.header, step.want)
		}
	}
	if got := jar.nextVisit().header; got != "AWSALB=y; AWSALBCORS=z" {
		t.Errorf("the next visit has %q", got)
	}
}

// Latency counts from the time at which a request was due, even if it was sent late.
func TestLatencyCountsFromDueTime(t *testing.T) {
	// Long spans, so that the last response closes two of them, not thousands.
	s := newStats(maxTime)
	s.add(sample{due: 0, sent: 0, received: 10 * time.Millisecond, server: "server-1"}, false) // in the warm-up
	s.add(sample{due: time.Second, sent: 1200 * time.Millisecond, received: 1250 * time.Millisecond, server: "server-1"}, true)
	s.add(sample{due: 2 * time.Second, sent: 2 * time.Second, received: 2*time.Second + 2*maxTime, failed: errTimeout}, true)
	for _, got := range []struct {
		name      string
		got, want float64
	}{
		{"latency", quantiles(s.latency).P50, 250}, {"service", quantiles(s.service).P50, 50}, {"late", quantiles(s.late).Max, 200},
		{"longest", quantiles(s.latency).Max, float64(maxTime.Milliseconds())},
		{"requests", float64(s.requests), 2}, {"ok", float64(s.ok), 1}, {"timeouts", float64(s.errors[errTimeout]), 1},
		{"of server-1", float64(s.servers["server-1"]), 1},
	} {
		if got.got < got.want*0.999 || got.got > got.want*1.001 {
			t.Errorf("%s: %v, want %v", got.name, got.got, got.want)
		}
	}
	p := Progress{Elapsed: 2 * time.Second}
	s.progress(&p)
	if p.Rate != 1.5 || p.Requests != 2 || p.Errors[errTimeout] != 1 {
		t.Errorf("progress %+v", p)
	}
	p = Progress{Elapsed: 3 * time.Second}
	if s.progress(&p); p.Rate != 0 || p.P99 != 0 || p.Requests != 2 {
		t.Errorf("a second later: %+v", p)
	}
}

func TestEvents(t *testing.T) {
	e := newEvents()
	e.record(sample{received: 500 * time.Millisecond, server: "server-1"})
	e.record(sample{received: 3 * time.Second, server: "server-2"})
	e.record(sample{received: 4 * time.Second, server: "server-2", failed: "http_502"})
	e.record(sample{received: 5 * time.Second, failed: "closed"})
	e.endSpell(6 * time.Second)
	e.endSpell(8 * time.Second)
	e.endSpell(9 * time.Second)
	e.record(sample{received: 9500 * time.Millisecond, failed: "timeout"})
	e.add(500*time.Millisecond, "early")
	want := []Event{
		{0.5, "early"}, {3, "server-2 answers for the first time"}, {4, "errors begin: http_502"}, {5, "errors end, after 2"},
		{9.5, "errors begin: timeout"},
	}
	got := e.sorted()
	for i := range want {
		if len(got) != len(want) || got[i] != want[i] {
			t.Fatalf("got %v, want %v", got, want)
		}
	}
}

// A request that became due just before an interruption doesn't count as missed, unless the pacer was behind its schedule.
func TestInterruptionMissesNoRequest(t *testing.T) {
	for late, missed := range map[time.Duration]int{0: 0, 40 * time.Millisecond: 0, time.Second: 50} {
		var now time.Duration
		p := &pacer{schedule: newSchedule(Rate{{50, 50}}, 0, time.Minute), now: func() time.Duration { return now }}
		ctx, interrupt := context.WithCancel(t.Context())
		for range 100 {
			now = p.due(p.next)
			p.pace(ctx)
		}
		now = p.due(p.next) + late
		interrupt()
		p.pace(ctx)
		if got := p.scheduled(p.stopped) - p.next; got != missed {
			t.Errorf("interrupted %s after a request was due: %d missed, want %d", late, got, missed)
		}
	}
}
