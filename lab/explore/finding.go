package explore

import (
	"net/http"
	"strconv"
)

// A Scenario has the findings for one combination of requests.
type Scenario struct {
	Name     string   `json:"name"` // the requests' names: "visits + logout"
	Requests []string `json:"requests"`
	// Calls is how many store calls the request makes; only of a request alone.
	Calls    int `json:"calls,omitempty"`
	Explored int `json:"explored"`
	Broken   int `json:"broken"`
	// Unreached is how many schedules could not be run, because requests did not make the calls that they had made before.
	Unreached int    `json:"unreached"`
	Orders    Counts `json:"orders"` // the schedules without a fault
	Faults    Counts `json:"faults"` // the schedules with one fault
	// Shortest is the simplest schedule that breaks a promise: without a fault if possible, then with the fewest switches.
	Shortest *Finding `json:"shortest,omitempty"`
	// Findings has the simplest schedule for each promise that is broken.
	Findings []Finding `json:"findings,omitempty"`
}

// Counts are the numbers of schedules.
type Counts struct {
	Explored int `json:"explored"`
	Broken   int `json:"broken"`
	// Complete says that every schedule was explored. Otherwise those were that have at most Switches changes from one
	// request to another, and some with one more.
	Complete bool `json:"complete"`
	Switches int  `json:"switches,omitempty"`
	// Sequential is how many of the broken schedules have no overlap: one request made all its calls before the next one made
	// its first. The later request still had the cookies from before. Whether that counts can be argued about.
	Sequential int `json:"sequential,omitempty"`
	// Acknowledged is how many of the broken schedules answered the request with success that the fault struck, by fault.
	Acknowledged map[Fault]int `json:"acknowledged,omitempty"`
}

// count adds a run.
func (c *Counts) count(r Result, requests int) {
	c.Explored++
	if r.Violation == nil {
		return
	}
	c.Broken++
	if requests > 1 && r.Schedule.switches() == requests-1 {
		c.Sequential++
	}
	if fault := r.struck(); fault != None {
		if c.Acknowledged == nil {
			c.Acknowledged = map[Fault]int{}
		}
		c.Acknowledged[fault]++
	}
}

// struck returns the fault of a run whose request was answered with success all the same, or None.
func (r Result) struck() Fault {
	for _, s := range r.Steps {
		if s.Fault == None {
			continue
		}
		for _, answer := range r.Steps {
			status, err := strconv.Atoi(answer.Answer)
			if answer.Request == s.Request && err == nil && status < http.StatusBadRequest {
				return s.Fault
			}
		}
	}
	return None
}

// A Finding is a schedule that breaks a promise.
type Finding struct {
	Schedule  string  `json:"schedule"`
	Promise   Promise `json:"promise"`
	Sentence  string  `json:"sentence"`
	Broken    int     `json:"broken"` // the schedules of the scenario that break this promise
	Steps     []Step  `json:"steps"`
	Browser   string  `json:"browser"`    // what the visitor's cookies open afterwards
	OldCookie string  `json:"old_cookie"` // what the cookies from before open
	// Replayed is how many of five more runs of the schedule had the same steps and the same end.
	Replayed int `json:"replayed"`

	schedule Schedule
}

func newFinding(r Result, broken int) Finding {
	f := Finding{
		Schedule: r.Schedule.String(), Broken: broken,
		Steps: r.Steps, Browser: r.Browser.String(), OldCookie: r.Old.String(), schedule: r.Schedule,
	}
	if r.Violation != nil {
		f.Promise, f.Sentence = r.Violation.Promise, r.Violation.Sentence
	}
	return f
}

// sameAs reports whether two runs made the same calls with the same end.
func (r Result) sameAs(other Result) bool {
	if r.Violation == nil || other.Violation == nil || *r.Violation != *other.Violation ||
		r.Browser.String() != other.Browser.String() || r.Old.String() != other.Old.String() || len(r.Steps) != len(other.Steps) {
		return false
	}
	for i := range r.Steps {
		a, b := r.Steps[i], other.Steps[i]
		if a.Request != b.Request || a.Call != b.Call || a.Answer != b.Answer || a.Fault != b.Fault {
			return false
		}
	}
	return true
}
