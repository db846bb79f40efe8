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
	probeInterval = time.Second
	probeTimeout  = 5 * time.Second // longer than a server waits for its store
)

// Reach is the availability of the store, as a healthy server of the fleet sees it.
type Reach string

// The values of Reach.
const (
	ReachAvailable   Reach = "answers"
	ReachUnavailable Reach = "doesn’t answer"
	ReachUnknown     Reach = "unknown" // no healthy server can be asked
	ReachNone        Reach = "none"    // there is no store server: sessions are in the servers' memory or in cookies
)

// storeState is the result of the last probe of the store.
type storeState struct {
	Reach   Reach   `json:"reach"`
	Latency float64 `json:"latency_ms"` // of a server's response to /readyz, which asks the store; 0 unless the store is available
	Detail  string  `json:"detail"`     // why the store is unavailable, or which server was asked
	Paused  bool    `json:"paused"`     // by the page
}

// A Store is a store that can be paused, so that it doesn't answer. It keeps its contents.
type Store interface {
	Pause() error
	Resume() error
}

// A storeMonitor probes the store regularly through a server. It is safe for concurrent use.
type storeMonitor struct {
	fleet  Fleet
	events *Events
	client http.Client
	store  Store // nil if it can't be paused

	mu    sync.Mutex
	state storeState // of the last probe
	since time.Time  // when the store became unavailable; zero while it is available
}

func newStoreMonitor(kind config.StoreKind, store Store, f Fleet, events *Events) *storeMonitor {
	w := &storeMonitor{fleet: f, events: events, store: store, client: http.Client{Timeout: probeTimeout}, state: storeState{Reach: ReachUnknown}}
	switch kind {
	case config.StoreMemory, config.StoreCookie, config.StoreToken:
		w.state.Reach = ReachNone
	}
	return w
}

// run probes the store until ctx ends. It returns at once if there is no store server.
func (w *storeMonitor) run(ctx context.Context) {
	if w.now().Reach == ReachNone {
		return
	}
	ticker := time.NewTicker(probeInterval)
	defer ticker.Stop()
	for {
		state := w.probe(ctx)
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

func (w *storeMonitor) now() storeState {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state
}

// set records the state. It adds an event when the store becomes unavailable and when it is available again.
func (w *storeMonitor) set(state storeState, now time.Time) {
	w.mu.Lock()
	state.Paused = w.state.Paused
	w.state = state
	var event string
	switch {
	case state.Reach == ReachUnavailable && w.since.IsZero():
		w.since = now
		event = "store down: " + state.Detail
	case state.Reach == ReachAvailable && !w.since.IsZero():
		event = fmt.Sprintf("store answers again, after %.0f s", now.Sub(w.since).Seconds())
		w.since = time.Time{}
	}
	w.mu.Unlock()
	if event != "" {
		w.events.Add(event)
	}
}

// errNoPause reports that there is no store that can be paused.
var errNoPause = errors.New("the lab started no store server that can be paused")

// pause pauses the store, or resumes it.
func (w *storeMonitor) pause(paused bool) error {
	if w.store == nil {
		return errNoPause
	}
	act, event := w.store.Resume, "store resumed"
	if paused {
		act, event = w.store.Pause, "store paused"
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.state.Paused == paused {
		return nil
	}
	if err := act(); err != nil {
		return err
	}
	w.state.Paused = paused
	w.events.Add(event)
	return nil
}

// probe asks the healthy servers in turn until one responds. It bypasses the load balancer, so that its requests are not counted.
func (w *storeMonitor) probe(ctx context.Context) storeState {
	for _, server := range w.fleet.Servers() {
		if server.State != balancer.StateHealthy {
			continue
		}
		began := time.Now()
		detail, err := w.readiness(ctx, server.Address)
		took := time.Since(began)
		switch {
		case err != nil: // the server may have been killed
			continue
		case detail != "":
			return storeState{Reach: ReachUnavailable, Detail: server.Name + ": " + detail}
		}
		return storeState{Reach: ReachAvailable, Latency: float64(took.Microseconds()) / 1000, Detail: "asked by " + server.Name}
	}
	return storeState{Reach: ReachUnknown, Detail: "no healthy server can be asked"}
}

// readiness returns why the server is not ready, or "" if it is. The error is not nil if the server does not respond properly.
func (w *storeMonitor) readiness(ctx context.Context, address string) (detail string, err error) {
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
