package check

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// Header is the first line of a history. It identifies the run.
type Header struct {
	Version int           `json:"history"` // of this format: 1
	Run     string        `json:"run"`
	URL     string        `json:"url"`
	Idle    time.Duration `json:"idle_ns"` // the idle timeout of sessions
}

const historyVersion = 1

// line is a line of a history: a request and its response.
type line struct {
	Visitor int `json:"visitor"`
	Session int `json:"session"`
	Request
	Response
}

// History writes the requests and responses of a run as JSON, one line per request, in the order of the responses. It is
// safe for concurrent use.
type History struct {
	mu  sync.Mutex
	w   *bufio.Writer
	err error
}

// NewHistory writes the header, with the current version, and returns the History. Flush reports the first write error.
func NewHistory(w io.Writer, header Header) *History {
	h := &History{w: bufio.NewWriterSize(w, 1<<16)}
	header.Version = historyVersion
	h.write(header)
	return h
}

// Add writes an operation whose response was received. Nothing may change the operation meanwhile.
func (h *History) Add(o *Op) {
	h.write(line{o.session.Visitor, o.session.Number, o.Request, o.Response})
}

func (h *History) write(value any) {
	text, err := json.Marshal(value)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err == nil {
		h.err = err
	}
	if h.err == nil {
		_, h.err = h.w.Write(append(text, '\n'))
	}
}

// Flush writes the buffered lines. It returns the first error of all writes.
func (h *History) Flush() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err == nil {
		h.err = h.w.Flush()
	}
	return h.err
}

// Replay has the result of checking a history.
type Replay struct {
	Header   Header
	Requests int
	Counts   Counts
	Findings []Finding
	sessions []*replayedSession
}

// replayedSession is one session of a history, with its operations in the order in which they were sent.
type replayedSession struct {
	session *Session
	ops     []*Op
}

// maxLine is the most bytes in a line of a history. A server's response has a few hundred bytes.
const maxLine = 1 << 20

// Bounds of the numbers in a history, which may come from an untrusted file. They are far beyond those of a real run, and
// small enough that sums don't overflow.
const (
	maxRun      = 10 * 365 * 24 * time.Hour // the length of a run, and of a session's life
	maxQuantity = 1_000_000                 // of one request; the server accepts up to 1,000
)

// ReadHistory reads a history and checks it. The error names the line that is not valid and the reason. When ctx ends,
// ReadHistory returns the cause.
func ReadHistory(ctx context.Context, r io.Reader) (*Replay, error) {
	scanner := bufio.NewScanner(r)
	scanner.Buffer(nil, maxLine)
	replay := &Replay{}
	var lines []line
	for n := 1; ctx.Err() == nil && scanner.Scan(); n++ {
		if n == 1 {
			if err := json.Unmarshal(scanner.Bytes(), &replay.Header); err != nil || replay.Header.Version != historyVersion {
				return nil, fmt.Errorf("line 1 is not the header of a history, {\"history\":%d,…}", historyVersion)
			}
			if idle := replay.Header.Idle; idle < 0 || idle > maxRun {
				return nil, fmt.Errorf("line 1: idle_ns is %d: allowed is a number from 0 to %d", idle, maxRun)
			}
			continue
		}
		l, err := parseLine(scanner.Bytes())
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		lines = append(lines, l)
	}
	if err := scanner.Err(); err != nil {
		return nil, fmt.Errorf("reading the history: %w", err)
	}
	if replay.Header.Version == 0 && ctx.Err() == nil {
		return nil, fmt.Errorf("the history is empty")
	}
	replay.Requests = len(lines)
	replay.replay(ctx, lines)
	return replay, context.Cause(ctx)
}

func parseLine(text []byte) (line, error) {
	var l line
	if err := json.Unmarshal(text, &l); err != nil {
		return l, fmt.Errorf("not a request of a history: %w", err)
	}
	if !slices.Contains([]Kind{Read, Write, Cart, Login, Logout}, l.Kind) {
		return l, fmt.Errorf("kind %q: allowed is read, write, cart, login or logout", l.Kind)
	}
	if counter, _ := l.counter(); counter < 0 || l.Kind == Cart && counter == visits {
		return l, fmt.Errorf("product %q is not sold", l.Product)
	}
	if l.Quantity < 0 || l.Quantity > maxQuantity {
		return l, fmt.Errorf("quantity is %d: allowed is a number from 0 to %d", l.Quantity, maxQuantity)
	}
	if l.Sent < 0 || l.Received > maxRun || l.Sent > l.Received {
		return l, fmt.Errorf("sent_ns and received_ns are %d and %d: allowed are numbers from 0 to %d, the response not before its request",
			l.Sent, l.Received, maxRun)
	}
	if l.Status == 200 && l.Error == "" {
		if err := l.Response.Parse(l.Kind, bytes.Clone(l.Body)); err != nil {
			return l, err
		}
	}
	return l, nil
}

// replay passes all requests and responses through new sessions, in the order of their times, until ctx ends.
func (r *Replay) replay(ctx context.Context, lines []line) {
	type event struct {
		at      time.Duration
		receive bool
		line    int
	}
	events := make([]event, 0, 2*len(lines))
	for i, l := range lines {
		events = append(events, event{l.Sent, false, i}, event{l.Received, true, i})
	}
	slices.SortStableFunc(events, func(a, b event) int {
		switch {
		case a.at != b.at || a.receive == b.receive:
			return cmp.Compare(a.at, b.at)
		case b.receive:
			return -1 // a request sent at the moment of a response may have been sent before it
		}
		return 1
	})
	log := NewLog(nil)
	checker := Checker{RunID: r.Header.Run, Idle: r.Header.Idle, Log: log}
	type key struct{ visitor, session int }
	sessions := map[key]*replayedSession{}
	ops := make([]*Op, len(lines))
	for _, event := range events {
		if ctx.Err() != nil {
			return
		}
		l := lines[event.line]
		if event.receive {
			ops[event.line].Receive(l.Response)
			continue
		}
		k := key{l.Visitor, l.Session}
		s := sessions[k]
		if s == nil {
			s = &replayedSession{session: checker.NewSession(l.Visitor, l.Session)}
			sessions[k] = s
			r.sessions = append(r.sessions, s)
		}
		ops[event.line] = s.session.Send(l.Request)
		s.ops = append(s.ops, ops[event.line])
	}
	for _, s := range r.sessions {
		s.session.Close()
	}
	r.Counts, r.Findings = log.Counts(), log.Findings()
}
