// Package check judges what visitors of the sample application were answered: whether sessions were lost, updates lost,
// reads stale, data shown to the wrong visitor, or sessions brought back after logout. It does so while a load test runs,
// and again from the history that the test wrote.
package check

import (
	"fmt"
	"sync"
	"time"
)

// Counts are the sessions that were followed, and what went wrong with them.
type Counts struct {
	Total       int64 `json:"total"`        // sessions that were opened
	Lost        int64 `json:"lost"`         // sessions that were gone, though nobody had logged out
	LostUpdates int64 `json:"lost_updates"` // additions that were acknowledged and are gone, of sessions that are there
	StaleReads  int64 `json:"stale_reads"`  // answers that lacked what was acknowledged before, and was there later
	Crossed     int64 `json:"crossed"`      // answers that showed another visitor's data, or more than was ever added
	Resurrected int64 `json:"resurrected"`  // sessions that were there again after their logout
}

// Add returns the sums.
func (c Counts) Add(other Counts) Counts {
	return Counts{
		c.Total + other.Total, c.Lost + other.Lost, c.LostUpdates + other.LostUpdates, c.StaleReads + other.StaleReads,
		c.Crossed + other.Crossed, c.Resurrected + other.Resurrected,
	}
}

// Violations is how much went wrong, of all kinds together.
func (c Counts) Violations() int64 {
	return c.Lost + c.LostUpdates + c.StaleReads + c.Crossed + c.Resurrected
}

// Finding is one thing that went wrong.
type Finding struct {
	What string        // in few words, such as "session lost"
	At   time.Duration // from the start of the run, when it was seen
	Text string        // what was sent and answered, by which servers and when
}

// keptFindings bounds how many findings of a kind keep their text.
const keptFindings = 3

// Log collects what the sessions of a run report. It is safe for concurrent use.
type Log struct {
	mu       sync.Mutex
	counts   Counts
	findings []Finding
	kept     map[string]int
	tell     func(Finding)
}

// NewLog returns an empty Log. When tell is not nil, it is called with the first findings of each kind.
func NewLog(tell func(Finding)) *Log {
	return &Log{kept: map[string]int{}, tell: tell}
}

// Counts returns the counts so far.
func (l *Log) Counts() Counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counts
}

// Findings returns the first findings of each kind, in the order in which they became clear.
func (l *Log) Findings() []Finding {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]Finding(nil), l.findings...)
}

func (l *Log) opened() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts.Total++
}

// report counts with add. The text is made for the first few only.
func (l *Log) report(what string, at time.Duration, add func(*Counts), text func() string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	add(&l.counts)
	if l.kept[what] == keptFindings {
		return
	}
	l.kept[what]++
	finding := Finding{what, at, text()}
	l.findings = append(l.findings, finding)
	if l.tell != nil {
		l.tell(finding)
	}
}

// Run is what all sessions of a run share.
type Run struct {
	Name string        // tells its visitors from those of other runs
	Idle time.Duration // after which a session that nobody uses ends
	Log  *Log
}

// Session returns a new session of a visitor.
func (r Run) Session(visitor, number int) *Session {
	return &Session{
		Visitor: visitor, Number: number, Name: fmt.Sprintf("visitor-%s-%d-%d", r.Name, visitor, number),
		log: r.Log, idle: r.Idle,
	}
}
