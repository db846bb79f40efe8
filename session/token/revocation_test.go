package token_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"stateless-servers/session"
	"stateless-servers/session/memory"
	"stateless-servers/session/revocation"
	"stateless-servers/session/sealing/sealingtest"
	"stateless-servers/session/sessiontest"
	"stateless-servers/session/sessiontest/must"
	"stateless-servers/session/token"
)

func newCodec(t *testing.T) *token.Codec {
	t.Helper()
	return must.Get(token.New(sealingtest.Keys(t, "a"), token.Options{Issuer: "test", Audience: "test"}))(t)
}

func newFollower(t *testing.T, list revocation.List, options revocation.Options) *revocation.Follower {
	t.Helper()
	return must.Get(revocation.New(list, options))(t)
}

// TestServersWithRevocation runs the suite on servers that share their key and a list of revoked sessions.
func TestServersWithRevocation(t *testing.T) {
	list := memory.NewRevocations()
	sessiontest.RunServers(t, func(o session.Options) (*session.Manager, error) {
		follower := newFollower(t, list, revocation.Options{Within: time.Second})
		if err := follower.Poll(t.Context()); err != nil {
			return nil, err
		}
		go follower.Follow(t.Context(), func(err error) { t.Error(err) })
		return session.NewWithCodec(follower.Codec(newCodec(t)), o)
	})
}

// A switchedList fails while it is off, and counts its calls.
type switchedList struct {
	revocation.List
	off   bool
	lost  int // the number of next replies of Add that are lost
	calls int
}

var errOff = errors.New("the list is off")

func (l *switchedList) Add(ctx context.Context, entry revocation.Entry) (revocation.Entry, error) {
	l.calls++
	if l.off {
		return entry, errOff
	}
	stored, err := l.List.Add(ctx, entry)
	if l.lost > 0 {
		l.lost--
		return entry, errOff
	}
	return stored, err
}

func (l *switchedList) CutOff(ctx context.Context, user session.ID) (time.Time, error) {
	l.calls++
	if l.off {
		return time.Time{}, errOff
	}
	return l.List.CutOff(ctx, user)
}

func (l *switchedList) Page(ctx context.Context, since time.Time, cursor string) ([]revocation.Entry, string, error) {
	l.calls++
	if l.off {
		return nil, "", errOff
	}
	return l.List.Page(ctx, since, cursor)
}

// A revocationServer is one server with its follower, whose clock the test sets.
type revocationServer struct {
	t        *testing.T
	follower *revocation.Follower
	manager  *session.Manager
	handler  http.Handler
}

func newRevocationServer(t *testing.T, list revocation.List, now *time.Time, acceptStale bool) *revocationServer {
	t.Helper()
	clock := func() time.Time { return *now }
	follower := newFollower(t, list, revocation.Options{AcceptStale: acceptStale, Now: clock})
	manager := must.Get(session.NewWithCodec(follower.Codec(newCodec(t)), session.Options{Now: clock}))(t)
	return &revocationServer{t, follower, manager, manager.Handler(http.HandlerFunc(serve))}
}

// do sends a request with a cookie and returns the response.
func (s *revocationServer) do(path string, cookie *http.Cookie) *httptest.ResponseRecorder {
	request := httptest.NewRequest(http.MethodGet, path, nil)
	if cookie != nil {
		request.AddCookie(cookie)
	}
	response := httptest.NewRecorder()
	s.handler.ServeHTTP(response, request)
	return response
}

func (s *revocationServer) expect(path string, cookie *http.Cookie, want string) *http.Cookie {
	s.t.Helper()
	response := s.do(path, cookie)
	got := response.Body.String()
	if response.Code != http.StatusOK {
		got = http.StatusText(response.Code)
	}
	if got != want {
		s.t.Errorf("%s responds %q, want %q", path, got, want)
	}
	for _, set := range response.Result().Cookies() {
		return set
	}
	return nil
}

func (s *revocationServer) poll() {
	s.t.Helper()
	must.Succeed(s.t, s.follower.Poll(s.t.Context()))
}

const unavailable = "Service Unavailable"

// A request that reads its session makes no call of the list; a login, a logout and a poll make one.
func TestCallsOfTheList(t *testing.T) {
	now := time.Now()
	list := &switchedList{List: memory.NewRevocations()}
	s := newRevocationServer(t, list, &now, false)
	s.poll()
	expect := func(want int, what string) {
		t.Helper()
		if list.calls != want {
			t.Errorf("%s: %d calls of the list, want %d", what, list.calls, want)
		}
		list.calls = 0
	}
	expect(1, "poll")
	cookie := s.expect("/login?user=ada&role=clerk", nil, "ada clerk")
	expect(1, "login")
	for range 10 {
		s.expect("/", cookie, "ada clerk")
	}
	expect(0, "10 requests")
	s.expect("/logout", cookie, " ")
	expect(1, "logout")
	s.expect("/", cookie, " ")
	expect(0, "a request with the copy")
}

