package load

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Event is something that happened during the run.
type Event struct {
	T    float64 `json:"t"` // seconds from the start of the run, with its warm-up
	What string  `json:"what"`
}

const (
	maxEvents = 1000            // further events are dropped
	startup   = time.Second     // a server whose first response comes later is an event
	spellGap  = 2 * time.Second // the time without an error that ends a spell of errors
)

// events collects the events of a run. It is safe for concurrent use.
type events struct {
	mu        sync.Mutex
	list      []Event
	servers   map[string]bool
	failures  int // of the present spell of errors; 0 for none
	lastError time.Duration
}

func newEvents() *events { return &events{servers: map[string]bool{}} }

// add appends an event at the given time from the start of the run.
func (e *events) add(at time.Duration, what string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.append(at, what)
}

func (e *events) append(at time.Duration, what string) {
	if len(e.list) < maxEvents {
		e.list = append(e.list, Event{at.Seconds(), what})
	}
}

// record derives events from a response: a new server, the first of several errors.
func (e *events) record(one sample) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if one.server != "" && !e.servers[one.server] {
		e.servers[one.server] = true
		if one.received > startup {
			e.append(one.received, one.server+" answers for the first time")
		}
	}
	if one.failed == "" {
		return
	}
	if e.failures == 0 {
		e.append(one.received, "errors begin: "+one.failed)
	}
	e.failures++
	e.lastError = max(e.lastError, one.received)
}

// endSpell adds an event for the end of a spell of errors, when enough time has passed without one.
func (e *events) endSpell(now time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.failures > 0 && now > e.lastError+spellGap {
		e.append(e.lastError, fmt.Sprintf("errors end, after %d", e.failures))
		e.failures = 0
	}
}

// sorted returns the events in the order of their times.
func (e *events) sorted() []Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	list := append([]Event{}, e.list...)
	sortEvents(list)
	return list
}

func sortEvents(list []Event) {
	slices.SortStableFunc(list, func(a, b Event) int { return cmp.Compare(a.T, b.T) })
}
