package session_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"stateless-servers/session"
	"stateless-servers/session/sessiontest/must"
)

const day = 24 * time.Hour

// expires returns the time until the session ends if it is not used again, or 0 if the visitor has none.
func (b *client) expires() (left time.Duration) {
	b.t.Helper()
	b.do(func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
		info, found, err := s.Info(r.Context())
		if err != nil {
			b.t.Error(err)
		}
		if found {
			left = info.Expires.Sub(b.now)
		}
	})
	return left
}

func TestCookieLifetime(t *testing.T) {
	for _, test := range []struct {
		browser, remember bool
		want              int // Max-Age; 0 if the browser deletes the cookie when it closes
	}{{false, false, 86400}, {true, false, 0}, {false, true, 30 * 86400}, {true, true, 30 * 86400}} {
		b := newClient(t, session.Options{BrowserCookie: test.browser})
		b.login("ada", session.Remember(test.remember))
		if got := b.cookie.MaxAge; got != test.want {
			t.Errorf("%+v: Max-Age is %d", test, got)
		}
		b.now = b.now.Add(10 * time.Minute)
		b.do(func(_ http.ResponseWriter, r *http.Request, s *session.Session) { s.Renew(r.Context()) })
		if got := b.cookie.MaxAge; got != max(0, test.want-600) {
			t.Errorf("%+v: after a renewal, Max-Age is %d", test, got)
		}
	}
}

// A remembered session ends by its own limits, however it is used.
func TestRememberedSession(t *testing.T) {
	for name, use := range map[string]func(ctx context.Context, s *session.Session) error{
		"read":   func(ctx context.Context, s *session.Session) error { _, err := s.User(ctx); return err },
		"change": func(ctx context.Context, s *session.Session) error { visits.Add(ctx, 1); return nil },
		"change and read": func(ctx context.Context, s *session.Session) error {
			visits.Add(ctx, 1)
			_, err := s.User(ctx)
			return err
		},
		"renew": func(ctx context.Context, s *session.Session) error { return s.Renew(ctx) },
	} {
		b := newClient(t, session.Options{})
		b.login("ada", session.Remember(true))
		start := b.now
		for b.now = b.now.Add(6 * day); b.now.Before(start.Add(30 * day)); b.now = b.now.Add(6 * day) {
			response := b.do(func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
				if err := use(r.Context(), s); err != nil {
					t.Error(name, err)
				}
			})
			if got, want := b.expires(), min(7*day*3/2, start.Add(30*day).Sub(b.now)); response.StatusCode != 200 || got != want {
				t.Errorf("%s: after %v: status %d, the session ends in %v, want %v", name, b.now.Sub(start), response.StatusCode, got, want)
			}
		}
		if b.expires() != 0 {
			t.Errorf("%s: the session is live after 30 days", name)
		}
	}
}

func TestRememberedSessionIdlesOut(t *testing.T) {
	b := newClient(t, session.Options{RememberLifetime: 20 * day, RememberIdleTimeout: 3 * day})
	b.login("ada", session.Remember(true))
	b.now = b.now.Add(3*day - time.Second)
	if b.expires() == 0 {
		t.Error("the session ended before its idle timeout")
	}
	b.now = b.now.Add(3 * day * 3 / 2)
	if b.expires() != 0 {
		t.Error("the session is live after its idle timeout")
	}
}

// The limits are those of the last login.
func TestLoginForgetsLimits(t *testing.T) {
	b := newClient(t, session.Options{BrowserCookie: true})
	b.login("ada", session.Remember(true))
	b.visit()
	b.login("ada")
	if got := b.expires(); got != 45*time.Minute || b.cookie.MaxAge != 0 {
		t.Errorf("the session ends in %v, Max-Age is %d", got, b.cookie.MaxAge)
	}
	b.login("ada", session.Remember(true))
	if got := b.expires(); got != 7*day*3/2 || b.cookie.MaxAge != 30*86400 || b.visit() != 2 {
		t.Errorf("the session ends in %v, Max-Age is %d", got, b.cookie.MaxAge)
	}
}

// A server with other limits extends the session by its own timeout.
func TestRememberedSessionOnAnotherServer(t *testing.T) {
	b := newClient(t, session.Options{RememberIdleTimeout: 10 * day})
	b.login("ada", session.Remember(true))
	other, err := session.New(b.store, session.Options{Now: func() time.Time { return b.now }, IdleTimeout: time.Minute, RememberIdleTimeout: 2 * day})
	must.Succeed(t, err)
	b.manager = other
	b.now = b.now.Add(5 * day)
	b.visit()
	if got := b.expires(); got != 11*day {
		t.Errorf("the session ends in %v, want 10 days and half of 2 days", got)
	}
}

func TestRememberOptions(t *testing.T) {
	for _, o := range []session.Options{
		{RememberIdleTimeout: -time.Hour},
		{RememberLifetime: -time.Hour},
		{RememberLifetime: time.Hour, RememberIdleTimeout: 2 * time.Hour},
		{RememberLifetime: 401 * day},
	} {
		expectRefused(t, o, "session option Remember")
	}
	for _, o := range []session.Options{
		{RememberLifetime: time.Hour}, {RememberIdleTimeout: 60 * day}, {Lifetime: 500 * day}, {RememberLifetime: 400 * day},
	} {
		newClient(t, o)
	}
}
