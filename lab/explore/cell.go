package explore

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"stateless-servers/session/sessiontest"
)

// A cell is a set of servers that one run at a time uses: one for each request, and an observer, whose calls always pass.
type cell struct {
	target   *Target
	servers  []*server
	observer *server
	stranger *sessiontest.Client // another visitor, whose session no run may change
	expected state               // the session of the stranger
}

// observer begins the names of observers.
const observer = "observer"

// newCell starts the servers of a cell for runs of that many requests.
func newCell(ctx context.Context, t *Target, name string, requests int) (*cell, error) {
	c := &cell{target: t, servers: make([]*server, requests), stranger: sessiontest.NewClient()}
	group, starting := errgroup.WithContext(ctx)
	for i := range c.servers {
		group.Go(func() (err error) {
			c.servers[i], err = t.startServer(starting, fmt.Sprintf("server %s%s", laneName(i), name))
			return err
		})
	}
	group.Go(func() (err error) {
		c.observer, err = t.startServer(starting, observer+name)
		return err
	})
	err := group.Wait()
	if err == nil {
		err = c.prepareStranger(ctx)
	}
	if err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *cell) close() {
	for _, s := range append(c.servers, c.observer) {
		if s != nil {
			s.close()
		}
	}
}

// strangerRepeats makes what is added in the stranger's session more than in that of any run's visitor.
const strangerRepeats = 9

// prepareStranger gives the stranger a session.
func (c *cell) prepareStranger(ctx context.Context) (err error) {
	for i := range strangerRepeats {
		for _, r := range c.target.before(nil) {
			if i > 0 && !r.has(adds) {
				continue
			}
			if err := c.observer.must(ctx, c.stranger, r); err != nil {
				return err
			}
		}
	}
	if c.expected, err = c.observer.read(ctx, c.stranger); err != nil {
		return err
	}
	if len(c.expected) == 0 {
		return fmt.Errorf("after %v, the answer of %s has none of the fields %v", c.target.before(nil), c.target.State, c.target.fields())
	}
	return nil
}

// measureLate finds out which requests call the store after their answers.
func (c *cell) measureLate(ctx context.Context) error {
	s := c.servers[0]
	visitor := sessiontest.NewClient()
	var calls atomic.Int64
	s.gate.observe(func(*call) { calls.Add(1) })
	defer s.gate.observe(nil)
	for _, r := range c.target.before(nil) {
		if err := s.must(ctx, visitor, r); err != nil {
			return err
		}
	}
	for i := range c.target.Requests {
		r := &c.target.Requests[i]
		if err := s.must(ctx, visitor, *r); err != nil {
			return err
		}
		at := calls.Load()
		select {
		case <-time.After(2 * quietAnswered):
		case <-ctx.Done():
			return ctx.Err()
		}
		r.late = calls.Load() > at
	}
	if calls.Load() == 0 {
		return errors.New("the servers make no call at the address of the store that they are given; do they use it?")
	}
	return nil
}

// A Result has the steps of one run of a schedule, and the state of the session after it.
type Result struct {
	Schedule  Schedule
	Steps     []Step
	Browser   state      // what the visitor sees afterwards
	Old       state      // what the cookies from before open
	Violation *Violation // nil if every promise was kept

	decisions []decision
}

// run sends the requests in the order of the schedule and judges the session that they leave. The error is errUnreached when the
// requests don't make the calls that the schedule releases.
func (c *cell) run(ctx context.Context, requests []Request, prefix Schedule) (result Result, err error) {
	visitor := sessiontest.NewClient()
	for _, r := range c.target.before(requests) {
		if err := c.observer.must(ctx, visitor, r); err != nil {
			return result, err
		}
	}
	names := newLabels()
	c.observer.gate.observe(func(sent *call) { names.apply(sent.link.protocol.describe(sent.request)) })
	before, err := c.observer.read(ctx, visitor)
	c.observer.gate.observe(nil)
	if err != nil {
		return result, err
	}
	if len(before) == 0 {
		return result, fmt.Errorf("after %v, the answer of %s has none of the fields %v", c.target.before(requests), c.target.State, c.target.fields())
	}
	names.first = "new"
	old := visitor.Clone()
	r := &run{prefix: prefix, labels: names, changed: make(chan struct{}, 1)}
	for i, request := range requests {
		r.lanes = append(r.lanes, &lane{run: r, index: i, request: request, server: c.servers[i]})
	}
	decisions, err := r.execute(ctx, visitor)
	if ctx.Err() != nil {
		return result, ctx.Err()
	}
	result.decisions, result.Steps = decisions, r.steps
	for _, d := range decisions {
		result.Schedule = append(result.Schedule, d.chosen)
	}
	if err := errors.Join(err, c.recover(ctx, result.Schedule)); err != nil {
		return result, err
	}
	o := outcome{before: before, sent: r.lanes}
	var unreadable *unreadableError
	if o.old, err = c.readOld(ctx, old, o); err != nil {
		return result, err
	}
	if o.browser, err = c.observer.read(ctx, visitor); err == nil {
		o.browser, err = c.retryLogin(ctx, visitor, o)
	}
	if errors.As(err, &unreadable) {
		result.Old, result.Violation = o.old, &Violation{Unreadable, "The browser's cookies get an error: " + unreadable.text}
		return result, nil
	}
	if err != nil {
		return result, err
	}
	stranger, err := c.observer.read(ctx, c.stranger)
	if err != nil {
		return result, err
	}
	result.Browser, result.Old, result.Violation = o.browser, o.old, o.judge()
	if stranger.String() != c.expected.String() {
		result.Violation = &Violation{Crossed, fmt.Sprintf("Another visitor's session had %s, and now has %s.", c.expected, stranger)}
		c.expected = stranger
	}
	return result, nil
}

// recover has every server work again whose store failed.
func (c *cell) recover(ctx context.Context, s Schedule) error {
	for _, choice := range s {
		if choice.Fault != None {
			return c.servers[choice.Lane].recover(ctx)
		}
	}
	return nil
}

// readOld returns the state that the cookies from before open, after LogoutWithin if they open a session that has ended.
func (c *cell) readOld(ctx context.Context, old *sessiontest.Client, o outcome) (state, error) {
	until := time.Now().Add(c.target.LogoutWithin)
	for wait := readyPause; ; wait = min(2*wait, readyPauseMax) {
		last := !time.Now().Before(until)
		var unreadable *unreadableError
		var err error
		if o.old, err = c.observer.read(ctx, old.Clone()); err != nil && !errors.As(err, &unreadable) {
			return nil, err // an old cookie that gets an error opens no session
		}
		if v := o.judge(); last || v == nil || v.Promise != AliveAfter && v.Promise != Fixation {
			return o.old, nil
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// retryLogin sends a login again that was not acknowledged, if the session seems to be lost, as the visitor would.
// The session must then be there with its contents. It returns the state of the session.
func (c *cell) retryLogin(ctx context.Context, visitor *sessiontest.Client, o outcome) (state, error) {
	if len(o.browser) > 0 {
		return o.browser, nil
	}
	for _, l := range o.sent {
		if l.request.has(renews) && !l.acknowledged() {
			if err := c.observer.must(ctx, visitor, l.request); err != nil {
				return nil, err
			}
			return c.observer.read(ctx, visitor)
		}
	}
	return o.browser, nil
}