// A server that has not read the list in time refuses or accepts sessions, as the option says. It is ready only when it has
// read the whole list.
func TestListThatCannotBeRead(t *testing.T) {
	for _, accept := range []bool{false, true} {
		now := time.Now()
		list := &switchedList{List: memory.NewRevocations()}
		s := newRevocationServer(t, list, &now, accept)
		if err := s.manager.Ping(t.Context()); !errors.Is(err, session.ErrUnavailable) {
			t.Errorf("accept %v, before the list is read: ready with %v", accept, err)
		}
		s.poll()
		if err := s.manager.Ping(t.Context()); err != nil {
			t.Errorf("accept %v, after the list is read: %v", accept, err)
		}
		cookie := s.expect("/login?user=ada&role=clerk", nil, "ada clerk")
		revoked := s.expect("/login?user=eve&role=clerk", nil, "eve clerk")
		s.expect("/logout", revoked, " ")

		list.off = true
		now = now.Add(5 * time.Second)
		s.expect("/", cookie, "ada clerk")
		now = now.Add(time.Millisecond)
		stale, login, ready := unavailable, unavailable, false
		if accept {
			stale, login, ready = "ada clerk", "bob clerk", true
		}
		s.expect("/", cookie, stale)
		s.expect("/", revoked, " ") // known to be revoked
		s.expect("/login?user=bob&role=clerk", nil, login)
		if err := s.manager.Ping(t.Context()); (err == nil) != ready {
			t.Errorf("accept %v, while the list can't be read: ready with %v", accept, err)
		}
		s.expect("/logout", cookie, unavailable) // not acknowledged
		list.off = false
		s.poll()
		s.expect("/", cookie, "ada clerk")
	}
}

// A logout that is not stored is not acknowledged; a reply that is lost does not lose a session.
func TestLostReplies(t *testing.T) {
	now := time.Now()
	list := &switchedList{List: memory.NewRevocations()}
	s := newRevocationServer(t, list, &now, false)
	s.poll()
	cookie := s.expect("/login?user=ada&role=clerk", nil, "ada clerk")
	list.lost = 1
	renewed := s.expect("/renew", cookie, "ada clerk")
	s.expect("/", renewed, "ada clerk")
	s.expect("/", cookie, " ")
	list.lost = 1
	s.expect("/logout", renewed, " ")
	s.expect("/", renewed, " ")
}

// A session that is logged out on one server while another gives it a new id does not survive.
func TestRenewalDuringLogout(t *testing.T) {
	now := time.Now()
	list := memory.NewRevocations()
	a, b := newRevocationServer(t, list, &now, false), newRevocationServer(t, list, &now, false)
	a.poll()
	b.poll()
	cookie := a.expect("/login?user=ada&role=clerk", nil, "ada clerk")
	a.expect("/logout", cookie, " ")
	now = now.Add(time.Microsecond)
	if set := b.expect("/renew", cookie, "Conflict"); set != nil && set.MaxAge >= 0 { // b has not polled since
		t.Errorf("a session that was logged out got the cookie %v", set)
	}
	b.poll()
	b.expect("/", cookie, " ")
}

// After EndedFor an ended session is like none: the visitor can start another without logging in.
func TestEndedBecomesMissing(t *testing.T) {
	now := time.Now()
	s := newRevocationServer(t, memory.NewRevocations(), &now, false)
	s.poll()
	cookie := s.expect("/login?user=ada&role=clerk", nil, "ada clerk")
	s.expect("/logout", cookie, " ")
	s.expect("/renew", cookie, "Conflict")
	now = now.Add(session.EndedFor)
	s.poll()
	s.expect("/renew", cookie, "Not Found")
	s.expect("/", cookie, " ")
}

// An administrator bans a user: the sessions end, and the user's next login works unless the application refuses it.
func TestBan(t *testing.T) {
	now := time.Now()
	list := memory.NewRevocations()
	a, b := newRevocationServer(t, list, &now, false), newRevocationServer(t, list, &now, false)
	a.poll()
	b.poll()
	cookie := a.expect("/login?user=ada&role=clerk", nil, "ada clerk")
	other := a.expect("/login?user=bob&role=clerk", nil, "bob clerk")
	must.Succeed(t, b.manager.EndUserSessions(t.Context(), "ada"))
	b.expect("/", cookie, " ")
	a.expect("/", cookie, "ada clerk") // until it polls
	again := a.expect("/login?user=ada&role=clerk", nil, "ada clerk")
	a.poll()
	a.expect("/", cookie, " ")
	a.expect("/", other, "bob clerk")
	for _, s := range []*revocationServer{a, b} {
		s.expect("/", again, "ada clerk")
	}
}

// TestRevocationOptions checks the range of the option.
func TestRevocationOptions(t *testing.T) {
	for _, within := range []time.Duration{-time.Second, 99 * time.Millisecond, time.Minute + 1} {
		if _, err := revocation.New(memory.NewRevocations(), revocation.Options{Within: within}); err == nil {
			t.Errorf("Within %v is accepted", within)
		}
	}
	promises := newFollower(t, memory.NewRevocations(), revocation.Options{}).Codec(newCodec(t)).Promises()
	want := newCodec(t).Promises()
	want.LogoutFinalWithin = 5 * time.Second
	if promises != want {
		t.Errorf("got the promises %+v, want %+v", promises, want)
	}
}

// Servers of the version before accept a token that states a cut-off, and their tokens are accepted.
func TestTokensBesideOlderServers(t *testing.T) {
	now := time.Now()
	list := memory.NewRevocations()
	s := newRevocationServer(t, list, &now, false)
	s.poll()
	older := must.Get(session.NewWithCodec(newCodec(t), session.Options{Now: func() time.Time { return now }}))(t)
	before := &revocationServer{t: t, handler: older.Handler(http.HandlerFunc(serve))}
	must.Succeed(t, s.manager.EndUserSessions(t.Context(), "ada"))
	before.expect("/", s.expect("/login?user=ada&role=clerk", nil, "ada clerk"), "ada clerk")
	s.expect("/", before.expect("/login?user=bob&role=clerk", nil, "bob clerk"), "bob clerk")
}
