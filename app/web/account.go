package web

import (
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"stateless-servers/app/session"
)

// maxUser bounds a user's name, in characters.
const maxUser = 64

// login takes any name: this is a lab, and whoever the visitor claims to be is believed.
func (s *server) login(w http.ResponseWriter, r *http.Request) {
	value, ok := formValue(w, r, "user")
	if !ok {
		return
	}
	user := strings.TrimSpace(value)
	if !isName(user) {
		refuse(w, r, http.StatusUnprocessableEntity, badValue("form field user", value, "1 to 64 printable characters, one of them visible"))
		return
	}
	s.answerSession(w, r, session.From(r.Context()).Login(r.Context(), user))
}

func isName(user string) bool {
	if !utf8.ValidString(user) || utf8.RuneCountInString(user) > maxUser {
		return false
	}
	return strings.IndexFunc(user, func(c rune) bool { return !unicode.IsPrint(c) }) < 0 && strings.ContainsFunc(user, visible)
}

// visible reports whether a printable character shows something by itself. Spaces, accents and fillers don't, nor do two
// symbols: the Braille pattern without dots and the note without a head.
func visible(c rune) bool {
	const brailleBlank, nullNotehead = '\u2800', '\U0001d159'
	return unicode.In(c, unicode.L, unicode.N, unicode.P, unicode.S) &&
		!unicode.Is(unicode.Other_Default_Ignorable_Code_Point, c) && c != brailleBlank && c != nullNotehead
}

func (s *server) logout(w http.ResponseWriter, r *http.Request) {
	s.endLogin(w, r, session.From(r.Context()).Logout)
}

func (s *server) logoutEverywhere(w http.ResponseWriter, r *http.Request) {
	s.endLogin(w, r, session.From(r.Context()).LogoutEverywhere)
}

// answerSession answers with the session after a change of who is logged in, or with why there was none.
func (s *server) answerSession(w http.ResponseWriter, r *http.Request, err error) {
	var state sessionState
	if err == nil {
		state, err = s.state(r.Context())
	}
	if err != nil {
		s.sessionError(w, r, err)
		return
	}
	s.done(w, r, state)
}

// userSession is one session of a user as GET /api/sessions shows it.
type userSession struct {
	ID        string     `json:"id"`
	Started   *time.Time `json:"started"`
	LastSeen  *time.Time `json:"last_seen"`
	UserAgent string     `json:"user_agent"`
	Current   bool       `json:"current"`
}

func (s *server) getSessions(w http.ResponseWriter, r *http.Request) {
	visitor := session.From(r.Context())
	user, err := visitor.User(r.Context())
	if err != nil {
		s.sessionError(w, r, err)
		return
	}
	if user == "" {
		// RFC 9110 wants a challenge with a 401. There is no registered one for login by a form.
		w.Header().Set("WWW-Authenticate", `Form action="/login"`)
		refuse(w, r, http.StatusUnauthorized, "Nobody is logged in. Log in with POST /login.")
		return
	}
	infos, err := visitor.UserSessions(r.Context())
	if err != nil {
		s.sessionError(w, r, err)
		return
	}
	writeJSON(w, struct {
		Sessions []userSession `json:"sessions"`
	}{userSessions(infos)})
}

func userSessions(infos []session.Info) []userSession {
	list := make([]userSession, len(infos))
	for i, info := range infos {
		list[i] = userSession{
			info.ID.String(), toSecond(info.Created), toSecond(info.LastSeen), info.UserAgent, info.Current,
		}
	}
	return list
}
