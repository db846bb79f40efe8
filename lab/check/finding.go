// Package check is the consistency checker of load tests. It compares every response of the sample application with the
// requests that were acknowledged before. It finds lost sessions, lost updates, stale reads, cross-session leaks, and
// sessions that are alive after logout. While a test runs, a Checker starts a Session for each session of a visitor, whose
// requests pass through Session.Send and Op.Receive; violations are counted in a Log. ReadHistory repeats this with the
// history that a test wrote, and Replay.CheckLinearizability searches it for violations that counting doesn't find.
package check

import (
	"fmt"
	"sync"
	"time"
)

// Counts has the number of sessions and of the violations in them.
type Counts struct {
	Total             int64 `json:"total"`        // sessions that were opened
	Lost              int64 `json:"lost"`         // sessions that were gone without a logout
	LostUpdates       int64 `json:"lost_updates"` // acknowledged additions that sessions have lost
	StaleReads        int64 `json:"stale_reads"`  // responses that lacked an acknowledged addition that a later one had
	CrossSessionLeaks int64 `json:"crossed"`      // responses with another visitor's data, or with more than was ever added
	AliveAfterLogout  int64 `json:"resurrected"`  // sessions that a request with the old cookie still reached
}

// Add returns the sum of both counts.
func (c Counts) Add(other Counts) Counts {
	return Counts{
		c.Total + other.Total, c.Lost + other.Lost, c.LostUpdates + other.LostUpdates, c.StaleReads + other.StaleReads,
		c.CrossSessionLeaks + other.CrossSessionLeaks, c.AliveAfterLogout + other.AliveAfterLogout,
	}
}

// Violations returns the total number of violations.
func (c Counts) Violations() int64 {
	return c.Lost + c.LostUpdates + c.StaleReads + c.CrossSessionLeaks + c.AliveAfterLogout
}

// Finding describes one violation.
type Finding struct {
	What string        // the kind, such as "session lost"
	At   time.Duration // when it was seen, from the start of the run
	Text string        // an explanation with the requests, responses, servers and times
}

// maxFindings is the number of findings of each kind that a Log keeps.
const maxFindings = 3

// Log collects the violations in the sessions of a run. It is safe for concurrent use.
type Log struct {
	mu        sync.Mutex
	counts    Counts
	findings  []Finding
	perKind   map[string]int
	onFinding func(Finding)
}

// NewLog returns an empty Log. Unless onFinding is nil, it is called with every finding that the Log keeps.
func NewLog(onFinding func(Finding)) *Log {
	return &Log{perKind: map[string]int{}, onFinding: onFinding}
}

// Counts returns the counts so far.
func (l *Log) Counts() Counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.counts
}

// Findings returns the first three findings of each kind, in the order in which they were established.
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

// report counts a violation with add. It calls text only for findings that it keeps.
func (l *Log) report(what string, at time.Duration, add func(*Counts), text func() string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	add(&l.counts)
	if l.perKind[what] == maxFindings {
		return
	}
	l.perKind[what]++
	finding := Finding{what, at, text()}
	l.findings = append(l.findings, finding)
	if l.onFinding != nil {
		l.onFinding(finding)
	}
}

// Checker starts the sessions of one run.
type Checker struct {
	RunID string        // part of the user names, so that runs can't confuse each other's sessions
	Idle  time.Duration // the idle timeout of sessions
	Log   *Log
}

// NewSession starts to follow a new session of the visitor. The number distinguishes the visitor's sessions.
func (c Checker) NewSession(visitor, number int) *Session {
	return &Session{
		Visitor: visitor, Number: number, User: fmt.Sprintf("visitor-%s-%d-%d", c.RunID, visitor, number),
		log: c.Log, idle: c.Idle,
	}
}
