package load

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"stateless-servers/lab/check"
)

// attack sends the requests of a run. Each goes one way: the pacer says when it is due, the dispatcher gives it to a visitor,
// the client sends it, the visitor has the answer checked, and the measurements and the history take note of it.
type attack struct {
	pacer
	dispatcher
	client  *client
	stats   *stats
	history *check.History // nil for none

	workers sync.WaitGroup
	waiting atomic.Int64 // workers that want to lead
	turn    sync.Mutex   // guards the pacer, the dispatcher and running; its holder waits for the next request to be due
	running int          // workers
}

// send sends every request when it is due, and returns when all are answered.
//
// Workers take turns to lead. The leader waits for the next request to be due, lets another lead, and sends the request
// itself, so that no time passes between waking up and sending. While all are busy, new ones are started.
func (a *attack) send(ctx context.Context) {
	a.start(ctx)
	a.workers.Wait()
}

// start starts a worker. The caller holds lead, or is alone.
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
		one := sample{due: due, sent: a.now()}
		response := a.client.send(context.WithoutCancel(ctx), o) // an interruption doesn't cut it off
		one.received, one.server = a.now(), response.Server
		one.failed = a.receive(o, response)
		a.stats.add(one, measured)
		a.waiting.Add(1)
	}
}

// receive has the response checked and written down, and returns the class of its error.
func (a *attack) receive(o outgoing, r response) (failed string) {
	failed = o.receive(r)
	if a.history != nil && o.op != nil {
		a.history.Add(o.op)
	}
	return failed
}

const (
	closeTimeout     = 10 * time.Second // to look at every session a last time
	closeInterrupted = 3 * time.Second  // the same, after an interruption
	closeWorkers     = 16
	closeInterval    = 100 * time.Millisecond // between two looks at a session in doubt
	closeFailures    = 3                      // of the looks at a session end them
)

// close reads every session a last time, and again while it is in doubt what became of it.
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
