package explore

import (
	"fmt"
	"slices"
	"strings"
)

// A Fault is a failure at one call of the store.
type Fault string

// The faults of the explorer.
const (
	None   Fault = ""
	Drop   Fault = "drop"   // the store performs the call, its reply is lost, and the connection ends
	Refuse Fault = "refuse" // the connection ends before the call reaches the store
	Error  Fault = "error"  // the store replies with an error and does nothing
	Down   Fault = "down"   // the connection ends, and all others of that server until its request is answered
	Kill   Fault = "kill"   // the store performs the call, and the server is killed before the reply arrives
)

// Faults lists every fault but None.
func Faults() []Fault { return []Fault{Drop, Refuse, Error, Down, Kill} }

// A Choice releases the next call of one request, perhaps with a fault.
type Choice struct {
	Lane  int // the index of the request
	Fault Fault
}

// A Schedule is the order in which the store calls of several requests are released, such as "A B A!drop".
type Schedule []Choice

// String formats the schedule for ParseSchedule.
func (s Schedule) String() string {
	words := make([]string, len(s))
	for i, c := range s {
		words[i] = laneName(c.Lane)
		if c.Fault != None {
			words[i] += "!" + string(c.Fault)
		}
	}
	return strings.Join(words, " ")
}

func laneName(i int) string { return string(rune('A' + i)) }

// ScheduleSyntax describes the schedules that ParseSchedule takes.
const ScheduleSyntax = "the requests' letters in the order of their store calls, with at most one fault, such as A B A!drop or A,B,A!drop"

// ParseSchedule parses a schedule of that many requests, as ScheduleSyntax describes it.
func ParseSchedule(text string, requests int) (Schedule, error) {
	var s Schedule
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == ',' }) {
		name, fault, faulty := strings.Cut(word, "!")
		c := Choice{Fault: Fault(fault)}
		if len(name) == 1 {
			c.Lane = int(name[0]) - 'A'
		}
		if len(name) != 1 || c.Lane < 0 || c.Lane >= requests || faulty && !slices.Contains(Faults(), c.Fault) {
			return nil, fmt.Errorf("schedule %q: %q is no letter from A to %s, perhaps with a fault of %v after it: A!%s",
				text, word, laneName(requests-1), Faults(), Drop)
		}
		s = append(s, c)
	}
	return s, nil
}

// switches returns how often the schedule goes on with another request than before.
func (s Schedule) switches() int {
	n := 0
	for i := 1; i < len(s); i++ {
		if s[i].Lane != s[i-1].Lane {
			n++
		}
	}
	return n
}

func (s Schedule) faulty() bool {
	return slices.ContainsFunc(s, func(c Choice) bool { return c.Fault != None })
}

// compare orders schedules by what is simpler: no fault, fewer switches, fewer calls.
func (s Schedule) compare(other Schedule) int {
	key := func(s Schedule) []int {
		faulty := 0
		if s.faulty() {
			faulty = 1
		}
		return []int{faulty, s.switches(), len(s)}
	}
	if c := slices.Compare(key(s), key(other)); c != 0 {
		return c
	}
	return strings.Compare(s.String(), other.String())
}
