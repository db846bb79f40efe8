package dashboard

import (
	"bufio"
	"context"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"stateless-servers/app/config"
	"stateless-servers/lab/balancer"
	"stateless-servers/lab/check"
	"stateless-servers/lab/fleet"
	"stateless-servers/lab/load"
)

// The page counts the servers' responses by the header X-Served-By. The load balancer counts its own errors.
func TestObserve(t *testing.T) {
	f := newFake()
	page := newPage(t, f)
	page.Close() // so that only the test takes samples
	handler := page.Observe(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status, _ := strconv.Atoi(r.URL.Query().Get("status"))
		w.Header().Set("X-Served-By", r.URL.Query().Get("server"))
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(status)
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Errorf("the writer can't flush: %v", err)
		}
	}))
	for _, query := range []string{"server=server-1&status=200", "server=server-1&status=503", "server=server-2&status=404", "status=502"} {
		handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/?"+query, nil))
	}
	f.errors = balancer.Errors{GatewayTimeout: 1}
	page.sampler.sample(page.sampler.began.Add(time.Second))
	s := page.state(1)
	if s.Failed != 1 || s.Servers[0].Failed != 1 || s.Servers[1].Failed != 0 || s.Rate != 4 || s.FailedRate != 2 || s.Servers[0].Rate != 2 {
		t.Errorf("failed %d, rates %v and %v, servers %+v", s.Failed, s.Rate, s.FailedRate, s.Servers)
	}
	if text := s.Failures(); text != "2 in the last minute: 1 by servers, 1 by the load balancer" {
		t.Errorf("failures: %s", text)
	}
}

func TestRates(t *testing.T) {
	f := newFake()
	f.errors.BadGateway = 7 // before the sampler started
	w := newSampler(f)
	observe := func(server string, status, n int) {
		for range n {
			w.observe(server, status, time.Duration(status)*time.Millisecond)
		}
	}
	observe("server-1", 200, 20)
	observe("server-2", 500, 5)
	observe("", 502, 5)
	f.errors = balancer.Errors{BadGateway: 10, ServiceUnavailable: 1, GatewayTimeout: 1}
	w.sample(w.began.Add(2 * time.Second))
	observe("server-3", 200, 4)
	w.sample(w.began.Add(time.Second))
	w.sample(w.began) // a clock that was set back

	got, failed := w.history(1)
	if len(got) != 2 || got[0].rate(got[0].servers["server-1"].requests) != 10 || got[0].rate(got[0].requests()) != 15 ||
		!maps.Equal(failed, map[string]int64{"server-2": 5, "": 12}) {
		t.Errorf("first %+v, failed %v", got, failed)
	}
	if !maps.Equal(got[1].servers, map[string]counts{"server-3": {4, 0}}) {
		t.Errorf("then %+v", got[1])
	}
	if got[0].P50 < 199 || got[0].P50 > 201 || got[0].P99 < 500 || got[0].P99 > 504 {
		t.Errorf("percentiles %v and %v, want 200 and about 502", got[0].P50, got[0].P99)
	}
	for range 15*maxSamples + 30 {
		observe("server-1", 200, 1)
		w.sample(w.began.Add(time.Second))
	}
	for _, minutes := range ranges() {
		got, _ := w.history(minutes)
		if n := len(got); n != maxSamples {
			t.Errorf("%d minutes: %d samples are kept, want %d", minutes, n, maxSamples)
		}
		if s := got[5]; s.length != time.Duration(minutes)*time.Second || s.rate(s.requests()) != 1 {
			t.Errorf("%d minutes: a sample of %v with %d requests, want %d", minutes, s.length, s.requests(), minutes)
		}
	}
}

