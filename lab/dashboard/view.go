package dashboard

import (
	"bytes"
	"net/http"
	"time"

	"stateless-servers/lab/balancer"
	"stateless-servers/lab/fleet"
)

// state is the data of the page, and the JSON of GET /_lab/fleet.
type state struct {
	Info
	Servers []serverState `json:"servers"`
	Rate    float64       `json:"rate"`   // requests per second, including the failed ones
	Failed  int64         `json:"failed"` // responses 502, 503 and 504 of the load balancer itself
	Reached storeState    `json:"store_state"`
	Load    loadState     `json:"load"`
	Events  []Event       `json:"events"` // newest first
	Chart   chartView     `json:"-"`
}

// serverState is a server with its rate in requests per second.
type serverState struct {
	fleet.Server
	marker
	Rate float64 `json:"rate"`
}

// Healthy returns the number of healthy servers.
func (s state) Healthy() (n int) {
	for _, server := range s.Servers {
		if server.State == balancer.StateHealthy {
			n++
		}
	}
	return n
}

// Levels returns the positions of the load switch.
func (state) Levels() []Level { return levels() }

func (p *Page) state() state {
	events, _ := p.events.recent()
	history := p.sampler.history()
	s := state{
		Info: p.info, Servers: []serverState{}, Failed: failed(p.fleet), Reached: p.store.now(), Load: p.load.now(), Events: events,
		Chart: draw(history, events),
	}
	var last sample
	if len(history) > 0 {
		last = history[len(history)-1]
		s.Rate = roundToTenth(last.total())
	}
	for _, server := range p.fleet.Servers() {
		s.Servers = append(s.Servers, serverState{server, markerOf(server.Name), roundToTenth(last.requests[server.Name])})
	}
	return s
}

func (p *Page) servePage(w http.ResponseWriter, r *http.Request) {
	var body bytes.Buffer
	if err := p.template.ExecuteTemplate(&body, "page.tmpl", p.state()); err != nil {
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
		if err := p.template.ExecuteTemplate(&body, "live", p.state()); err != nil {
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
