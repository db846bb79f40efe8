package dashboard

import (
	"slices"
	"sync"
	"time"
)

// maxEvents is the maximum length of the list.
const maxEvents = 100

// An Event is something that happened to the fleet, its store or its load.
type Event struct {
	Number int       `json:"number"` // counts from 1
	At     time.Time `json:"at"`
	Text   string    `json:"text"`
}

// Clock returns the time of day of the event.
func (e Event) Clock() string { return e.At.Format(time.TimeOnly) }

// Events is a list of the most recent events. It is safe for concurrent use.
type Events struct {
	report func(text string)

	mu      sync.Mutex
	list    []Event // newest first
	changed chan struct{}
}

// NewEvents returns an empty list. Report is called with the text of every event that is added, one at a time.
func NewEvents(report func(text string)) *Events {
	return &Events{report: report, changed: make(chan struct{})}
}

// Add adds an event at the present time.
func (e *Events) Add(text string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.report(text)
	number := 1
	if len(e.list) > 0 {
		number = e.list[0].Number + 1
	}
	e.list = slices.Insert(e.list, 0, Event{number, time.Now(), text})
	e.list = e.list[:min(len(e.list), maxEvents)]
	close(e.changed)
	e.changed = make(chan struct{})
}

// recent returns the events, newest first, and a channel that is closed when the next one is added.
func (e *Events) recent() (list []Event, changed <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]Event{}, e.list...), e.changed
}
