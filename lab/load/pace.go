package load

import (
	"context"
	"math/rand/v2"
	"time"

	"stateless-servers/lab/check"
)

const (
	graceAtEnd  = 100 * time.Millisecond // for the last requests, if they are late; what isn't sent then is missed
	sleepAtMost = 50 * time.Millisecond  // so that the end of a context is noticed
)

// sendAll sends every request when it is due, and returns when all are answered: the time at which the measurement ended.
//
// Workers take turns to lead. The leader waits for the next request to be due, lets another lead, and sends the request
// itself, so that no time passes between waking up and sending. While all are busy, new ones are started.
func (r *Run) sendAll(ctx context.Context) time.Duration {
	r.running = 1
	r.waiting.Store(1)
	r.workers.Go(func() { r.work(ctx) })
	r.workers.Wait()
	return r.stopped
}

func (r *Run) work(ctx context.Context) {
	for {
		r.lead.Lock()
		r.waiting.Add(-1)
		n, due, ok := r.await(ctx)
		if !ok {
			r.lead.Unlock()
			return
		}
		o := r.choose()
		if r.waiting.Load() == 0 && r.running < mostInFlight {
			r.running++
			r.waiting.Add(1)
			r.workers.Go(func() { r.work(ctx) })
		}
		r.lead.Unlock()
		r.exchange(ctx, o, due, n >= r.schedule.first)
		r.waiting.Add(1)
	}
}

// await returns the next request when it is due, or false when there is none. The caller holds lead.
func (r *Run) await(ctx context.Context) (n int, due time.Duration, ok bool) {
	for r.stopped == 0 {
		now := r.now()
		switch {
		case ctx.Err() != nil:
			r.stopped = min(now, r.schedule.length)
			r.events.add(now, "interrupted")
			return 0, 0, false
		case r.finished.Load():
			r.stopped = min(now, r.schedule.length)
			return 0, 0, false
		case r.next == r.schedule.total, now > r.schedule.length+graceAtEnd:
			r.stopped = r.schedule.length
			return 0, 0, false
		}
		due := r.schedule.due(r.next)
		if due <= now {
			r.next++
			return r.next - 1, due, true
		}
		sleep(min(due-now, sleepAtMost))
	}
	return 0, 0, false
}

// choose decides whose the next request is, and what it does. A visitor with a request under way sends another one, up to
// atATime in a row: requests of one session overlap on purpose. Otherwise it is another's turn, in a new order each
// round, so that no visitor stays in step with the load balancer. The caller holds lead.
func (r *Run) choose() outgoing {
	if r.current == nil || r.joined == atATime || !r.current.busy() {
		if len(r.order) == 0 {
			r.order = rand.Perm(len(r.visitors))
		}
		r.current, r.order, r.joined = r.visitors[r.order[0]], r.order[1:], 0
	}
	r.joined++
	return r.current.next(r.options.Mix.draw(), r.byLogin, r.now)
}

// exchange sends a request and takes note of its answer. An interruption doesn't cut it off.
func (r *Run) exchange(ctx context.Context, o outgoing, due time.Duration, measured bool) {
	one := sample{due: due, sent: r.now()}
	reply := r.client.send(context.WithoutCancel(ctx), o)
	one.received, one.server = r.now(), r.servers.name(reply.Server)
	one.failed = r.judge(o, &reply)
	r.stats.add(one, measured)
	r.events.answered(one)
}

// judge has the reply judged and written down, and returns the class of its error.
func (r *Run) judge(o outgoing, reply *reply) string {
	failed := reply.judge(o, r.now)
	if r.history != nil && o.op != nil {
		r.history.Add(o.op)
	}
	return failed
}

const (
	closeWithin   = 10 * time.Second // to look at every session a last time
	closeEarly    = 3 * time.Second  // the same, after an interruption
	closeAtATime  = 16
	closeInterval = 100 * time.Millisecond // between two looks at a session in doubt
	closeFailures = 3                      // of the looks at a session end them
)

// closeSessions reads every session a last time, and again while it is in doubt what became of it.
func (r *Run) closeSessions(ctx context.Context) {
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeWithin)
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(closeEarly, cancel) })()
	visitors := make(chan *visitor)
	for range closeAtATime {
		r.workers.Go(func() {
			for v := range visitors {
				r.closeSession(closing, v)
			}
		})
	}
	for _, v := range r.visitors {
		visitors <- v
	}
	close(visitors)
	r.workers.Wait()
}

func (r *Run) closeSession(ctx context.Context, v *visitor) {
	defer v.close()
	for failures := 0; failures < closeFailures && ctx.Err() == nil; {
		if stage := v.stage(); stage == check.Fresh || stage == check.Over {
			return
		}
		o := v.next(check.Read, r.byLogin, r.now)
		reply := r.client.send(ctx, o)
		if failed := r.judge(o, &reply); failed != "" {
			failures++
		} else if v.stage() == check.Open {
			return
		}
		select {
		case <-time.After(closeInterval):
		case <-ctx.Done():
		}
	}
}