func TestChart(t *testing.T) {
	start := time.Now()
	samples := []sample{
		{at: start, length: time.Second, servers: map[string]counts{"server-10": {10, 0}, "server-9": {30, 0}}, P50: 2, P99: 20},
		{at: start.Add(time.Second), length: time.Second, servers: map[string]counts{"server-10": {20, 10}, "": {10, 10}}, P99: 1000},
	}
	events := []Event{{2, start.Add(time.Second / 2), "later: why"}, {1, start.Add(-time.Minute), "too early"}}
	c := draw(samples, events, 5)
	var legend []string
	for _, entry := range slices.Concat(c.Legend, c.Quantiles) {
		legend = append(legend, entry.Class+" "+entry.Tile+" "+entry.Name+" "+entry.Value)
	}
	want := []string{
		"  all 30", "server-0 9 server-9 0", "server-1 10 server-10 20", "failed ! failed 20", "p50  median –", "p99  99th percentile 1000 ms",
	}
	if !slices.Equal(legend, want) {
		t.Errorf("legend %q, want %q", legend, want)
	}
	pictures := string(c.Labels + c.Requests + c.Latency)
	for _, part := range []string{ // the newest column is at the right edge, and the failures are on top
		`<path class="server-0" d="M580.0 25.00h8.5v75.00h-8.5z"><title>server-9</title>`,
		`d="M580.0 0.00h8.5v25.00h-8.5zM590.0 75.00h8.5v25.00h-8.5z"><title>server-10</title>`,
		`<path class="failed" d="M590.0 25.00h8.5v50.00h-8.5z">`, `<path class="mark" d="M590.0 0V100"><title>2 later</title>`,
		`text-anchor="end">2 <tspan class="wide">later</tspan>`, "last 5 minutes: 30 now, 40 at most",
		`<path class="p99" d="M585.0 56.63h0L595.0 0.00">`, ">1000 ms</text>",
	} {
		if !strings.Contains(pictures, part) {
			t.Errorf("%s is not in\n%s", part, pictures)
		}
	}
	for i := range 4 {
		events = append(events, Event{3 + i, start, "crowded"})
	}
	if labels := string(draw(samples, events, 5).Labels); strings.Count(labels, ">crowded<") != 2 || !strings.Contains(labels, ">5 <") {
		t.Errorf("labels for which there is no room don't have their number only: %s", labels)
	}
	if strings.Contains(pictures, "too early") {
		t.Error("an event from before the first column is marked")
	}
	if columns := `null,["` + start.Format(time.TimeOnly) + `","40","30","10","0","2 ms","20 ms"],["`; !strings.Contains(c.Columns, columns) {
		t.Errorf("%s is not in %s", columns, c.Columns)
	}
	if c := draw(nil, nil, 1); !strings.Contains(string(c.Requests), "– now, 0 at most") || len(c.Legend) != 2 {
		t.Errorf("without samples the chart is %+v", c)
	}
}

// The page says of a dead server that the load balancer has not noticed, and doesn't count it as healthy.
func TestDeadServers(t *testing.T) {
	for _, test := range []struct {
		process fleet.ProcessState
		state   balancer.TargetState
		shown   string
		healthy int
	}{
		{fleet.ProcessRunning, balancer.StateHealthy, "healthy", 1},
		{fleet.ProcessKilled, balancer.StateHealthy, "killed, not yet noticed", 0},
		{fleet.ProcessEnded, balancer.StateHealthy, "ended, not yet noticed", 0},
		{fleet.ProcessKilled, balancer.StateUnhealthy, "killed, out of service", 0},
		{fleet.ProcessKilled, balancer.StateDraining, "killed, being removed", 0},
		{fleet.ProcessRunning, balancer.StateDraining, "draining", 0},
	} {
		s := state{Servers: []serverState{{Server: fleet.Server{Name: "server-1", State: test.state, Process: test.process}}}}
		if got := s.Servers[0].Shown(); got != test.shown || s.Healthy() != test.healthy {
			t.Errorf("%s and %s: %q, %d healthy, want %q, %d", test.process, test.state, got, s.Healthy(), test.shown, test.healthy)
		}
	}
}

func TestEvents(t *testing.T) {
	var reported []string
	e := NewEvents(func(text string) { reported = append(reported, text) })
	_, changed := e.recent()
	for range maxEvents {
		e.Add("something")
	}
	e.Add("the last")
	<-changed
	list, _ := e.recent()
	if len(list) != maxEvents || list[0].Text != "the last" || list[0].Number != maxEvents+1 || len(reported) != maxEvents+1 {
		t.Errorf("%d events, %d reported, the first %+v", len(list), len(reported), list[0])
	}
}

// The state of the store follows from what the healthy servers report.
func TestStoreState(t *testing.T) {
	status := http.StatusOK
	ready := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/readyz" {
			t.Errorf("requested %s, want /readyz", r.URL)
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(`{"detail":"The session store doesn't answer."}`))
	}))
	defer ready.Close()

	f := newFake()
	f.servers[0].Address = "127.0.0.1:1" // nothing listens there, like a killed server that still counts as healthy
	f.servers[1].Address, f.servers[1].State = strings.TrimPrefix(ready.URL, "http://"), balancer.StateHealthy
	events := NewEvents(func(string) {})
	w := newStoreMonitor(config.StoreValkey, nil, f, events)
	now := time.Now()
	look := func(want Reach) {
		t.Helper()
		state := w.probe(t.Context())
		w.set(state, now)
		if state.Reach != want || (state.Latency > 0) != (want == ReachAvailable) {
			t.Errorf("got %+v, want %s", state, want)
		}
		now = now.Add(3 * time.Second)
	}
	look(ReachAvailable)
	status = http.StatusServiceUnavailable
	look(ReachUnavailable)
	look(ReachUnavailable) // the same outage
	status = http.StatusInternalServerError
	look(ReachUnknown)
	status = http.StatusOK
	look(ReachAvailable)
	f.servers[1].State = balancer.StateUnhealthy
	look(ReachUnknown)

	var texts []string
	list, _ := events.recent()
	for _, event := range list {
		texts = append(texts, event.Text)
	}
	want := []string{"store answers again, after 9 s", "store down: server-2: The session store doesn't answer."}
	if !slices.Equal(texts, want) {
		t.Errorf("events %q, want %q", texts, want)
	}
	for _, kind := range []config.StoreKind{config.StoreMemory, config.StoreCookie, config.StoreToken} {
		other := newStoreMonitor(kind, nil, f, events)
		other.run(t.Context()) // returns at once
		if other.now().Reach != ReachNone {
			t.Errorf("%s: %+v", kind, other.now())
		}
	}
}

