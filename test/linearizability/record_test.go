package linearizability

import (
	"crypto/rand"
	"errors"
	"fmt"
	random "math/rand/v2"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"

	"stateless-servers/session"
)

const (
	clients  = 9
	sessions = 4 // in use at the same time
	// callInterval is the time between calls. All clients call at the same moments, so that their calls overlap.
	callInterval = 4 * time.Millisecond
	// maxCalls is the maximum number of calls on a session. After its end, at most maxCallsAfterEnd more calls follow.
	maxCalls, maxCallsAfterEnd = 60, 12
	// The cost of the check grows with the factorial of the number of a session's calls without a reply. Two limits keep that
	// number at four or less with faults: a session has at most maxConcurrentCalls at a time, and each call without a reply counts
	// as lostCalls.
	maxConcurrentCalls = 3
	lostCalls          = maxCalls / 2
	// lostCallPause is the pause of a client after a call without a reply.
	lostCallPause = 100 * time.Millisecond
	// proceedTimeout bounds how long proceed waits for replies.
	proceedTimeout = time.Minute
)

// A recorder runs clients that call servers, and records calls and replies with their times. All times are from the clock of this
// process: a call starts before its server receives it and ends after its server has replied. A recorded call may therefore be
// longer than the real one. This can hide a violation, but never cause one.
type recorder struct {
	servers       []server
	timeout       time.Duration // of each call, in its server
	maxPerSession int           // concurrent calls on one session
	started       time.Time
	done          chan struct{} // closed to stop the clients
	running       sync.WaitGroup

	mu         sync.Mutex
	history    []porcupine.Operation
	used       []*openSession // all sessions so far
	calls      int64
	open       [sessions]*openSession
	answered   [clients]int // calls with a reply, by client
	unanswered int
	last       string // why the last call without a reply failed
}

// A server executes a client's request on a store.
type server interface{ Do(Request) Reply }

// A Request is a Call with the current time and the timeout for the server.
type Request struct {
	Call    Call
	Now     time.Time
	Timeout time.Duration
}

// An openSession is a session in use.
type openSession struct {
	id   session.ID
	left int // the number of calls still to make
	busy int // calls in progress
}

// record starts the clients and assigns each to one of the servers. A session has at most maxPerSession calls at a time.
func record(servers []server, timeout time.Duration, maxPerSession int) *recorder {
	r := &recorder{servers: servers, timeout: timeout, maxPerSession: maxPerSession, started: time.Now(), done: make(chan struct{})}
	for client := range clients {
		r.running.Go(func() { r.client(client) })
	}
	return r
}

func (r *recorder) client(client int) {
	for {
		s, call := r.next()
		outcome := r.do(client, call)
		pause := callInterval - time.Since(r.started)%callInterval
		r.mu.Lock()
		s.busy--
		if outcome == unknown {
			s.left -= lostCalls
			pause = lostCallPause
		}
		r.mu.Unlock()
		select {
		case <-r.done:
			return
		case <-time.After(pause):
		}
	}
}

// next chooses an open session, some more often than others, and a call on it.
func (r *recorder) next() (*openSession, Call) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls++
	idle := r.started.Add(time.Hour).Unix() + r.calls // different for every call
	at := &r.open[min(random.IntN(sessions), random.IntN(sessions))]
	for *at != nil && (*at).left > 0 && (*at).busy >= r.maxPerSession {
		at = &r.open[random.IntN(sessions)]
	}
	if *at == nil || (*at).left <= 0 {
		s := &openSession{left: maxCalls, busy: 1}
		rand.Read(s.id[:])
		*at, r.used = s, append(r.used, s)
		return s, Call{Kind: create, ID: s.id, Idle: idle, Changes: []session.Change{
			{Op: session.OpSet, Key: "text", Value: `"first"`}, {Op: session.OpAdd, Key: "visits", N: 1},
		}}
	}
	s := *at
	s.left--
	s.busy++
	switch n := random.IntN(100); {
	case n < 4:
		s.left = min(s.left, maxCallsAfterEnd)
		return s, Call{Kind: end, ID: s.id}
	case n < 35:
		return s, Call{Kind: load, ID: s.id}
	default:
		return s, Call{Kind: update, ID: s.id, Idle: idle, Changes: changes()}
	}
}

