package linearizability

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/anishathalye/porcupine"

	"stateless-servers/session"
)

// A Call is a call of a method of session.Store by a client, or the loss of all sessions.
type Call struct {
	Kind    Kind
	ID      session.ID
	Changes []session.Change // for a create or an update; those of a create make the first values
	Idle    int64            // for a create or an update: the new IdleExpires, in Unix seconds
}

// A Kind is the operation of a Call.
type Kind string

const (
	create Kind = "create"
	load   Kind = "load"
	update Kind = "update"
	end    Kind = "end"
	lose   Kind = "lose" // the store, which keeps nothing on disk, was killed
)

// A Reply is the store's reply to a Call.
type Reply struct {
	Outcome Outcome
	Values  map[string]string // of a successful load, update or end
	Idle    int64             // IdleExpires of a successful load, update or end, in Unix seconds
	Error   string            // the reason for an unknown outcome
}

// An Outcome is the result of a Call: success or an error of session.Store.
type Outcome string

const (
	ok       Outcome = "ok"
	notFound Outcome = "not found"
	ended    Outcome = "ended"
	refused  Outcome = "refused" // not a counter, or the condition of a removal is false
	unknown  Outcome = "unknown" // no reply: the call has taken effect, will take effect, or never does
)

// A phase is a phase of a session's life.
type phase string

const (
	absent phase = "absent"
	live   phase = "live"
	over   phase = "ended"
)

// sessionState is the complete state of one session.
type sessionState struct {
	phase  phase
	values map[string]string
	idle   int64
}

// apply returns the next state and the reply of a store that keeps the contract of session.Store.
func (s sessionState) apply(c Call) (sessionState, Reply) {
	if c.Kind == lose {
		return sessionState{phase: absent}, Reply{Outcome: ok}
	}
	if c.Kind == create {
		values, err := session.Apply(nil, c.Changes)
		if s.phase != absent || err != nil {
			return s, Reply{Outcome: "refused"} // never happens: clients create sessions with new ids and valid values
		}
		return sessionState{live, values, c.Idle}, Reply{Outcome: ok}
	}
	switch s.phase {
	case absent:
		return s, Reply{Outcome: notFound}
	case over:
		return s, Reply{Outcome: ended}
	}
	next := s
	switch c.Kind {
	case update:
		values, err := session.Apply(s.values, c.Changes)
		if err != nil {
			return s, Reply{Outcome: refused}
		}
		next = sessionState{live, values, c.Idle}
		return next, Reply{Outcome: ok, Values: next.values, Idle: next.idle}
	case end:
		next = sessionState{phase: over}
	}
	return next, Reply{Outcome: ok, Values: s.values, Idle: s.idle}
}

// model is the sequential specification of one session for porcupine. A call with an unknown outcome may take effect at any time
// from its start to the end of the history. At the end no other call sees its effect, so this includes calls without effect.
var model = porcupine.Model{
	Init: func() any { return sessionState{phase: absent} },
	Step: func(from, input, output any) (bool, any) {
		next, want := from.(sessionState).apply(input.(Call))
		got := output.(Reply)
		return got.Outcome == unknown || got.equal(want), next
	},
	Equal: func(a, b any) bool {
		s, t := a.(sessionState), b.(sessionState)
		return s.phase == t.phase && s.idle == t.idle && maps.Equal(s.values, t.values)
	},
	DescribeOperation: func(input, output any) string { return input.(Call).String() + " → " + output.(Reply).String() },
	DescribeState:     func(s any) string { return s.(sessionState).String() },
}

func (a Reply) equal(b Reply) bool {
	return a.Outcome == b.Outcome && a.Idle == b.Idle && maps.Equal(a.Values, b.Values)
}

func (c Call) String() string {
	words := []string{string(c.Kind)}
	for _, change := range c.Changes {
		switch change.Op {
		case session.OpSet:
			words = append(words, change.Key+"="+change.Value)
		case session.OpRemove:
			words = append(words, "-"+change.Key+change.Value)
		case session.OpAdd:
			words = append(words, fmt.Sprintf("%s%+d", change.Key, change.N))
		}
	}
	if c.Idle != 0 {
		words = append(words, idle(c.Idle))
	}
	return strings.Join(words, " ")
}

func (a Reply) String() string {
	switch {
	case a.Outcome == unknown:
		return "unknown (" + a.Error + ")"
	case a.Outcome == ok && (a.Idle != 0 || len(a.Values) > 0):
		return "ok " + contents(a.Values, a.Idle)
	default:
		return string(a.Outcome)
	}
}

func (s sessionState) String() string {
	if s.phase == live {
		return "live " + contents(s.values, s.idle)
	}
	return string(s.phase)
}

func contents(values map[string]string, expires int64) string {
	var words []string
	for _, key := range slices.Sorted(maps.Keys(values)) {
		words = append(words, key+"="+values[key])
	}
	if expires != 0 {
		words = append(words, idle(expires))
	}
	return "{" + strings.Join(words, " ") + "}"
}

// idle formats an idle expiry in few digits that differ between the updates of a history.
func idle(expires int64) string { return fmt.Sprintf("idle@%d", expires%100_000) }
