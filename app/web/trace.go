package web

import (
	"encoding/hex"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"stateless-servers/session"
)

// A server knows nothing of a session that it can't find. So the browser keeps a trace of its session, from which the page
// explains a loss. Two cookies, for display only, hold traces. static/script.js reads them.
const (
	seenCookie = "seen"          // the live session at the last response
	lostCookie = "lost"          // a session that a later response didn't find
	lostFor    = 5 * time.Minute // how long the page shows the latter
)

// A trace describes a session of a browser. The zero trace means no session.
type trace struct {
	id               string // a part of the session's id
	server           string // that last found the session
	created, expires time.Time
	visits, lines    int64 // lines of the cart
	user             bool  // somebody was logged in

	cause cause  // why the session wasn't found
	by    string // the server that didn't find it
}

// A cause says why a session wasn't found, as far as the server knows.
type cause string

const (
	causeExpired cause = "expired"
	causeEnded   cause = "ended" // by a logout or a renewal elsewhere
	causeLost    cause = "lost"  // in the memory of a server that didn't answer
	causeUnknown cause = "unknown"
)

func (s *server) traceOf(state sessionState) trace {
	if state.Created == nil {
		return trace{}
	}
	return trace{id: hex.EncodeToString(state.id[:4]), server: s.Server, created: *state.Created, expires: *state.Expires,
		visits: state.Visits, lines: int64(len(state.Cart)), user: state.Authenticated}
}

var tracePattern = regexp.MustCompile(`^[0-9a-f]{8}~[A-Za-z0-9.-]{1,64}(~\d{1,16}){4}~(true|false)~(expired|ended|lost|unknown)?~[A-Za-z0-9.-]{0,64}$`)

// readTrace returns the trace in a cookie, or the zero trace if it is malformed, because the client may have set the cookie.
func readTrace(r *http.Request, cookieName string) trace {
	cookie, err := r.Cookie(cookieName)
	if err != nil || !tracePattern.MatchString(cookie.Value) {
		return trace{}
	}
	fields := strings.Split(cookie.Value, servedSeparator)
	number := func(i int) int64 { n, _ := strconv.ParseInt(fields[i], 10, 64); return n } // at most 16 digits
	return trace{fields[0], fields[1], time.Unix(number(2), 0), time.Unix(number(3), 0), number(4), number(5),
		fields[6] == "true", cause(fields[7]), fields[8]}
}

// setTrace sets the cookie to the trace, for maxAge or, if that is 0, until the browser closes. It removes the cookie if the
// trace is zero and the request has it.
func (s *server) setTrace(w http.ResponseWriter, r *http.Request, cookieName string, t trace, maxAge time.Duration) {
	cookie := &http.Cookie{Name: cookieName, Path: "/", SameSite: http.SameSiteLaxMode, Secure: !s.PlainHTTP, MaxAge: int(maxAge.Seconds())}
	if t == (trace{}) {
		if _, err := r.Cookie(cookieName); err != nil {
			return
		}
		cookie.MaxAge = -1
	} else {
		cookie.Value = strings.Join([]string{t.id, t.server, integer(t.created.Unix()), integer(t.expires.Unix()),
			integer(t.visits), integer(t.lines), strconv.FormatBool(t.user), string(t.cause), t.by}, servedSeparator)
	}
	http.SetCookie(w, cookie)
}

// isPage reports whether the request comes from a browser that shows the page, and not from a program that uses the API.
func isPage(r *http.Request) bool {
	_, err := r.Cookie(servedCookie)
	return err == nil || isForm(r)
}

// follow updates the traces in the browser and returns the trace of a session that got lost. The server found the session
// before, and after the request the browser has the session after; only a login makes them differ.
func (s *server) follow(w http.ResponseWriter, r *http.Request, before, after sessionState) trace {
	seen, lost, found := readTrace(r, seenCookie), readTrace(r, lostCookie), s.traceOf(before)
	switch {
	case seen.id != "" && seen.id != found.id:
		lost = seen
		lost.cause, lost.by = s.causeOf(seen, before), s.Server
		s.setTrace(w, r, lostCookie, lost, lostFor)
	case lost.id == "" || lost.id == found.id: // malformed, or another server has it
		lost = trace{}
		s.setTrace(w, r, lostCookie, lost, 0)
	}
	s.setTrace(w, r, seenCookie, s.traceOf(after), 0)
	return lost
}

func (s *server) causeOf(seen trace, now sessionState) cause {
	switch {
	case now.ended:
		return causeEnded
	case time.Now().Add(session.MaxClockSkew).After(seen.expires):
		return causeExpired
	case !s.capabilities.Shared && seen.server != s.Server:
		return causeLost
	}
	return causeUnknown
}

// explain returns a title and sentences that say why a session wasn't found, and what the visitor lost with it.
func (c capabilities) explain(t trace) (title, text string) {
	switch t.cause {
	case causeEnded:
		title, text = "Session ended", "It was logged out elsewhere, or a login replaced it."
	case causeExpired:
		title, text = "Session expired", "Its time was over on "+formatTime(t.expires)+"."
	case causeLost:
		title, text = "Session lost", fmt.Sprintf("It lived only in the memory of %s, but %s answered.", t.server, t.by)
	default:
		title, text = "Session gone", "It was logged out elsewhere, or "+c.Loss+"."
	}
	var gone, consequences []string
	for _, part := range []struct {
		n         int64
		one, many string
	}{{t.visits, "visit", "visits"}, {t.lines, "cart line", "cart lines"}} {
		if part.n == 1 {
			part.many = part.one
		}
		if part.n > 0 {
			gone = append(gone, integer(part.n)+" "+part.many)
		}
	}
	if t.user {
		consequences = append(consequences, "You were logged out")
	}
	switch {
	case len(gone) == 0 || t.cause == causeEnded: // a login may have taken the contents over
	case t.visits+t.lines == 1:
		consequences = append(consequences, gone[0]+" is gone")
	default:
		consequences = append(consequences, strings.Join(gone, " and ")+" are gone")
	}
	if len(consequences) > 0 {
		text += " " + strings.Join(consequences, "; ") + "."
	}
	return title, text
}