// The switch runs one load at a time and keeps the results of the last one.
func TestLoadSwitch(t *testing.T) {
	events := NewEvents(func(string) {})
	running := make(chan string)
	s := newLoadSwitch(func(ctx context.Context, level Level, progress func(load.Progress)) (load.Result, error) {
		progress(load.Progress{Phase: load.Measure, Requests: 5, OK: 4, Sessions: check.Counts{Total: 2, Lost: 1}})
		running <- level.Name
		<-ctx.Done()
		return load.Result{Requests: 9, OK: 7, Sessions: check.Counts{Total: 3, Lost: 1, LostUpdates: 2}}, nil
	}, events)
	level := func(name string) Level {
		return levels()[slices.IndexFunc(levels(), func(l Level) bool { return l.Name == name })]
	}
	s.set(level("low"))
	s.set(level("low")) // does not start a second one
	if got := <-running; got != "low" {
		t.Errorf("runs %s", got)
	}
	if now := s.now(); now.Name != "low" || now.Requests != 5 || now.Failed != 1 || now.Sessions.Lost != 1 {
		t.Errorf("while it runs: %+v", now)
	}
	s.set(level("high"))
	if got := <-running; got != "high" {
		t.Errorf("runs %s", got)
	}
	s.close()
	if now := s.now(); now.Name != "off" || now.Phase != "" || now.Requests != 9 || now.Failed != 2 || now.Sessions.LostUpdates != 2 {
		t.Errorf("in the end: %+v", now)
	}
	list, _ := events.recent()
	if len(list) != 4 || list[0].Text != "load ended: 9 requests, 2 failed, 1 sessions lost, 2 updates lost" {
		t.Errorf("events %+v", list)
	}
}

// A load that fails to start is an event, and the switch goes back to off.
func TestLoadFailsToStart(t *testing.T) {
	events := NewEvents(func(string) {})
	s := newLoadSwitch(func(context.Context, Level, func(load.Progress)) (load.Result, error) {
		return load.Result{}, errors.New("nobody answers")
	}, events)
	s.set(levels()[1])
	s.mu.Lock()
	ended := s.ended
	s.mu.Unlock()
	<-ended
	if list, _ := events.recent(); list[0].Text != "load failed: nobody answers" || s.now().Name != "off" {
		t.Errorf("events %+v, the switch is at %s", list, s.now().Name)
	}
}

// A form sets the switch. The response does not wait for the load.
func TestLoadRoute(t *testing.T) {
	form := url.Values{"level": {"low"}}.Encode()
	if got := requestWithForm(t, newFake(), "POST", "/_lab/load", nil, form); got.Code != http.StatusAccepted || !strings.Contains(got.Body.String(), `"phase":`) {
		t.Errorf("got %d %s", got.Code, got.Body)
	}
	if got := requestWithForm(t, newFake(), "POST", "/_lab/load", map[string]string{"Accept": html}, form); got.Code != http.StatusSeeOther {
		t.Errorf("a browser's form: %d", got.Code)
	}
	if got := requestWithForm(t, newFake(), "POST", "/_lab/load", nil, "level="+strings.Repeat("x", maxFormBytes)); got.Code != http.StatusUnprocessableEntity {
		t.Errorf("a long form: %d", got.Code)
	}
}

// The stream begins with the present page and has a message for every event.
func TestLive(t *testing.T) {
	page := newPage(t, newFake())
	server := httptest.NewServer(page)
	defer server.Close()
	response, err := http.Get(server.URL + "/_lab/live")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if kind := response.Header.Get("Content-Type"); kind != "text/event-stream" {
		t.Errorf("Content-Type %s", kind)
	}
	lines := bufio.NewScanner(response.Body)
	message := func() string {
		var text strings.Builder
		for lines.Scan() && lines.Text() != "" {
			data, ok := strings.CutPrefix(lines.Text(), "data: ")
			if !ok {
				t.Fatalf("a line without data: %q", lines.Text())
			}
			text.WriteString(data + "\n")
		}
		return text.String()
	}
	if first := message(); !strings.HasPrefix(first, `<div class="live">`) || !strings.HasSuffix(first, "</div>\n") || !strings.Contains(first, "server-2") {
		t.Errorf("the first message: %s", first)
	}
	page.events.Add("something <happened>")
	for range 100 {
		if strings.Contains(message(), "something &lt;happened&gt;") {
			return
		}
	}
	t.Error("the event was not sent")
}
