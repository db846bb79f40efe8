package session_test

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"stateless-servers/session"
	"stateless-servers/session/memory"
)

func TestStoreOperations(t *testing.T) {
	read := func(_ http.ResponseWriter, r *http.Request, s *session.Session) { visits.Get(r.Context()) }
	tests := []struct {
		name    string
		handler func(w http.ResponseWriter, r *http.Request, s *session.Session)
		fresh   string // by a visitor without a session
		known   string // by one with
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
			b := newBrowser(t, session.Options{})
			b.do(test.handler)
			if got := b.store.asked(); got != test.fresh {
				t.Errorf("without a session: asked %q, want %q", got, test.fresh)
			}
			b = newBrowser(t, session.Options{})
			b.visit()
			b.store.asked()
			b.do(test.handler)
			if got := b.store.asked(); got != test.known {
				t.Errorf("with a session: asked %q, want %q", got, test.known)
			}
		})
	}
}

func TestMalformedCookiesCostNothing(t *testing.T) {
	for _, value := range []string{"", "x", strings.Repeat("A", 42), strings.Repeat("A", 44), strings.Repeat("A", 42) + "B", strings.Repeat("!", 43), strings.Repeat("A", 5000)} {
		b := newBrowser(t, session.Options{})
		b.cookie = &http.Cookie{Name: "__Host-session", Value: value}
		b.do(func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
			if n, err := visits.Get(r.Context()); n != 0 || err != nil {
				t.Errorf("%q: got %d, %v", value, n, err)
			}
		})
		if got := b.store.asked(); got != "" {
			t.Errorf("%q: asked %q", value, got)
		}
	}
}

func TestAnInventedIDIsNeverAdopted(t *testing.T) {
	b := newBrowser(t, session.Options{})
	invented := strings.Repeat("A", 43)
	b.cookie = &http.Cookie{Name: "__Host-session", Value: invented}
	b.visit()
	if got := b.store.asked(); got != "update create" || b.cookie.Value == invented {
		t.Errorf("asked %q, cookie %q", got, b.cookie.Value)
	}
}

func TestTheStoreNeverSeesTheCookie(t *testing.T) {
	b := newBrowser(t, session.Options{})
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
		b := newBrowser(t, session.Options{PlainHTTP: plain, Logger: slog.New(slog.NewTextHandler(&log, nil))})
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
	b := newBrowser(t, session.Options{IdleTimeout: 100 * time.Second})
	b.visit()
	b.store.asked()
	var touches, loads int
	for range 50 { // a read every 2 s, over one idle timeout
		b.now = b.now.Add(2 * time.Second)
		b.do(func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
			if n, _ := visits.Get(r.Context()); n != 1 {
				t.Fatalf("the session is gone after %v", b.now)
			}
		})
		asked := b.store.asked()
		touches += strings.Count(asked, "touch")
		loads += strings.Count(asked, "load")
	}
	if touches != 10 || loads != 50 {
		t.Errorf("%d touches and %d loads, want 10 and 50", touches, loads)
	}
	b.now = b.now.Add(100 * time.Second)
	if n := b.visit(); n != 1 {
		t.Errorf("after the idle timeout the counter says %d, want a new session", n)
	}
}

func TestLifetimeEndsABusySession(t *testing.T) {
	b := newBrowser(t, session.Options{IdleTimeout: time.Minute, Lifetime: 10 * time.Minute})
	for i := range 20 {
		if n, want := b.visit(), int64(i+1); n != want {
			t.Fatalf("visit %d says %d", want, n)
		}
		b.now = b.now.Add(30 * time.Second)
	}
	if n := b.visit(); n != 1 {
		t.Errorf("after the lifetime the counter says %d, want a new session", n)
	}
}

func TestTooLargeIsNotSent(t *testing.T) {
	b := newBrowser(t, session.Options{})
	b.visit()
	b.store.asked()
	response := b.do(func(w http.ResponseWriter, r *http.Request, s *session.Session) {
		theme.Set(r.Context(), strings.Repeat("x", 500_000))
		visits.Add(r.Context(), 1)
	})
	if got := b.store.asked(); response.StatusCode != http.StatusRequestEntityTooLarge || got != "" {
		t.Errorf("status %d, asked %q", response.StatusCode, got)
	}
	if n := b.visit(); n != 2 {
		t.Errorf("the counter says %d, want 2: the old state stands", n)
	}
}

func TestBadUsersAreRefused(t *testing.T) {
	b := newBrowser(t, session.Options{})
	for _, user := range []string{"", strings.Repeat("u", 257), "\xff"} {
		b.do(func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
			if err := s.Login(r.Context(), user); err == nil {
				t.Errorf("user %q was taken", user)
			}
		})
	}
	if got := b.store.asked(); got != "" {
		t.Errorf("asked %q", got)
	}
}

func TestAUserAgentIsShortenedToText(t *testing.T) {
	b := newBrowser(t, session.Options{})
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
	} {
		if _, err := session.New(memory.New(), options); err == nil {
			t.Errorf("%+v was taken", options)
		}
	}
}
