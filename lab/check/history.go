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

// Header is the first line of a history: which run it is of.
type Header struct {
	Version int           `json:"history"` // of this format: 1
	Run     string        `json:"run"`
	URL     string        `json:"url"`
	Idle    time.Duration `json:"idle_ns"` // after which a session that nobody uses ends
}

const historyVersion = 1

// line is a request and its answer.
type line struct {
	Visitor int `json:"visitor"`
	Session int `json:"session"`
	Request
	Answer
}

// History writes down what visitors sent and saw: JSON, a line a request, in the order of the answers. It is safe for
// concurrent use.
type History struct {
	mu  sync.Mutex
	w   *bufio.Writer
	err error
}

// NewHistory begins a history.
func NewHistory(w io.Writer, header Header) *History {
	h := &History{w: bufio.NewWriterSize(w, 1<<16)}
	header.Version = historyVersion
	h.write(header)
	return h
}

// Add appends a request that was answered. Nothing else may use it meanwhile.
func (h *History) Add(o *Op) {
	h.write(line{o.session.Visitor, o.session.Number, o.Request, o.Answer})
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

// Flush writes what is still buffered. The error is the first of all writes.
func (h *History) Flush() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err == nil {
		h.err = h.w.Flush()
	}
	return h.err
}

// Replay is a history that was judged again.
type Replay struct {
	Header   Header
	Requests int
	Counts   Counts
	Findings []Finding
	sessions []*replayed
}

// replayed is one session of a history, its requests in the order in which they were sent.
type replayed struct {
	session *Session
	ops     []*Op
}

// maxLine bounds a line of a history. A server's answer is a few hundred bytes.
const maxLine = 1 << 20

// Bounds of what a history may hold, far beyond what a run makes: a file may come from anybody. Sums of these overflow
// nothing.
const (
	maxRun      = 10 * 365 * 24 * time.Hour // and the life of a session
	maxQuantity = 1_000_000                 // of one request; the server takes 1,000
)

// ReadHistory reads a history and judges it. The error says which line is wrong, and in what; when ctx ends, it is why.
func ReadHistory(ctx context.Context, r io.Reader) (*Replay, error) {
	scanner := bufio.NewScanner(r)
	scanner.Buffer(nil, maxLine)
	replay := &Replay{}
	var lines []line
	for n := 1; ctx.Err() == nil && scanner.Scan(); n++ {
		if n == 1 {
			if err := json.Unmarshal(scanner.Bytes(), &replay.Header); err != nil || replay.Header.Version != historyVersion {
				return nil, fmt.Errorf("line 1 is not the beginning of a history, which is {\"history\":%d,…}", historyVersion)
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
	replay.judge(ctx, lines)
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
		return l, fmt.Errorf("sent_ns and received_ns are %d and %d: allowed are numbers from 0 to %d, and no answer before its request",
			l.Sent, l.Received, maxRun)
	}
	if l.Status == 200 && l.Error == "" {
		if err := l.Answer.Read(l.Kind, bytes.Clone(l.Body)); err != nil {
			return l, err
		}
	}
	return l, nil
}

// judge sends and answers all requests again, in the order of their times, until ctx ends.
func (r *Replay) judge(ctx context.Context, lines []line) {
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
			return -1 // what was sent in the same moment may have been sent before
		}
		return 1
	})
	log := NewLog(nil)
	run := Run{Name: r.Header.Run, Idle: r.Header.Idle, Log: log}
	type key struct{ visitor, session int }
	sessions := map[key]*replayed{}
	ops := make([]*Op, len(lines))
	for _, event := range events {
		if ctx.Err() != nil {
			return
		}
		l := lines[event.line]
		if event.receive {
			ops[event.line].Receive(l.Answer)
			continue
		}
		k := key{l.Visitor, l.Session}
		s := sessions[k]
		if s == nil {
			s = &replayed{session: run.Session(l.Visitor, l.Session)}
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
