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

// Linearizability counts the sessions of a history that are linearizable. A session is linearizable if its requests can be
// ordered so that each takes effect at one moment between its sending and its response, and every response shows the effect
// of exactly the requests before it. This finds every violation that a Log counts, and more.
type Linearizability struct {
	Sessions     int    // the sessions that were checked
	Linearizable int    // of these, the linearizable ones
	Undecided    int    // sessions whose search was given up at one of the Limits
	Violation    string // explains the earliest session that is not linearizable; "" when there is none
}

// Limits bounds the time that CheckLinearizability searches.
type Limits struct {
	Session time.Duration // for each session
	Total   time.Duration // for all sessions, without the time to explain the violation
}

// CheckLinearizability checks every session with porcupine, within the limits. When ctx or the total time ends, the
// remaining sessions are undecided.
func (r *Replay) CheckLinearizability(ctx context.Context, limits Limits) Linearizability {
	searching, cancel := context.WithTimeout(ctx, limits.Total)
	defer cancel()
	var found Linearizability
	var mu sync.Mutex
	var group sync.WaitGroup
	sessions := make(chan *replayedSession)
	var first *replayedSession
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			for s := range sessions {
				result := porcupine.Unknown
				if searching.Err() == nil {
					result = porcupine.CheckOperationsTimeout(model(searching), s.operations(), limits.Session)
				}
				if searching.Err() != nil && result == porcupine.Illegal { // the model rejects everything once its context has ended
					result = porcupine.Unknown
				}
				mu.Lock()
				switch {
				case result == porcupine.Ok:
					found.Linearizable++
				case result == porcupine.Unknown:
					found.Undecided++
				case first == nil || s.ops[0].Sent < first.ops[0].Sent:
					first = s
				}
				mu.Unlock()
			}
		})
	}
	for _, s := range r.sessions {
		// The responses of an expired session depend on the time, which the model doesn't have.
		if s.session.opened && !s.session.expired {
			found.Sessions++
			sessions <- s
		}
	}
	close(sessions)
	group.Wait()
	if first != nil {
		found.Violation = first.explainViolation(ctx, limits.Session)
	}
	return found
}

// operations returns the requests that change or show the state of the session.
func (r *replayedSession) operations() []porcupine.Operation {
	var list []porcupine.Operation
	for i, o := range r.ops {
		call, end := int64(o.Sent), int64(o.Received)
		switch known := o.acknowledged() || o.refused(); {
		case !o.opened && !o.opens, !known && o.Kind == Read:
			continue // it had no session, or no response
		case !known && o.isTransition():
			end = math.MaxInt64 // it may take effect at any later time, or never
		case !known:
			end = call // the addition is pending from here on
		}
		list = append(list, porcupine.Operation{ClientId: i, Input: o, Call: call, Return: end})
	}
	return list
}

// state is the state of a session on a correct server.
type state struct {
	open, ended bool
	logins      int
	applied     counts
	pending     counts // additions without a response whose effect no response has shown yet
}

// model returns porcupine's model of one session. When ctx ends, the model rejects every step, which ends the search.
func model(ctx context.Context) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return state{} },
		Step: func(before, input, _ any) (bool, any) {
			s := before.(state)
			return ctx.Err() == nil && s.step(input.(*Op)), s
		},
	}
}

// step applies the request, and reports whether its response is correct in this state.
func (s *state) step(o *Op) bool {
	counter, quantity := o.counter()
	current := s.open && !s.ended && o.logins == s.logins
	switch {
	case !o.acknowledged() && !o.refused():
		switch o.Kind {
		case Login:
			s.logins++
		case Logout:
			s.ended = true
		default:
			s.pending[counter] += quantity
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
	s.applied[counter] += quantity
	switch o.Kind {
	case Logout:
		s.ended = true
		return true // its response shows the state after the logout
	case Login:
		s.logins++
	}
	return s.shows(o.view)
}

// shows reports whether the view is consistent with this state. It marks the pending additions that the view includes as
// applied.
func (s *state) shows(v view) bool {
	if v.whole && (v.user != "") != (s.logins > 0) {
		return false
	}
	for counter, shown := range v.counts {
		if !v.shows(counter) {
			continue
		}
		more := shown - s.applied[counter]
		if more < 0 || more > s.pending[counter] {
			return false
		}
		s.applied[counter] += more
		s.pending[counter] -= more
	}
	return true
}

// explainViolation describes the longest order that it finds, and the first request that fits into no order.
func (r *replayedSession) explainViolation(ctx context.Context, timeout time.Duration) string {
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
		for _, before := range longest[max(0, len(longest)-maxExplained):] {
			ops = append(ops, before.Input.(*Op))
		}
		return r.session.explain(fmt.Sprintf("is not linearizable: no order of its %d requests explains the responses. "+
			"The last %d requests that fit, and the first that doesn't, sent at %s",
			len(operations), len(ops)-1, seconds(o.Sent)), ops...)
	}
	return r.session.explain("is not linearizable: no order of its requests explains the responses")
}
