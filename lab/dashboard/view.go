package dashboard

import (
	"bytes"
	"net/http"
	"time"

	"stateless-servers/lab/balancer"
	"stateless-servers/lab/fleet"
)

// state is the answer of GET /_lab/fleet, and what the page shows.
type state struct {
	Info
	Servers []serverState `json:"servers"`
	Rate    float64       `json:"rate"`   // requests a second, answered by the servers or by the load balancer
	Failed  int64         `json:"failed"` // requests that no server answered: 502, 503 and 504 of the load balancer
	Reached storeState    `json:"store_state"`
	Load    loadState     `json:"load"`
	Events  []Event       `json:"events"` // the newest first
	Chart   picture       `json:"-"`
}

// serverState is a server, and the requests that it answers in a second.
type serverState struct {
	fleet.Server
	identity
	Rate float64 `json:"rate"`
}

// Healthy is how many servers are.
func (s state) Healthy() (n int) {
	for _, server := range s.Servers {
		if server.State == balancer.StateHealthy {
			n++
		}
	}
	return n
}

// Levels are the positions of the load switch.
func (state) Levels() []Level { return levels() }

func (p *Page) state() state {
	events, _ := p.events.recent()
	history := p.watch.history()
	s := state{
		Info: p.info, Servers: []serverState{}, Failed: failed(p.fleet), Reached: p.store.now(), Load: p.load.now(), Events: events,
		Chart: draw(history, events),
	}
	var last sample
	if len(history) > 0 {
		last = history[len(history)-1]
		s.Rate = tenth(last.total())
	}
	for _, server := range p.fleet.Servers() {
		s.Servers = append(s.Servers, serverState{server, identify(server.Name), tenth(last.answered[server.Name])})
	}
	return s
}

func (p *Page) show(w http.ResponseWriter, r *http.Request) {
	var body bytes.Buffer
	if err := p.template.ExecuteTemplate(&body, "page.tmpl", p.state()); err != nil {
		refuse(w, r, problem{Status: http.StatusInternalServerError, Detail: err.Error()})
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = body.WriteTo(w)
}

// writeTimeout bounds how long a browser may leave a message unread.
const writeTimeout = 10 * time.Second

// live sends what the page shows as server-sent events: at once, with every event, and once a second.
func (p *Page) live(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	response := http.NewResponseController(w)
	ticker := time.NewTicker(sampleEvery)
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
