package explore

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// An Application is a web application as the explorer sees it: the requests that it sends, what each promises, and the
// request that reads the state of a session.
type Application struct {
	Name     string
	Requests []Request
	// State is the request whose JSON response has the fields that the effects of the Requests name.
	State Request
	// Ready is the path that answers 200 once a server takes requests.
	Ready string
	// LogoutWithin is how long a session may stay alive on other servers after it has ended; 0 for not at all.
	LogoutWithin time.Duration
}

// A Request is one request of a visitor, with the effects that it has if it succeeds.
type Request struct {
	Name    string
	Method  string
	Path    string
	Form    string // the body, a form; empty for none
	Effects []Effect

	late bool // it calls the store after its answer
}

// An Effect describes a change that a successful request makes to the session. Exactly one of Add, Value, Takes, Ends and Renews
// is set.
type Effect struct {
	Field  string // a path into the JSON of the state, such as cart.coffee
	Add    int64  // added to the field
	Value  string // the new value of the field
	Takes  bool   // the field's value leaves the session: the response contains it, and no other response does
	Ends   bool   // the session ends: its cookie is worthless afterwards
	Renews bool   // the session gets a new identifier: the old cookie opens no session with a login
}

// Contract returns the requests of the lab's contract, which the sample server implements, and any server can.
func Contract() Application {
	return Application{
		Requests: []Request{
			{Name: "visits", Method: http.MethodPost, Path: "/api/visits", Effects: []Effect{{Field: "visits", Add: 1}}},
			{Name: "cart", Method: http.MethodPost, Path: "/api/cart/coffee", Form: "quantity=1", Effects: []Effect{{Field: "cart.coffee", Add: 1}}},
			{Name: "login", Method: http.MethodPost, Path: "/login", Form: "user=ada", Effects: []Effect{{Field: "user", Value: "ada"}, {Renews: true}}},
			{Name: "logout", Method: http.MethodPost, Path: "/logout", Effects: []Effect{{Ends: true}}},
		},
		State: Request{Name: "state", Method: http.MethodGet, Path: "/api/session"},
		Ready: "/healthz",
	}
}

// EffectSyntax describes the effects that ParseEffects takes.
const EffectSyntax = "effects such as visits +1, cart.coffee +1, user = ada, takes notice, ends session, renews session, with commas between them"

var (
	addPattern   = regexp.MustCompile(`^([\w.]+) *\+ *(\d{1,9})$`)
	valuePattern = regexp.MustCompile(`^([\w.]+) *= *(\S.*)$`)
	takePattern  = regexp.MustCompile(`^takes +([\w.]+)$`)
)

// ParseEffects parses effects as EffectSyntax describes them, and reports whether it could.
func ParseEffects(text string) (effects []Effect, ok bool) {
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		add, value, take := addPattern.FindStringSubmatch(part), valuePattern.FindStringSubmatch(part), takePattern.FindStringSubmatch(part)
		switch {
		case part == "ends session":
			effects = append(effects, Effect{Ends: true})
		case part == "renews session":
			effects = append(effects, Effect{Renews: true})
		case add != nil:
			n, err := strconv.ParseInt(add[2], 10, 64)
			if err != nil || n == 0 {
				return nil, false
			}
			effects = append(effects, Effect{Field: add[1], Add: n})
		case value != nil:
			effects = append(effects, Effect{Field: value[1], Value: value[2]})
		case take != nil:
			effects = append(effects, Effect{Field: take[1], Takes: true})
		default:
			return nil, false
		}
	}
	return effects, true
}

// sendSyntax describes the requests that parseSend takes.
const sendSyntax = "a method, a path and perhaps a form, such as POST /api/cart/coffee quantity=1"

var sendPattern = regexp.MustCompile(`^(GET|POST|PUT|PATCH|DELETE) (/\S*)(?: (\S+))?$`)

// parseSend parses a request as sendSyntax describes it.
func parseSend(text string) (r Request, ok bool) {
	match := sendPattern.FindStringSubmatch(strings.TrimSpace(text))
	if match == nil {
		return r, false
	}
	return Request{Method: match[1], Path: match[2], Form: match[3]}, true
}

// String returns the method and the path.
func (r Request) String() string { return r.Method + " " + r.Path }

// has reports whether one of the request's effects satisfies the condition.
func (r Request) has(condition func(Effect) bool) bool {
	return slices.ContainsFunc(r.Effects, condition)
}

func ends(e Effect) bool   { return e.Ends }
func renews(e Effect) bool { return e.Renews }
func sets(e Effect) bool   { return e.Value != "" }
func adds(e Effect) bool   { return e.Add != 0 }
func takes(e Effect) bool  { return e.Takes }

// fields returns the fields that effects name, each once.
func (a Application) fields() []string {
	var fields []string
	for _, r := range a.Requests {
		for _, e := range r.Effects {
			if e.Field != "" && !slices.Contains(fields, e.Field) {
				fields = append(fields, e.Field)
			}
		}
	}
	return fields
}

// before returns the requests that build the session with which the requests of a scenario begin: each addition once, and
// each request that sets a field, such as a login, unless the scenario has it.
func (a Application) before(scenario []Request) []Request {
	var before []Request
	for _, r := range a.Requests {
		if r.has(adds) && !r.has(sets) && !r.has(ends) {
			before = append(before, r)
		}
	}
	for _, r := range a.Requests {
		if r.has(sets) && !slices.ContainsFunc(scenario, func(other Request) bool { return other.Name == r.Name }) {
			before = append(before, r)
		}
	}
	return before
}

// check returns an error if the application can't be explored.
func (a Application) check() error {
	if len(a.Requests) == 0 {
		return errors.New("no requests to explore")
	}
	names := map[string]bool{}
	for _, r := range a.Requests {
		if names[r.Name] {
			return fmt.Errorf("two requests are named %q", r.Name)
		}
		names[r.Name] = true
	}
	for _, field := range a.fields() {
		with := func(condition func(Effect) bool) bool {
			return slices.ContainsFunc(a.Requests, func(r Request) bool {
				return r.has(func(e Effect) bool { return e.Field == field && condition(e) })
			})
		}
		if with(takes) && !with(sets) {
			return fmt.Errorf("a request takes %s, but none sets it", field)
		}
	}
	if len(a.before(nil)) == 0 {
		return errors.New("no request adds or sets anything, so there is no session to lose")
	}
	return nil
}
