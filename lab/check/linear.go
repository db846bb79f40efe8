package check

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
)

// Order says whether the sessions of a history are linearizable: whether, for each of them, there is an order of its
// requests that explains every answer, in which each request takes effect at one moment between its sending and its
// answer. That is all that the counting while a test runs knows, and more.
type Order struct {
	Sessions  int    // that were tried
	Explained int    // linearizable
	Undecided int    // given up after the time for each, or for all
	First     string // of the others: why not; empty when there are none
}

// Limits are how long Linearize may look for orders.
type Limits struct {
	Session time.Duration // for each session
	Total   time.Duration // for all of them together, before what it found is explained
}

// Linearize tries every session with porcupine, within the limits. When ctx or the time for all ends, the rest is left
// undecided.
func (r *Replay) Linearize(ctx context.Context, limits Limits) Order {
	searching, cancel := context.WithTimeout(ctx, limits.Total)
	defer cancel()
	var order Order
	var mu sync.Mutex
	var group sync.WaitGroup
	sessions := make(chan *replayed)
	var first *replayed
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			for s := range sessions {
				result := porcupine.Unknown
				if searching.Err() == nil {
					result = porcupine.CheckOperationsTimeout(model(searching), s.operations(), limits.Session)
				}
				if searching.Err() != nil && result == porcupine.Illegal { // nothing fits a model whose context has ended
					result = porcupine.Unknown
				}
				mu.Lock()
				switch {
				case result == porcupine.Ok:
					order.Explained++
				case result == porcupine.Unknown:
					order.Undecided++
				case first == nil || s.ops[0].Sent < first.ops[0].Sent:
					first = s
				}
				mu.Unlock()
			}
		})
	}
	for _, s := range r.sessions {
		// What an expired session answers depends on its time, of which the model knows nothing.
		if s.session.opened && !s.session.expired {
			order.Sessions++
			sessions <- s
		}
	}
	close(sessions)
	group.Wait()
	if first != nil {
		order.First = first.inexplicable(ctx, limits.Session)
	}
	return order
}

// operations are the requests that say anything about the state.
func (r *replayed) operations() []porcupine.Operation {
	var list []porcupine.Operation
	for i, o := range r.ops {
		call, end := int64(o.Sent), int64(o.Received)
		switch known := o.done() || o.refused(); {
		case !o.opened && !o.opens, !known && o.Kind == Read:
			continue // it had no session, or no answer
		case !known && o.isChange():
			end = math.MaxInt64 // it may take effect at any time, or never
		case !known:
			end = call // from here on the addition may take effect
		}
		list = append(list, porcupine.Operation{ClientId: i, Input: o, Call: call, Return: end})
	}
	return list
}

// state is a session as the server that never errs has it.
type state struct {
	open, ended bool
	logins      int
	has         counts
	maybe       counts // additions without an answer that have not shown yet
}

// model is of one session. When ctx ends nothing fits any more, which ends the search.
func model(ctx context.Context) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return state{} },
		Step: func(before, input, _ any) (bool, any) {
			s := before.(state)
			return ctx.Err() == nil && s.step(input.(*Op)), s
		},
	}
}

// step applies the request, and reports whether its answer is right.
func (s *state) step(o *Op) bool {
	counter, quantity := o.counter()
	current := s.open && !s.ended && o.logins == s.logins
	switch {
	case !o.done() && !o.refused():
		switch o.Kind {
		case Login:
			s.logins++
		case Logout:
			s.ended = true
		default:
			s.maybe[counter] += quantity
		}
		return true
	case o.refused(), o.Kind == Read && !o.view.live:
		return !current
	case o.opens:
		current = !s.open
		s.open = true
	}
	if !current {
		return false
	}
	s.has[counter] += quantity
	switch o.Kind {
	case Logout:
		s.ended = true
		return true // what it shows is the time after
	case Login:
		s.logins++
	}
	return s.shows(o.view)
}

// shows reports whether the view can be of this state, and notes what it gives away of the additions without an answer.
func (s *state) shows(v view) bool {
	if v.whole && (v.user != "") != (s.logins > 0) {
		return false
	}
	for counter, shown := range v.counts {
		if !v.shows(counter) {
			continue
		}
		more := shown - s.has[counter]
		if more < 0 || more > s.maybe[counter] {
			return false
		}
		s.has[counter] += more
		s.maybe[counter] -= more
	}
	return true
}

// inexplicable says which request has no place in any order.
func (r *replayed) inexplicable(ctx context.Context, timeout time.Duration) string {
	operations := r.operations()
	_, info := porcupine.CheckOperationsVerbose(model(ctx), operations, timeout)
	var longest []porcupine.Operation
	for _, orders := range info.PartialLinearizationsOperations() {
		for _, order := range orders {
			if len(order) > len(longest) {
				longest = order
			}
		}
	}
	placed := map[*Op]bool{}
	for _, operation := range longest {
		placed[operation.Input.(*Op)] = true
	}
	slices.SortFunc(operations, func(a, b porcupine.Operation) int { return cmp.Compare(a.Return, b.Return) })
	for _, operation := range operations {
		o := operation.Input.(*Op)
		if placed[o] {
			continue
		}
		ops := []*Op{o}
		for _, before := range longest[max(0, len(longest)-explained):] {
			ops = append(ops, before.Input.(*Op))
		}
		return r.session.story(fmt.Sprintf("can't be explained: no order of its %d requests gives these answers. "+
			"The last %d that fit, and the first that doesn't, which was sent at %s",
			len(operations), len(ops)-1, seconds(o.Sent)), ops...)
	}
	return r.session.story("can't be explained: no order of its requests gives these answers")
}
