package load

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"stateless-servers/lab/check"
)

// attack sends the requests of a run. The pacer determines when each request is due, the dispatcher chooses its virtual user,
// the client sends it, the user passes the response to the checker, and stats and history record it.
type attack struct {
	pacer
	dispatcher
	client  *client
	stats   *stats
	history *check.History // nil for none

	workers sync.WaitGroup
	waiting atomic.Int64 // workers that wait for turn
	turn    sync.Mutex   // guards the pacer, the dispatcher and running; held by the worker that waits for the next request to be due
	running int          // workers started
}

// send sends every request when it is due, and returns when all have their responses.
//
// The workers take turns: one waits for the next request to be due, passes the turn on, and sends the request itself, so that
// no time passes between waking up and sending. While all are busy, new workers are started.
func (a *attack) send(ctx context.Context) {
	a.start(ctx)
	a.workers.Wait()
}

// start starts a worker. The caller holds turn, or is the only goroutine.
func (a *attack) start(ctx context.Context) {
	a.running++
	a.waiting.Add(1)
	a.workers.Go(func() { a.work(ctx) })
}

func (a *attack) work(ctx context.Context) {
	for {
		a.turn.Lock()
		a.waiting.Add(-1)
		due, measured, ok := a.pace(ctx)
		if !ok {
			a.turn.Unlock()
			return
		}
		o := a.nextRequest()
		if a.waiting.Load() == 0 && a.running < maxInFlight {
			a.start(ctx)
		}
		a.turn.Unlock()
		one := sample{due: due, sent: a.now(), kind: o.kind}
		response := a.client.send(context.WithoutCancel(ctx), o) // an interruption lets requests in flight complete
		one.received, one.server = a.now(), response.Server
		one.failed = a.receive(o, response)
		a.stats.add(one, measured)
		a.waiting.Add(1)
	}
}

// receive passes the response to the checker and the history, and returns the class of its error.
func (a *attack) receive(o outgoing, r response) (failed string) {
	failed = o.receive(r)
	if a.history != nil && o.op != nil {
		a.history.Add(o.op)
	}
	return failed
}

const (
	closeTimeout     = 10 * time.Second // of the final reads
	closeInterrupted = 3 * time.Second  // the same, after an interruption
	closeWorkers     = 16
	closeInterval    = 100 * time.Millisecond // between two reads of a session in doubt
	closeFailures    = 3                      // failed reads of a session end its final reads
)

// close reads every session a last time, and again while a wrong response may be stale or a loss.
func (a *attack) close(ctx context.Context) {
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(closeInterrupted, cancel) })()
	users := make(chan *virtualUser)
	for range closeWorkers {
		a.workers.Go(func() {
			for u := range users {
				a.closeSession(closing, u)
			}
		})
	}
	for _, u := range a.users {
		users <- u
	}
	close(users)
	a.workers.Wait()
}

func (a *attack) closeSession(ctx context.Context, u *virtualUser) {
	defer u.close()
	for failures := 0; failures < closeFailures && ctx.Err() == nil; {
		if stage := u.stage(); stage == check.Fresh || stage == check.Done {
			return
		}
		o := u.next(check.Read)
		if a.receive(o, a.client.send(ctx, o)) != "" {
			failures++
		} else if u.stage() == check.Open {
			return
		}
		select {
		case <-time.After(closeInterval):
		case <-ctx.Done():
		}
	}
}
