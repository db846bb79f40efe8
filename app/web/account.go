package web

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"stateless-servers/session"
)

// maxUser bounds the length of a user name, in characters.
const maxUser = 64

// login logs in any name without a password, because this is a lab. With the form field remember, the session outlives the browser.
func (s *server) login(w http.ResponseWriter, r *http.Request) {
	value, ok := formValue(w, r, "user")
	if !ok {
		return
	}
	user := strings.TrimSpace(value)
	if !isName(user) {
		writeError(w, r, http.StatusUnprocessableEntity, badValueDetail("form field user", value, "1 to 64 printable characters, one of them visible"))
		return
	}
	remember := session.Remember(r.PostForm.Get("remember") != "")
	state, ok := s.logIn(w, r, func(ctx context.Context) error { return session.From(ctx).Login(ctx, user, remember) })
	if ok {
		s.reply(w, r, state)
	}
}

// isName reports whether user is a printable name: 1 to maxUser printable characters in UTF-8, at least one of them a
// letter, number, punctuation mark or symbol.
func isName(user string) bool {
	if !utf8.ValidString(user) || utf8.RuneCountInString(user) > maxUser {
		return false
	}
	unprintable := func(c rune) bool { return !unicode.IsPrint(c) || isBlank(c) }
	visible := func(c rune) bool { return unicode.In(c, unicode.L, unicode.N, unicode.P, unicode.S) }
	return !strings.ContainsFunc(user, unprintable) && strings.ContainsFunc(user, visible)
}

// isBlank reports whether c is invisible, although Unicode classifies it as a letter or symbol, such as the Hangul filler.
func isBlank(c rune) bool {
	const braillePatternBlank, nullNotehead = '\u2800', '\U0001d159'
	return c == braillePatternBlank || c == nullNotehead || unicode.Is(unicode.Other_Default_Ignorable_Code_Point, c)
}

func (s *server) logout(w http.ResponseWriter, r *http.Request) {
	s.endAndRedirect(w, r, session.From(r.Context()).Logout)
}

func (s *server) logoutEverywhere(w http.ResponseWriter, r *http.Request) {
	s.endAndRedirect(w, r, session.From(r.Context()).LogoutEverywhere)
}

// logIn calls login and returns the session. If ok is false, it has written an error response. For the page, it reads the
// session before the login too, because the visitor may have lost it.
func (s *server) logIn(w http.ResponseWriter, r *http.Request, login func(context.Context) error) (after sessionState, ok bool) {
	var before sessionState
	var err error
	if isPage(r) {
		before, err = s.state(r.Context())
	}
	if err == nil {
		err = login(r.Context())
	}
	if err == nil {
		after, err = s.state(r.Context())
	}
	if err != nil {
		s.sessionError(w, r, err)
		return sessionState{}, false
	}
	if isPage(r) {
		s.follow(w, r, before, after)
	}
	return after, true
}

// userSession is a session of a user in the response of GET /api/sessions.
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
		// RFC 9110 requires a challenge with a 401. No registered scheme fits a login by a form.
		w.Header().Set("WWW-Authenticate", `Form action="/login"`)
		writeError(w, r, http.StatusUnauthorized, "Nobody is logged in. Log in with POST /login.")
		return
	}
	query := r.URL.Query()
	limit, ok := parseListLimit(query)
	if !ok {
		writeError(w, r, http.StatusUnprocessableEntity, badValueDetail("query parameter limit", query.Get("limit"),
			"a whole number from 1 to "+strconv.Itoa(maxListLimit)))
		return
	}
	list, next, err := listSessions(r.Context(), query.Get("cursor"), limit)
	if errors.Is(err, session.ErrInvalid) {
		writeError(w, r, http.StatusUnprocessableEntity, badValueDetail("query parameter cursor", query.Get("cursor"),
			"the value of next in the previous response"))
		return
	}
	if err != nil {
		s.sessionError(w, r, err)
		return
	}
	writeJSON(w, struct {
		Sessions []userSession `json:"sessions"`
		Next     string        `json:"next,omitempty"` // the cursor of the next page
	}{list, next})
}

// The number of sessions in a list.
const (
	defaultListLimit = 20
	maxListLimit     = 100
)

// parseListLimit returns the limit in the query, or the default, and false if the limit isn't allowed.
func parseListLimit(query url.Values) (int, bool) {
	if !query.Has("limit") {
		return defaultListLimit, true
	}
	limit, err := strconv.Atoi(query.Get("limit"))
	return limit, err == nil && 1 <= limit && limit <= maxListLimit
}

// listSessions returns at most limit sessions of the user who is logged in, and the cursor of the next page, which is "" on
// the last page. A store's pages also count expired sessions, so listSessions reads several pages to fill the list, but at
// most five: a visitor must not wait while the store reads thousands of expired sessions.
func listSessions(ctx context.Context, cursor string, limit int) (list []userSession, next string, err error) {
	const maxPages = 5
	list = []userSession{} // [] in JSON instead of null
	for range maxPages {
		infos, next, err := session.From(ctx).UserSessions(ctx, cursor, limit-len(list))
		if err != nil {
			return nil, "", err
		}
		for _, info := range infos {
			list = append(list, userSession{
				info.ID.String(), truncateToSecond(info.Created), truncateToSecond(info.LastSeen), info.UserAgent, info.Current,
			})
		}
		if next == "" || len(list) >= limit {
			return list, next, nil
		}
		cursor = next
	}
	return list, cursor, nil
}
