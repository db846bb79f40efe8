package dashboard

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"stateless-servers/app/config"
	"stateless-servers/lab/balancer"
	"stateless-servers/lab/check"
	"stateless-servers/lab/fleet"
	"stateless-servers/lab/load"
)

func TestRates(t *testing.T) {
	f := newFake()
	f.servers[0].Requests = 100 // before the sampler started
	w := newSampler(f)
	f.servers[0].Requests = 120
	f.servers[1].Requests = 5
	f.errors = balancer.Errors{BadGateway: 3, ServiceUnavailable: 1, GatewayTimeout: 1}
	w.sample(w.last.Add(2 * time.Second))
	f.servers = append(f.servers[1:], fleet.Server{Name: "server-3", Requests: 4}) // server-1 is gone
	w.sample(w.last.Add(time.Second))
	w.sample(w.last) // a clock that was set back

	got := w.history()
	if len(got) != 2 || got[0].requests["server-1"] != 10 || got[0].requests["server-2"] != 2.5 || got[0].failed != 2.5 || got[0].total() != 15 {
		t.Errorf("first %+v", got)
	}
	if _, there := got[1].requests["server-1"]; there || got[1].requests["server-3"] != 4 || got[1].total() != 4 {
		t.Errorf("then %+v", got[1])
	}
	for range 2 * maxSamples {
		w.sample(w.last.Add(time.Second))
	}
	if n := len(w.history()); n != maxSamples {
		t.Errorf("%d samples are kept, want %d", n, maxSamples)
	}
}

func TestChart(t *testing.T) {
	start := time.Now()
	samples := []sample{
		{start, map[string]float64{"server-10": 10, "server-9": 30, "server-1": 0}, 0},
		{start.Add(time.Second), map[string]float64{"server-10": 10}, 20},
	}
	events := []Event{{2, start.Add(time.Second / 2), "later"}, {1, start.Add(-time.Minute), "too early"}}
	c := draw(samples, events)
	if c.Top != 40 || len(c.Legend) != 2 || c.Legend[0].Name != "server-9" || c.Legend[1].Name != "server-10" || !c.Failed || !c.Marked {
		t.Fatalf("got %+v", c)
	}
	svg := string(c.SVG)
	for _, part := range []string{ // the newest column is at the right edge, and the servers are stacked
		fmt.Sprintf(`<path class="server-%d" d="M580.0 25.00h8.5v75.00h-8.5z"><title>server-9</title>`, markerOf("server-9").Colour),
		`d="M580.0 0.00h8.5v25.00h-8.5zM590.0 75.00h8.5v25.00h-8.5z"><title>server-10</title>`,
		`<path class="failed" d="M590.0 25.00h8.5v50.00h-8.5z">`, `<path class="mark" d="M590.0 0V100"><title>`, " later</title>", "30 now, 40 at most",
	} {
		if !strings.Contains(svg, part) {
			t.Errorf("%s is not in\n%s", part, svg)
		}
	}
	if strings.Contains(svg, "too early") {
		t.Error("an event from before the first column is marked")
	}
	if c := draw(nil, nil); !strings.Contains(string(c.SVG), "0 now, 0 at most") || c.Failed || c.Marked {
		t.Errorf("without samples the chart is %+v", c)
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
	w := newStoreMonitor(config.StoreValkey, f, events)
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
		other := newStoreMonitor(kind, f, events)
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
