package session_test

import (
	"cmp"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"stateless-servers/session"
	"stateless-servers/session/memory"
	"stateless-servers/session/sessiontest/must"
)

func TestStoreOperations(t *testing.T) {
	read := func(_ http.ResponseWriter, r *http.Request, s *session.Session) { visits.Get(r.Context()) }
	tests := []struct {
		name    string
		handler func(w http.ResponseWriter, r *http.Request, s *session.Session)
		fresh   string // store calls for a visitor without a session
		known   string // store calls for a visitor with a session
	}{
		{"untouched", func(http.ResponseWriter, *http.Request, *session.Session) {}, "", ""},
		{"read", read, "", "load"},
		{"read twice", func(w http.ResponseWriter, r *http.Request, s *session.Session) {
			read(w, r, s)
			theme.Get(r.Context())
			s.User(r.Context())
		}, "", "load"},
		{"write", func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
			visits.Add(r.Context(), 1)
			theme.Set(r.Context(), "dark")
		}, "create", "update"},
		{"write, then read", func(w http.ResponseWriter, r *http.Request, s *session.Session) {
			visits.Add(r.Context(), 1)
			read(w, r, s)
		}, "create", "update"},
		{"read, then write", func(w http.ResponseWriter, r *http.Request, s *session.Session) {
			read(w, r, s)
			visits.Add(r.Context(), 1)
		}, "create", "load update"},
		{"logout", func(_ http.ResponseWriter, r *http.Request, s *session.Session) { s.Logout(r.Context()) }, "", "end"},
		{"login", func(_ http.ResponseWriter, r *http.Request, s *session.Session) { s.Login(r.Context(), "ada") }, "create", "renew"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := newClient(t, session.Options{})
			b.do(test.handler)
			if got := b.store.takeCalls(); got != test.fresh {
				t.Errorf("without a session: store calls %q, want %q", got, test.fresh)
			}
			b = newClient(t, session.Options{})
			b.visit()
			b.store.takeCalls()
			b.do(test.handler)
			if got := b.store.takeCalls(); got != test.known {
				t.Errorf("with a session: store calls %q, want %q", got, test.known)
			}
		})
	}
}

func TestMalformedCookiesCauseNoStoreCall(t *testing.T) {
	for _, value := range []string{"", "x", strings.Repeat("A", 42), strings.Repeat("A", 44), strings.Repeat("A", 42) + "B", strings.Repeat("!", 43), strings.Repeat("A", 5000)} {
		b := newClient(t, session.Options{})
		b.cookie = &http.Cookie{Name: "__Host-session", Value: value}
		b.do(func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
			if n, err := visits.Get(r.Context()); n != 0 || err != nil {
				t.Errorf("%q: got %d, %v", value, n, err)
			}
		})
		if got := b.store.takeCalls(); got != "" {
			t.Errorf("%q: store calls %q, want none", value, got)
		}
	}
}

func TestInventedIDIsNeverAdopted(t *testing.T) {
	b := newClient(t, session.Options{})
	invented := strings.Repeat("A", 43)
	b.cookie = &http.Cookie{Name: "__Host-session", Value: invented}
	b.visit()
	if got := b.store.takeCalls(); got != "update create" || b.cookie.Value == invented {
		t.Errorf("store calls %q, cookie %q", got, b.cookie.Value)
	}
}

func TestStoreNeverSeesTheCookie(t *testing.T) {
	b := newClient(t, session.Options{})
	b.visit()
	for _, id := range b.store.ids {
		if id.String() == b.cookie.Value || len(b.cookie.Value) != 43 {
			t.Errorf("id %v for cookie %v", id, b.cookie)
		}
	}
}

