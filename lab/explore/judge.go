package explore

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// A Promise is a promise that an application gives with its answers.
type Promise string

// The promises that the explorer checks.
const (
	LostUpdate   Promise = "lost update"            // an acknowledged change is missing
	AppliedTwice Promise = "applied twice"          // a change is there more often than it was sent
	SessionLost  Promise = "session lost"           // contents are gone although nobody logged out
	LoginLost    Promise = "login lost"             // an acknowledged login isn't there
	AliveAfter   Promise = "alive after logout"     // the old cookie opens the session after an acknowledged logout
	TakenTwice   Promise = "taken twice"            // two responses contain what only one request could take, or it is still there
	Fixation     Promise = "session fixation"       // the cookie from before a login opens a session with a login
	Crossed      Promise = "cross-session leak"     // another visitor's session has changed
	WrongValue   Promise = "value that nobody sent" // a field has a value that no request gives it
	Unreadable   Promise = "unreadable session"     // the browser's cookies get an error, though nothing fails any more
)

// A Violation is a promise that a run has broken.
type Violation struct {
	Promise  Promise `json:"promise"`
	Sentence string  `json:"sentence"` // what was answered and what is there
}

// An outcome has the states of the session before and after a run, and the requests with their answers.
type outcome struct {
	before  state // the visitor's session before the run
	browser state // with the cookies that the browser has after the run
	old     state // with the cookies that it had before
	sent    []*lane
}

// judge returns the first promise that the outcome breaks, or nil.
func (o outcome) judge() *Violation {
	broken := func(p Promise, format string, args ...any) *Violation {
		return &Violation{p, fmt.Sprintf(format, args...)}
	}
	var loggedOut, mayBeEmpty, loggedIn, logins bool
	for _, l := range o.sent {
		mayBeEmpty = mayBeEmpty || l.request.has(ends)
		loggedOut = loggedOut || l.request.has(ends) && l.acknowledged()
		logins = logins || l.request.has(sets)
		loggedIn = loggedIn || l.request.has(sets) && l.request.has(renews) && l.acknowledged()
	}
	if loggedOut && o.hasOldContents(o.old) {
		return broken(AliveAfter, "The logout was acknowledged, but the old cookie still opens the session: %s.", o.old)
	}
	if loggedOut && !logins && o.hasOldContents(o.browser) {
		return broken(AliveAfter, "The logout was acknowledged, but the browser is back in the session: %s.", o.browser)
	}
	if loggedIn {
		for field := range o.loginFields() {
			if value := o.old[field]; value != "" {
				return broken(Fixation, "The login was acknowledged, but the cookie from before it opens a session with %s %s.", field, value)
			}
		}
	}
	for _, field := range o.fieldNames() {
		if v := o.judgeTaken(field, mayBeEmpty); v != nil {
			return v
		}
	}
	if loggedOut && !logins {
		o.before = state{} // nothing but what the other requests have added may be there
	}
	// A login that comes after the logout starts an empty session, and so does another request that comes after a logout that
	// was not acknowledged but took place.
	mayBeEmpty = mayBeEmpty && (loggedOut || logins || !o.hasOldContents(o.browser))
	for _, field := range o.fieldNames() {
		if _, _, isSum := o.bounds(field, mayBeEmpty); !isSum {
			if v := o.judgeValue(field, o.browser[field], mayBeEmpty); v != nil {
				return v
			}
		}
	}
	for _, field := range o.fieldNames() {
		least, most, isSum := o.bounds(field, mayBeEmpty)
		if !isSum {
			continue
		}
		value := o.browser[field]
		n, err := strconv.ParseInt("0"+value, 10, 64)
		switch {
		case err != nil:
			return broken(WrongValue, "%s is %q, not a number.", field, value)
		case n > most:
			return broken(AppliedTwice, "%s is %d, but it was %s and %d were sent.", field, n, orZero(o.before[field]), most-o.number(field))
		case n < least && len(o.browser) == 0:
			return broken(SessionLost, "Nobody logged out, but the session is empty; it had %s.", o.before)
		case n < least && !o.affected(field, adds):
			return broken(SessionLost, "Nobody logged out, but %s is %d; it was %s.", field, n, orZero(o.before[field]))
		case n < least:
			return broken(LostUpdate, "%s is %d, not %d: %s.", field, n, least, o.acknowledgements(field))
		}
	}
	return nil
}

// hasOldContents reports whether a state has contents that the requests of the run don't explain, so that they are from before.
// A server may begin a new session under an identifier that has ended. It then has nothing but what the requests added to it.
func (o outcome) hasOldContents(s state) bool {
	explained := outcome{before: state{}, sent: o.sent}
	for field, value := range s {
		_, most, isSum := explained.bounds(field, true)
		n, err := strconv.ParseInt(value, 10, 64)
		switch {
		case isSum && err == nil && n > most:
			return true
		case !isSum && explained.judgeValue(field, value, true) != nil:
			return true
		}
	}
	return false
}

// loginFields returns the fields that acknowledged logins have set.
func (o outcome) loginFields() map[string]bool {
	fields := map[string]bool{}
	for _, l := range o.sent {
		for _, e := range l.request.Effects {
			if sets(e) && l.request.has(renews) && l.acknowledged() {
				fields[e.Field] = true
			}
		}
	}
	return fields
}

func (o outcome) number(field string) int64 {
	n, _ := strconv.ParseInt("0"+o.before[field], 10, 64) // a field that isn't a number is judged as such
	return n
}