// changes returns the random changes of an update. An update without changes is a touch. Counters get random increments, so that
// their sums show which increments were made.
func changes() []session.Change {
	values := []string{`"ünïcode 🛒"`, "null", "{}", "0", "-0", "007", "1.5", "-5", "9007199254740991", "9007199254740993"}
	var list []session.Change
	for _, key := range []string{"visits", "cart/tea", "cart/salt", "text", "mixed"} {
		switch n := random.IntN(12); {
		case n < 4 && key != "text":
			list = append(list, session.Change{Op: session.OpAdd, Key: key, N: random.Int64N(2_000) - 500})
		case n < 5 && key != "visits":
			list = append(list, session.Change{Op: session.OpSet, Key: key, Value: values[random.IntN(len(values))]})
		case n < 6 && key != "visits":
			list = append(list, session.Change{Op: session.OpRemove, Key: key})
		}
	}
	switch n := random.IntN(12); {
	case n < 3:
		list = append(list, session.Change{Op: session.OpSet, Key: "flash", Value: values[random.IntN(2)]})
	case n < 6: // as Key.Pop does
		list = append(list, session.Change{Op: session.OpRemove, Key: "flash", Value: values[random.IntN(2)]})
	}
	return list
}

// do makes a call on a server and records it.
func (r *recorder) do(client int, call Call) Outcome {
	begin := time.Since(r.started)
	reply := r.servers[client%len(r.servers)].Do(Request{call, r.now(), r.timeout})
	returned := int64(time.Since(r.started))
	r.mu.Lock()
	defer r.mu.Unlock()
	if reply.Outcome == unknown {
		r.unanswered++
		r.last = reply.Error
		returned = forever
	} else {
		r.answered[client]++
	}
	if reply.Outcome != unknown || call.Kind != load { // a load without a reply has no effect
		r.history = append(r.history, porcupine.Operation{
			ClientId: client, Input: call, Call: int64(begin), Output: reply, Return: returned,
		})
	}
	return reply.Outcome
}

// now returns the current time for the servers. It is constant, so that the record of a session's end does not expire during a
// fault. It is ahead of the clocks of the stores, by which they delete expired sessions.
func (r *recorder) now() time.Time { return r.started.Add(30 * time.Minute) }

// lost records that all sessions are lost while f runs.
func (r *recorder) lost(f func() error) error {
	begin := time.Since(r.started)
	err := f()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.history = append(r.history, porcupine.Operation{
		ClientId: clients, Input: Call{Kind: lose}, Call: int64(begin),
		Output: Reply{Outcome: ok}, Return: int64(time.Since(r.started)),
	})
	return err
}

// proceed waits until every client has got n more replies.
func (r *recorder) proceed(n int) error {
	r.mu.Lock()
	before := r.answered
	r.mu.Unlock()
	for deadline := time.Now().Add(proceedTimeout); ; time.Sleep(callInterval) {
		r.mu.Lock()
		fewest := n
		for client := range clients {
			fewest = min(fewest, r.answered[client]-before[client])
		}
		r.mu.Unlock()
		if fewest == n {
			return nil
		}
		if time.Now().After(deadline) {
			_, last := r.failures()
			return fmt.Errorf("a client got %d replies in %v, want %d; the last failure: %s", fewest, proceedTimeout, n, last)
		}
	}
}

// failures returns how many calls got no reply, and why the last one did not.
func (r *recorder) failures() (unanswered int, last string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.unanswered, r.last
}

// stop stops the clients, loads every session once more, and returns the history.
func (r *recorder) stop() ([]porcupine.Operation, error) {
	close(r.done)
	r.running.Wait()
	r.timeout = callTimeout
	for _, s := range r.used {
		if r.do(0, Call{Kind: load, ID: s.id}) == unknown {
			return nil, errors.New("a session could not be read at the end: " + r.last)
		}
	}
	return r.history, nil
}