func TestCookie(t *testing.T) {
	const attributes = "; Path=/; Max-Age=86400; HttpOnly; "
	for plain, want := range map[bool]string{false: "__Host-session=…" + attributes + "Secure; SameSite=Lax", true: "session=…" + attributes + "SameSite=Lax"} {
		var log strings.Builder
		b := newClient(t, session.Options{PlainHTTP: plain, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		for range 3 {
			b.cookie = nil
			b.visit()
		}
		if got := strings.Replace(b.cookie.Raw, b.cookie.Value, "…", 1); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		if lines := strings.Count(log.String(), "\n"); plain != (lines == 1) {
			t.Errorf("plain HTTP %v: %d lines in the log: %s", plain, lines, &log)
		}
	}
}

func TestIdleExtensionIsThrottled(t *testing.T) {
	for share, want := range map[float64]int{0: 1, 0.1: 8, 1: 0} { // 0 is the default
		b := newClient(t, session.Options{IdleTimeout: 100 * time.Second, TouchAfter: share})
		b.visit()
		b.store.takeCalls()
		var touches, loads int
		for range 50 { // a read every 2 s, over one idle timeout
			b.now = b.now.Add(2 * time.Second)
			b.do(func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
				info, _, err := s.Info(r.Context())
				if ago := b.now.Sub(info.LastSeen).Seconds(); err != nil || ago < 0 || ago > 2+100*cmp.Or(share, 0.5) {
					t.Fatalf("share %v: last seen %v s ago, error %v", share, ago, err)
				}
			})
			calls := b.store.takeCalls()
			touches += strings.Count(calls, "touch")
			loads += strings.Count(calls, "load")
		}
		if touches != want || loads != 50 {
			t.Errorf("share %v: %d touches and %d loads, want %d and 50", share, touches, loads, want)
		}
		b.now = b.now.Add(100*time.Second - 1)
		if n := b.visit(); n != 2 {
			t.Errorf("share %v: before the idle timeout the counter is %d, want 2", share, n)
		}
		b.now = b.now.Add(200 * time.Second)
		if n := b.visit(); n != 1 {
			t.Errorf("share %v: after twice the idle timeout the counter is %d, want 1 in a new session", share, n)
		}
	}
}

// A server of the version without TouchAfter extends a session to just its idle timeout.
func TestSessionExtendedByTheEarlierVersion(t *testing.T) {
	for idle, remember := range map[time.Duration]bool{30 * time.Minute: false, 7 * day: true} {
		b := newClient(t, session.Options{})
		b.login("ada", session.Remember(remember))
		start := b.now
		b.now = b.now.Add(idle / 2)
		update := session.Update{Now: b.now, IdleExpires: b.now.Add(30 * time.Minute)}
		must.Get(b.store.Update(t.Context(), b.store.ids[len(b.store.ids)-1], update))(t)
		b.now = b.now.Add(idle / 20)
		b.do(func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
			if info, _, _ := s.Info(r.Context()); info.LastSeen.Before(start) || info.LastSeen.After(b.now) {
				t.Errorf("last seen %v after the start, %v before now", info.LastSeen.Sub(start), b.now.Sub(info.LastSeen))
			}
		})
		b.now = b.now.Add(idle)
		if left := b.expires(); left != idle/2 {
			t.Errorf("remember %v: the session ends in %v, want %v", remember, left, idle/2)
		}
	}
}

func TestLifetimeEndsABusySession(t *testing.T) {
	b := newClient(t, session.Options{IdleTimeout: time.Minute, Lifetime: 10 * time.Minute})
	for i := range 20 {
		if n, want := b.visit(), int64(i+1); n != want {
			t.Fatalf("the counter after visit %d is %d", want, n)
		}
		b.now = b.now.Add(30 * time.Second)
	}
	if n := b.visit(); n != 1 {
		t.Errorf("after the lifetime the counter is %d, want 1 in a new session", n)
	}
}

func TestTooLargeIsNotSent(t *testing.T) {
	b := newClient(t, session.Options{})
	b.visit()
	b.store.takeCalls()
	response := b.do(func(w http.ResponseWriter, r *http.Request, s *session.Session) {
		theme.Set(r.Context(), strings.Repeat("x", 500_000))
		visits.Add(r.Context(), 1)
	})
	if got := b.store.takeCalls(); response.StatusCode != http.StatusRequestEntityTooLarge || got != "" {
		t.Errorf("status %d, store calls %q", response.StatusCode, got)
	}
	if n := b.visit(); n != 2 {
		t.Errorf("the counter is %d, want 2: the session is unchanged", n)
	}
}

func TestBadUserNamesAreRefused(t *testing.T) {
	b := newClient(t, session.Options{})
	for _, user := range []string{"", strings.Repeat("u", 257), "\xff"} {
		b.do(func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
			if err := s.Login(r.Context(), user); err == nil {
				t.Errorf("login of user %q succeeded, want an error", user)
			}
		})
	}
	if got := b.store.takeCalls(); got != "" {
		t.Errorf("store calls %q, want none", got)
	}
}

func TestUserAgentIsTruncated(t *testing.T) {
	b := newClient(t, session.Options{})
	r := httptest.NewRequest(http.MethodPost, "/", nil)
	r.Header.Set("User-Agent", "\xff"+strings.Repeat("ü", 150))
	b.manager.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		s := session.From(r.Context())
		visits.Add(r.Context(), 1)
		info, _, err := s.Info(r.Context())
		if want := strings.Repeat("ü", 99); info.UserAgent != want || err != nil {
			t.Errorf("got %q, %v", info.UserAgent, err)
		}
	})).ServeHTTP(httptest.NewRecorder(), r)
}

func TestWithoutMiddleware(t *testing.T) {
	ctx := t.Context()
	s := session.From(ctx)
	theme.Set(ctx, "x")
	_, _, get := theme.Get(ctx)
	_, _, list := s.UserSessions(ctx, "", 10)
	for name, err := range map[string]error{
		"get": get, "login": s.Login(ctx, "ada"), "logout": s.Logout(ctx), "list": list, "apply": s.Apply(ctx),
		"everywhere": s.LogoutEverywhere(ctx), "renew": s.Renew(ctx), "other": s.LogoutOther(ctx, session.ID{}),
	} {
		if !errors.Is(err, session.ErrNoMiddleware) || session.StatusCode(err) != http.StatusInternalServerError {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, options := range []session.Options{
		{IdleTimeout: time.Millisecond}, {IdleTimeout: time.Hour, Lifetime: time.Minute}, {CookieName: "a b"}, {StoreTimeout: -1},
		{TouchAfter: -0.1}, {TouchAfter: 1.1}, {TouchAfter: math.NaN()}, {Lifetime: 200 * 365 * day},
	} {
		if _, err := session.New(memory.New(), options); err == nil {
			t.Errorf("New accepted %+v, want an error", options)
		}
	}
}