func orZero(value string) string {
	if value == "" {
		return "0"
	}
	return value
}

// affected reports whether a request of the run has an effect on the field that satisfies the condition.
func (o outcome) affected(field string, condition func(Effect) bool) bool {
	return slices.ContainsFunc(o.sent, func(l *lane) bool {
		return l.request.has(func(e Effect) bool { return e.Field == field && condition(e) })
	})
}

// bounds returns between what a field must be to which requests add, and whether it is one.
func (o outcome) bounds(field string, mayBeEmpty bool) (least, most int64, isSum bool) {
	least = o.number(field)
	most = least
	_, err := strconv.ParseInt("0"+o.before[field], 10, 64)
	isSum = err == nil && o.before[field] != ""
	for _, l := range o.sent {
		for _, e := range l.request.Effects {
			if e.Field != field || !adds(e) {
				continue
			}
			isSum = true
			if most += e.Add; l.acknowledged() {
				least += e.Add
			}
		}
	}
	if mayBeEmpty {
		least = 0
	}
	return least, most, isSum
}

// judgeTaken judges a field that requests take. Each value must be in one response or in the session.
func (o outcome) judgeTaken(field string, mayBeEmpty bool) *Violation {
	given := map[string]int{} // how often the session got each value
	var sure, replaced bool   // whether one of them was acknowledged, and whether one may be a later one
	if value := o.before[field]; value != "" {
		given[value], sure = 1, true
	}
	var takers []*lane
	acknowledged := 0
	for _, l := range o.sent {
		replaced = replaced || l.request.has(renews)
		for _, e := range l.request.Effects {
			switch {
			case e.Field == field && takes(e):
				if takers = append(takers, l); l.acknowledged() {
					acknowledged++
				}
			case e.Field == field && sets(e):
				given[e.Value]++
				sure, replaced = sure || l.acknowledged(), true
			}
		}
	}
	for _, value := range slices.Sorted(maps.Keys(given)) {
		var holders []string
		for _, l := range takers {
			if l.acknowledged() && strings.Contains(l.response.Body, value) {
				holders = append(holders, "the response to "+laneName(l.index))
			}
		}
		taken := len(holders)
		if o.browser[field] == value {
			holders = append(holders, "the session")
		}
		switch {
		case acknowledged == 0:
		case len(holders) > given[value]:
			return &Violation{TakenTwice, fmt.Sprintf("%s was %s, which is now in %s.", field, value, strings.Join(holders, " and in "))}
		case taken == 0 && len(holders) > 0 && !replaced:
			return &Violation{LostUpdate, fmt.Sprintf("%s is still %s, though a request that takes it was acknowledged.", field, value)}
		case len(holders) == 0 && len(given) == 1 && sure && acknowledged == len(takers) && !mayBeEmpty:
			return &Violation{LostUpdate, fmt.Sprintf("%s was %s, which is now neither in the session nor in a response.", field, value)}
		}
	}
	return nil
}

// judgeValue judges a field that requests set.
func (o outcome) judgeValue(field, value string, mayBeEmpty bool) *Violation {
	allowed := []string{o.before[field]}
	if mayBeEmpty = mayBeEmpty || o.affected(field, takes); mayBeEmpty {
		allowed = append(allowed, "")
	}
	acknowledged := ""
	for _, l := range o.sent {
		for _, e := range l.request.Effects {
			if e.Field == field && sets(e) {
				allowed = append(allowed, e.Value)
				if l.acknowledged() {
					acknowledged = e.Value
				}
			}
		}
	}
	switch {
	case !slices.Contains(allowed, value) && len(o.browser) == 0:
		return &Violation{SessionLost, fmt.Sprintf("Nobody logged out, but the session is empty; it had %s.", o.before)}
	case !slices.Contains(allowed, value) && value == "":
		return &Violation{LoginLost, fmt.Sprintf("Nobody logged out, but %s is no longer %s.", field, o.before[field])}
	case !slices.Contains(allowed, value):
		return &Violation{WrongValue, fmt.Sprintf("%s is %s; allowed is %s.", field, value, strings.Join(allowed, " or "))}
	case acknowledged != "" && value != acknowledged && !mayBeEmpty:
		return &Violation{LoginLost, fmt.Sprintf("The login was acknowledged, but %s is %q, not %s.", field, value, acknowledged)}
	}
	return nil
}

// acknowledgements says which requests that add to the field were answered with success.
func (o outcome) acknowledgements(field string) string {
	said := []string{fmt.Sprintf("it was %s", orZero(o.before[field]))}
	for _, l := range o.sent {
		for _, e := range l.request.Effects {
			if e.Field == field && adds(e) && l.acknowledged() {
				said = append(said, fmt.Sprintf("%s answered %d", laneName(l.index), l.response.StatusCode))
			}
		}
	}
	return strings.Join(said, ", ")
}

// fieldNames returns every field of the states and the effects, in order.
func (o outcome) fieldNames() []string {
	names := map[string]bool{}
	for _, s := range []state{o.before, o.browser} {
		for name := range s {
			names[name] = true
		}
	}
	for _, l := range o.sent {
		for _, e := range l.request.Effects {
			if e.Field != "" {
				names[e.Field] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// String lists the fields: "cart.coffee 1, user ada, visits 2".
func (s state) String() string {
	if len(s) == 0 {
		return "nothing"
	}
	var list []string
	for _, field := range slices.Sorted(maps.Keys(s)) {
		list = append(list, field+" "+s[field])
	}
	return strings.Join(list, ", ")
}
