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
	sessions = 4 // in use at a time
	// callInterval is the time between calls. All clients call at the same moments, so that their calls overlap.
	callInterval = 4 * time.Millisecond
	// longest is the number of calls on a session. Afterwards, or after its end, afterEnd more calls follow.
	longest, afterEnd = 60, 12
	// What the check costs grows with the factorial of a session's calls without an answer. There are four at most: where
	// there are faults, a session has few calls at a time, and gets fewer in all by lostCalls for each.
	atATime   = 3
	lostCalls = longest / 2
	// rest is the pause of a client after a call without a reply.
	rest = 100 * time.Millisecond
	// proceedTimeout bounds how long proceed waits for replies.
	proceedTimeout = time.Minute
)

// A recorder runs clients that call servers, and records calls and replies with their times. All times are of this process: a
// call's begins before its server hears of it, and ends after its server has answered, so that what the servers' own
// clocks say doesn't matter. A call may only seem longer than it was, which allows an order more, and never one less.
type recorder struct {
	servers []server
	within  time.Duration // of each call, in its server
	atATime int           // calls of one session
	started time.Time
	done    chan struct{} // closed to stop the clients
	running sync.WaitGroup

	mu         sync.Mutex
	history    []porcupine.Operation
	used       []*openSession
	calls      int64
	open       [sessions]*openSession
	answered   [clients]int
	unanswered int
	last       string // why a call was not answered
}

// A server executes a client's request on a store.
type server interface{ Do(Request) Reply }

// A Request is a Call with the time and the timeout for the server.
type Request struct {
	Call   Call
	Now    time.Time
	Within time.Duration
}

// An openSession is a session in use.
type openSession struct {
	id   session.ID
	left int // how many more calls it gets
	busy int // calls under way
}

// record starts clients, each of one of the servers.
func record(servers []server, within time.Duration, atATime int) *recorder {
	r := &recorder{servers: servers, within: within, atATime: atATime, started: time.Now(), done: make(chan struct{})}
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
			pause = rest
		}
		r.mu.Unlock()
		select {
		case <-r.done:
			return
		case <-time.After(pause):
		}
	}
}

// next chooses one of the open sessions, some more often than others, and a call on it.
func (r *recorder) next() (*openSession, Call) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls++
	idle := r.started.Add(time.Hour).Unix() + r.calls // each update has its own
	at := &r.open[min(random.IntN(sessions), random.IntN(sessions))]
	for *at != nil && (*at).left > 0 && (*at).busy >= r.atATime {
		at = &r.open[random.IntN(sessions)]
	}
	if *at == nil || (*at).left <= 0 {
		s := &openSession{left: longest, busy: 1}
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
		s.left = min(s.left, afterEnd)
		return s, Call{Kind: end, ID: s.id}
	case n < 35:
		return s, Call{Kind: load, ID: s.id}
	default:
		return s, Call{Kind: update, ID: s.id, Idle: idle, Changes: changes()}
	}
}

// changes are those of one update: none is a touch. What is added tells the additions apart.
func changes() []session.Change {
	forms := []string{`"ünïcode 🛒"`, "null", "{}", "0", "-0", "007", "1.5", "-5", "9007199254740991", "9007199254740993"}
	var list []session.Change
	for _, key := range []string{"visits", "cart/tea", "cart/salt", "text", "mixed"} {
		switch n := random.IntN(12); {
		case n < 4 && key != "text":
			list = append(list, session.Change{Op: session.OpAdd, Key: key, N: random.Int64N(2_000) - 500})
		case n < 5 && key != "visits":
			list = append(list, session.Change{Op: session.OpSet, Key: key, Value: forms[random.IntN(len(forms))]})
		case n < 6 && key != "visits":
			list = append(list, session.Change{Op: session.OpRemove, Key: key})
		}
	}
	return list
}

// do makes a call on a server and records it.
func (r *recorder) do(client int, call Call) Outcome {
	begin := time.Since(r.started)
	answer := r.servers[client%len(r.servers)].Do(Request{call, r.now(), r.within})
	returned := int64(time.Since(r.started))
	r.mu.Lock()
	defer r.mu.Unlock()
	if answer.Outcome == unknown {
		r.unanswered++
		r.last = answer.Error
		returned = forever
	} else {
		r.answered[client]++
	}
	if answer.Outcome != unknown || call.Kind != load { // a load that told nothing did nothing
		r.history = append(r.history, porcupine.Operation{
			ClientId: client, Input: call, Call: int64(begin), Output: answer, Return: returned,
		})
	}
	return answer.Outcome
}

// now is what servers take for the time. It stands still: what a session's end is remembered for must not pass while
// faults take their time. It is ahead of the stores' own clocks, which delete by them.
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
		least := n
		for client := range clients {
			least = min(least, r.answered[client]-before[client])
		}
		r.mu.Unlock()
		if least == n {
			return nil
		}
		if time.Now().After(deadline) {
			_, last := r.failures()
			return fmt.Errorf("a client got %d replies in %v, want %d; the last failure: %s", least, proceedTimeout, n, last)
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
	r.within = callTimeout
	for _, s := range r.used {
		if r.do(0, Call{Kind: load, ID: s.id}) == unknown {
			return nil, errors.New("a session could not be read at the end: " + r.last)
		}
	}
	return r.history, nil
}
