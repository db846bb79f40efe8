package explore

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"stateless-servers/session/sessiontest"
)

const (
	// quiet is how long a request must have made no further call before the next choice, so that calls that it makes at
	// the same time are all there.
	quiet = 1500 * time.Microsecond
	// quietAnswered is the same after the answer, for requests that are known to call the store then.
	quietAnswered = 25 * time.Millisecond
	// blocked is how long a request is waited for that the store doesn't reply to: the store may have it wait for another one.
	blocked = 250 * time.Millisecond
	// silent is the same after a fault: the client may pause before it tries again.
	silent = 60 * time.Millisecond
	// computing is how long a request is waited for that has its reply and neither calls the store nor answers. If the next
	// call came later, the orders in which it comes first would not be explored.
	computing = time.Second
	// downTime bounds how long a store stays down for a server whose request isn't answered.
	downTime = time.Second
	// answerTimeout bounds a request. Store clients may retry for seconds.
	answerTimeout = 15 * time.Second
	// maxSteps bounds a run. A request that is still calling then is let go.
	maxSteps = 300
	// spinning is how many identical calls with identical replies make a request wait until another one has moved.
	spinning = 4
)

// A run sends several requests of one visitor at once, each to a server of its own, and releases their store calls in the
// order of a schedule.
type run struct {
	prefix  Schedule
	labels  *labels
	lanes   []*lane
	changed chan struct{}

	mu    sync.Mutex // guards what follows, and the fields of lanes
	steps []Step
	order []*lane // in the order of their answers
}

// A Step is one event of a run: a call that was released, with its reply, or the answer of a request.
type Step struct {
	Request string `json:"request"` // A, B or C
	Call    string `json:"call,omitempty"`
	Reply   string `json:"reply,omitempty"`
	Fault   Fault  `json:"fault,omitempty"`
	Answer  string `json:"answer,omitempty"` // the status, or why there is no answer

	call *call
}

// A decision records the lanes that a run could choose from at one step, and its choice.
type decision struct {
	enabled []int
	chosen  Choice
}

// noAnswer stands in the place of a status.
const noAnswer = "no answer"

// errUnreached says that a schedule asked for a call that the request didn't make.
var errUnreached = errors.New("the call was not made")

// execute sends the requests, follows the prefix and then goes on with as few switches as it can, until all requests are
// answered and make no further call. It returns what could have been chosen at each step. Cookies of answers are in the
// visitor's client then, in the order of the answers. The error is errUnreached when the prefix can't be followed.
func (r *run) execute(ctx context.Context, visitor *sessiontest.Client) (decisions []decision, err error) {
	ctx, cancel := context.WithCancel(ctx)
	var sending sync.WaitGroup
	defer func() {
		for _, l := range r.lanes {
			l.server.gate.end()
		}
		if err != nil {
			cancel()
		}
		sending.Wait()
		cancel()
		for _, l := range r.order {
			if l.err == nil {
				keepCookies(visitor, l.response.Cookies())
			}
		}
		r.describe()
	}()
	for _, l := range r.lanes {
		client := visitor.Clone()
		l.server.gate.begin(l)
		r.mu.Lock()
		l.moved = time.Now()
		r.mu.Unlock()
		sending.Go(func() { l.send(ctx, client) })
		if err := r.await(ctx, func() bool { return len(l.held) > 0 || l.answered }); err != nil {
			return nil, err
		}
	}
	last := 0
	for step := 0; step < maxSteps; step++ {
		enabled, err := r.settle(ctx)
		if err != nil || len(enabled) == 0 {
			return decisions, err
		}
		choice := Choice{Lane: enabled[0]}
		if slices.Contains(enabled, last) {
			choice.Lane = last
		}
		if step < len(r.prefix) {
			choice = r.prefix[step]
			if !slices.Contains(enabled, choice.Lane) {
				return decisions, fmt.Errorf("step %d, %s: %w", step+1, r.prefix[:step+1], errUnreached)
			}
		}
		decisions = append(decisions, decision{enabled, choice})
		last = choice.Lane
		if err := r.release(ctx, choice); err != nil {
			return decisions, err
		}
	}
	return decisions, nil
}

// release lets the next call of a lane go on.
func (r *run) release(ctx context.Context, choice Choice) error {
	l := r.lanes[choice.Lane]
	r.mu.Lock()
	c := l.held[0]
	l.held = l.held[1:]
	l.before, l.previous = l.previous, c
	l.waiting, l.failed = c, l.failed || choice.Fault != None
	l.moved = time.Now()
	for _, other := range r.lanes {
		if other != l {
			other.stuck = false
		}
	}
	r.steps = append(r.steps, Step{Request: laneName(l.index), Fault: choice.Fault, call: c})
	r.mu.Unlock()
	l.server.gate.release(c, choice.Fault, l.server.process.Kill)
	if choice.Fault != Down {
		return nil
	}
	waiting, cancel := context.WithTimeout(ctx, downTime)
	defer cancel()
	_ = r.await(waiting, func() bool { return l.answered }) // a client that retries gets its store back
	l.server.gate.up()
	return ctx.Err()
}

// await waits until the condition holds.
func (r *run) await(ctx context.Context, condition func() bool) error {
	for {
		r.mu.Lock()
		met := condition()
		r.mu.Unlock()
		if met {
			return nil
		}
		select {
		case <-r.changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// settle waits until every request waits for the release of a call, is answered, or has been silent, and at least one call
// waits. It returns the indexes of the lanes whose calls wait; none once all requests are answered.
func (r *run) settle(ctx context.Context) (enabled []int, err error) {
	began := time.Now()
	for {
		wait, all := time.Duration(0), true
		r.mu.Lock()
		enabled = enabled[:0]
		var stuck []int
		for i, l := range r.lanes {
			need, since := silent, l.moved
			switch {
			case len(l.held) > 0:
				need = quiet
				if l.stuck {
					stuck = append(stuck, i)
				} else {
					enabled = append(enabled, i)
				}
			case l.answered:
				if need = quiet; l.request.late {
					need = quietAnswered
				}
			default:
				all = false
				if !l.failed {
					if need = blocked; l.waiting == nil {
						need = computing
					}
				}
				if began.After(since) {
					since = began // the last release may let it go on
				}
			}
			wait = max(wait, need-time.Since(since))
		}
		r.mu.Unlock()
		if wait <= 0 {
			if len(enabled) == 0 && len(stuck) > 0 && all {
				enabled = stuck // nothing else can move
			}
			if len(enabled) > 0 || all {
				return enabled, nil
			}
			wait = silent
		}
		timer := time.NewTimer(wait)
		select {
		case <-r.changed:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx.Err()
		}
		timer.Stop()
	}
}

// describe decodes the calls of the steps.
func (r *run) describe() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.steps {
		s := &r.steps[i]
		if s.call == nil {
			continue
		}
		gate := s.call.link.gate
		gate.mu.Lock()
		p := s.call.link.protocol
		s.Call, s.Reply = r.labels.apply(p.describe(s.call.request)), ""
		if len(s.call.reply) > 0 {
			s.Reply = r.labels.apply(p.answered(s.call.reply))
		}
		gate.mu.Unlock()
	}
}

// keepCookies gives the client the cookies of a response. One that has expired goes.
func keepCookies(client *sessiontest.Client, cookies []*http.Cookie) {
	for _, cookie := range cookies {
		value := cookie.Value
		if cookie.MaxAge < 0 || !cookie.Expires.IsZero() && cookie.MaxAge == 0 && cookie.Expires.Before(time.Now()) {
			value = ""
		}
		client.SetCookie(cookie.Name, value)
	}
}
