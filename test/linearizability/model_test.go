package linearizability

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/anishathalye/porcupine"

	"stateless-servers/session"
)

// A Call is what a client asks of a server.
type Call struct {
	Kind    Kind
	ID      session.ID
	Changes []session.Change // of an update; of a create, what makes the first values
	Idle    int64            // of a create or an update: the new IdleExpires, in Unix seconds
}

// A Kind is an operation of session.Store, or the loss of everything.
type Kind string

const (
	create Kind = "create"
	load   Kind = "load"
	update Kind = "update"
	end    Kind = "end"
	lose   Kind = "lose" // the store was killed, and it keeps nothing on disk
)

// An Reply is what a server says of a Call.
type Reply struct {
	Outcome Outcome
	Values  map[string]string // of a load, an update or an end that is ok
	Idle    int64             // of the same: IdleExpires, in Unix seconds
	Error   string            // when the outcome is unknown: why
}

// An Outcome is an error of session.Store, by name.
type Outcome string

const (
	ok       Outcome = "ok"
	notFound Outcome = "not found"
	ended    Outcome = "ended"
	counter  Outcome = "not a counter"
	unknown  Outcome = "unknown" // no answer: it took effect at some time, or will, or never does
)

// A phase is where a session is in its life.
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

// after returns what a store that keeps the contract of session.Store does with a call: its next state and its reply.
func (s sessionState) after(c Call) (sessionState, Reply) {
	if c.Kind == lose {
		return sessionState{phase: absent}, Reply{Outcome: ok}
	}
	if c.Kind == create {
		values, err := session.Apply(nil, c.Changes)
		if s.phase != absent || err != nil {
			return s, Reply{Outcome: "refused"} // ids are fresh and first values good, so that no client gets this
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
			return s, Reply{Outcome: counter}
		}
		next = sessionState{live, values, c.Idle}
		return next, Reply{Outcome: ok, Values: next.values, Idle: next.idle}
	case end:
		next = sessionState{phase: over}
	}
	return next, Reply{Outcome: ok, Values: s.values, Idle: s.idle}
}

// model is one session, as porcupine wants it. A call of unknown outcome may be anywhere from its start to the end of the
// history: at its end, nobody sees it, and so it also stands for one that never took effect.
var model = porcupine.Model{
	Init: func() any { return sessionState{phase: absent} },
	Step: func(from, input, output any) (bool, any) {
		next, want := from.(sessionState).after(input.(Call))
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
			words = append(words, "-"+change.Key)
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

// idle tells idle expiries apart in few digits.
func idle(expires int64) string { return fmt.Sprintf("idle@%d", expires%100_000) }
