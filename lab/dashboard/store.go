package dashboard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"stateless-servers/app/config"
	"stateless-servers/lab/balancer"
)

const (
	askEvery   = time.Second
	askTimeout = 5 * time.Second // longer than a server waits for its store
)

// Reach is whether the store answers, as a healthy server of the fleet sees it.
type Reach string

// What is known of the store.
const (
	ReachAnswers Reach = "answers"
	ReachSilent  Reach = "doesn’t answer"
	ReachUnknown Reach = "unknown" // no server is there to ask it
	ReachNone    Reach = "none"    // there is no store server: sessions are with the servers, or with their visitors
)

// storeState is what the last look at the store found.
type storeState struct {
	Reach   Reach   `json:"reach"`
	Latency float64 `json:"latency_ms"` // of a server's answer to /readyz, which asks the store; 0 unless it answers
	Detail  string  `json:"detail"`     // why it doesn't answer, or which server was asked
}

// storeWatch asks a server for the store, again and again. It is safe for concurrent use.
type storeWatch struct {
	fleet  Fleet
	events *Events
	client http.Client

	mu    sync.Mutex
	state storeState
	since time.Time // when it fell silent
}

func newStoreWatch(kind config.StoreKind, f Fleet, events *Events) *storeWatch {
	w := &storeWatch{fleet: f, events: events, client: http.Client{Timeout: askTimeout}, state: storeState{Reach: ReachUnknown}}
	switch kind {
	case config.StoreMemory, config.StoreCookie, config.StoreToken:
		w.state.Reach = ReachNone
	}
	return w
}

// run looks until ctx ends. It returns at once where there is no store server.
func (w *storeWatch) run(ctx context.Context) {
	if w.now().Reach == ReachNone {
		return
	}
	ticker := time.NewTicker(askEvery)
	defer ticker.Stop()
	for {
		state := w.look(ctx)
		if ctx.Err() != nil {
			return
		}
		w.set(state, time.Now())
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

func (w *storeWatch) now() storeState {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state
}

// set keeps what was found. That the store falls silent, and that it answers again, are events.
func (w *storeWatch) set(state storeState, now time.Time) {
	w.mu.Lock()
	w.state = state
	var event string
	switch {
	case state.Reach == ReachSilent && w.since.IsZero():
		w.since = now
		event = "store down: " + state.Detail
	case state.Reach == ReachAnswers && !w.since.IsZero():
		event = fmt.Sprintf("store answers again, after %.0f s", now.Sub(w.since).Seconds())
		w.since = time.Time{}
	}
	w.mu.Unlock()
	if event != "" {
		w.events.Add(event)
	}
}

// look asks one healthy server after another, until one says something. They are asked past the load balancer, so that
// it doesn't show among the requests.
func (w *storeWatch) look(ctx context.Context) storeState {
	for _, server := range w.fleet.Servers() {
		if server.State != balancer.StateHealthy {
			continue
		}
		began := time.Now()
		detail, err := w.ask(ctx, server.Address)
		took := time.Since(began)
		switch {
		case err != nil: // this server may have been killed
			continue
		case detail != "":
			return storeState{Reach: ReachSilent, Detail: server.Name + " says: " + detail}
		}
		return storeState{Reach: ReachAnswers, Latency: float64(took.Microseconds()) / 1000, Detail: "asked by " + server.Name}
	}
	return storeState{Reach: ReachUnknown, Detail: "no healthy server is there to ask it"}
}

// ask returns what is wrong according to the server; nothing if it is ready. The error is that of a server that doesn't
// say.
func (w *storeWatch) ask(ctx context.Context, address string) (detail string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/readyz", nil)
	if err != nil {
		return "", err
	}
	request.Header.Set("Accept", "application/json")
	response, err := w.client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	var problem struct{ Detail string }
	switch response.StatusCode {
	case http.StatusOK:
		return "", nil
	case http.StatusServiceUnavailable:
		if err := json.NewDecoder(response.Body).Decode(&problem); err != nil || problem.Detail == "" {
			return "not ready", nil
		}
		return problem.Detail, nil
	}
	return "", errors.New(response.Status)
}
