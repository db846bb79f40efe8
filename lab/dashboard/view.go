package dashboard

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"stateless-servers/lab/balancer"
	"stateless-servers/lab/fleet"
)

// state is the data of the page, and the JSON of GET /_lab/fleet.
type state struct {
	Info
	Servers    []serverState `json:"servers"`
	Rate       float64       `json:"rate"`        // requests per second, including the failed ones
	FailedRate float64       `json:"failed_rate"` // failed requests per second, at the servers and at the load balancer
	P99        float64       `json:"p99_ms"`      // of the last second
	Failed     int64         `json:"failed"`      // responses 502, 503 and 504 of the load balancer itself
	Reached    storeState    `json:"store_state"`
	Load       loadState     `json:"load"`
	Events     []Event       `json:"events"` // newest first

	Pausable bool      `json:"-"` // whether the page can pause the store
	Minutes  int       `json:"-"` // the range of the chart
	All      sample    `json:"-"` // of the range
	Chart    chartView `json:"-"`
}

// serverState is a server with its rate in requests per second.
type serverState struct {
	fleet.Server
	marker
	Rate   float64 `json:"rate"`
	Failed int64   `json:"failed"` // its responses 500 and above
}

// Dead reports whether the process has ended.
func (s serverState) Dead() bool { return s.Process != fleet.ProcessRunning }

// Shown returns the state that the page shows. A dead server doesn't look healthy while the load balancer hasn't noticed.
func (s serverState) Shown() string {
	switch {
	case !s.Dead():
		return string(s.State)
	case s.State == balancer.StateHealthy:
		return fmt.Sprintf("%s, not yet noticed", s.Process)
	case s.State == balancer.StateDraining:
		return fmt.Sprintf("%s, being removed", s.Process)
	}
	return fmt.Sprintf("%s, out of service", s.Process)
}

// Healthy returns the number of healthy servers that are alive.
func (s state) Healthy() (n int) {
	for _, server := range s.Servers {
		if server.State == balancer.StateHealthy && !server.Dead() {
			n++
		}
	}
	return n
}

// Unnoticed returns the names of the dead servers to which the load balancer still sends requests.
func (s state) Unnoticed() string {
	var names []string
	for _, server := range s.Servers {
		if server.State == balancer.StateHealthy && server.Dead() {
			names = append(names, server.Name)
		}
	}
	return strings.Join(names, ", ")
}

// Failures describes the failed requests of the range.
func (s state) Failures() string {
	servers, balancer := s.All.failed()
	return fmt.Sprintf("%d in the last %s: %d by servers, %d by the load balancer", servers+balancer, s.Range(), servers, balancer)
}

// Range returns the range of the chart for people.
func (s state) Range() string { return rangeName(s.Minutes) }

// Ranges returns the ranges that the chart can have, in minutes.
func (state) Ranges() []int { return ranges() }

// Levels returns the positions of the load switch.
func (state) Levels() []Level { return levels() }

// state returns the present state, with a chart of the last minutes.
func (p *Page) state(minutes int) state {
	events, _ := p.events.recent()
	history, failures := p.sampler.history(minutes)
	var last sample
	if len(history) > 0 {
		last = history[len(history)-1]
	}
	failedServers, failedBalancer := last.failed()
	s := state{
		Info: p.info, Servers: []serverState{}, Rate: roundToTenth(last.rate(last.requests())),
		FailedRate: roundToTenth(last.rate(failedServers + failedBalancer)), P99: last.P99, Failed: failed(p.fleet),
		Reached: p.store.now(), Load: p.load.now(), Events: events,
		Pausable: p.store.store != nil, Minutes: minutes, All: merge(history...), Chart: draw(history, events, minutes),
	}
	for _, server := range p.fleet.Servers() {
		rate := last.rate(last.servers[server.Name].requests)
		s.Servers = append(s.Servers, serverState{server, markerOf(server.Name), roundToTenth(rate), failures[server.Name]})
	}
	return s
}

// minutes returns the range that the request asks for, or the shortest.
func minutes(r *http.Request) int {
	n, _ := strconv.Atoi(r.FormValue("minutes"))
	if !slices.Contains(ranges(), n) {
		return ranges()[0]
	}
	return n
}

func (p *Page) servePage(w http.ResponseWriter, r *http.Request) {
	var body bytes.Buffer
	if err := p.template.ExecuteTemplate(&body, "page.tmpl", p.state(minutes(r))); err != nil {
		writeProblem(w, r, problem{Status: http.StatusInternalServerError, Detail: err.Error()})
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = body.WriteTo(w)
}

// writeTimeout bounds the time to send a message to a browser.
const writeTimeout = 10 * time.Second

// stream sends the live part of the page as server-sent events: at once, on every event, and once per second.
func (p *Page) stream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	response := http.NewResponseController(w)
	ticker := time.NewTicker(sampleInterval)
	defer ticker.Stop()
	for {
		_, news := p.events.recent()
		var body bytes.Buffer
		if err := p.template.ExecuteTemplate(&body, "live", p.state(minutes(r))); err != nil {
			return
		}
		message := bytes.ReplaceAll(bytes.TrimSpace(body.Bytes()), []byte("\n"), []byte("\ndata: "))
		_ = response.SetWriteDeadline(time.Now().Add(writeTimeout)) // a test's recorder has none
		if _, err := w.Write([]byte("data: " + string(message) + "\n\n")); err != nil || response.Flush() != nil {
			return
		}
		select {
		case <-news:
		case <-ticker.C:
		case <-r.Context().Done():
			return
		}
	}
}
