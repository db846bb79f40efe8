package dashboard

import (
	"slices"
	"sync"
	"time"
)

// keptEvents bounds the list.
const keptEvents = 100

// Event is something that happened to the fleet, its store or its load.
type Event struct {
	Number int       `json:"number"` // counts from 1
	At     time.Time `json:"at"`
	Text   string    `json:"text"`
}

// Clock is the time of day at which it happened.
func (e Event) Clock() string { return e.At.Format(time.TimeOnly) }

// Events is the list of what happened lately. It is safe for concurrent use.
type Events struct {
	tell func(text string)

	mu      sync.Mutex
	list    []Event // the newest first
	changed chan struct{}
}

// NewEvents returns an empty list. Tell is called with every event that is added, one at a time.
func NewEvents(tell func(text string)) *Events {
	return &Events{tell: tell, changed: make(chan struct{})}
}

// Add puts what has just happened at the head of the list.
func (e *Events) Add(text string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.tell(text)
	number := 1
	if len(e.list) > 0 {
		number = e.list[0].Number + 1
	}
	e.list = slices.Insert(e.list, 0, Event{number, time.Now(), text})
	e.list = e.list[:min(len(e.list), keptEvents)]
	close(e.changed)
	e.changed = make(chan struct{})
}

// recent returns the list, the newest event first, and a channel that is closed with the next one.
func (e *Events) recent() (list []Event, changed <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]Event{}, e.list...), e.changed
}
