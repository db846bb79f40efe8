package session_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"stateless-servers/session"
	"stateless-servers/session/memory"
	"stateless-servers/session/sessiontest/must"
)

// login logs in.
func (b *client) login(user string, options ...session.LoginOption) *http.Response {
	b.t.Helper()
	return b.do(func(w http.ResponseWriter, r *http.Request, s *session.Session) {
		if err := s.Login(r.Context(), user, options...); err != nil {
			http.Error(w, err.Error(), session.StatusCode(err))
		}
	})
}

// sees returns the visits and the user in the client's session.
func (b *client) sees() (n int64, user string) {
	b.t.Helper()
	b.do(func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
		var err error
		if n, err = visits.Get(r.Context()); err != nil {
			b.t.Error(err)
		}
		if user, err = s.User(r.Context()); err != nil {
			b.t.Error(err)
		}
	})
	return n, user
}

// Once the old id has ended, any response sets the new cookie.
func TestFailedChangeAfterLoginKeepsTheSession(t *testing.T) {
	for name, test := range map[string]struct {
		do     func(ctx context.Context, s *session.Session, b *client)
		status int
	}{
		"a value too large": {func(ctx context.Context, _ *session.Session, _ *client) {
			theme.Set(ctx, strings.Repeat("x", 500_000))
		}, 413},
		"a refused key": {func(ctx context.Context, _ *session.Session, _ *client) { session.Key[int]("").Set(ctx, 1) }, 422},
		"the store fails": {func(ctx context.Context, _ *session.Session, b *client) {
			b.store.fail["update"] = errStore
			visits.Add(ctx, 1)
		}, 503},
	} {
		for _, known := range []bool{false, true} {
			b := newClient(t, session.Options{})
			var want int64
			if known {
				want = b.visit()
			}
			before := b.cookie
			response := b.do(func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
				if err := s.Login(r.Context(), "ada"); err != nil {
					t.Error(err)
				}
				test.do(r.Context(), s, b)
			})
			clear(b.store.fail)
			if response.StatusCode != test.status || b.cookie == nil || b.cookie == before {
				t.Errorf("%s, known %v: status %d, cookie %v", name, known, response.StatusCode, b.cookie)
			}
			if n, user := b.sees(); n != want || user != "ada" {
				t.Errorf("%s, known %v: the next request sees %d visits of %q", name, known, n, user)
			}
		}
	}
}

func TestPanicAfterLoginKeepsTheSession(t *testing.T) {
	b := newClient(t, session.Options{})
	b.visit()
	handler := recovering(t, b.manager.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if err := session.From(r.Context()).Login(r.Context(), "ada"); err != nil {
			t.Error(err)
		}
		visits.Add(r.Context(), 1)
		panic("after the login")
	})))
	r := httptest.NewRequest(http.MethodPost, "/", nil)
	r.AddCookie(b.cookie)
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	if w.Code != http.StatusInternalServerError || len(w.Result().Cookies()) != 1 {
		t.Fatalf("status %d, cookies %v", w.Code, w.Result().Cookies())
	}
	b.cookie = w.Result().Cookies()[0]
	if n, user := b.sees(); n != 1 || user != "ada" {
		t.Errorf("the next request sees %d visits of %q, want 1 of ada", n, user)
	}
}

func TestChangeAfterFailedLoginCreatesNoSession(t *testing.T) {
	b := newClient(t, session.Options{})
	b.visit()
	cookie := b.cookie
	b.store.fail["renew"] = errStore
	response := b.do(func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
		s.Login(r.Context(), "ada")
		visits.Add(r.Context(), 1)
		if err := s.Apply(r.Context()); !errors.Is(err, session.ErrUnavailable) {
			t.Errorf("apply: %v", err)
		}
	})
	clear(b.store.fail)
	if response.StatusCode != 503 || b.cookie != cookie {
		t.Errorf("status %d, cookie %v", response.StatusCode, b.cookie)
	}
	if n, _ := b.sees(); n != 1 {
		t.Errorf("the next request sees %d visits, want 1", n)
	}
}

// A staleStore is a store whose reads lag behind: they find no session.
type staleStore struct{ *memory.Store }

func (s staleStore) Load(context.Context, session.ID, time.Time) (session.Record, error) {
	return session.Record{}, session.ErrNotFound
}

func (s staleStore) Promises() session.Promises {
	p := s.Store.Promises()
	p.ReadYourWrites = false
	return p
}

func TestStaleReadCreatesNoSession(t *testing.T) {
	manager, err := session.New(staleStore{memory.New()}, session.Options{PlainHTTP: true, Logger: slog.New(slog.DiscardHandler)})
	must.Succeed(t, err)
	handler := manager.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		visits.Get(r.Context())
		visits.Add(r.Context(), 1)
		n, err := visits.Get(r.Context())
		fmt.Fprint(w, n, err)
	}))
	var cookie *http.Cookie
	for _, want := range []string{"1<nil>", "2<nil>", "3<nil>"} {
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		if cookie != nil {
			r.AddCookie(cookie)
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		set := w.Result().Cookies()
		if first := cookie == nil; first != (len(set) == 1) {
			t.Fatalf("cookies %v", set)
		} else if first {
			cookie = set[0]
		}
		if got := strings.ReplaceAll(w.Body.String(), " ", ""); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestLoginAsAnotherUserDropsValues(t *testing.T) {
	b := newClient(t, session.Options{})
	b.visit()
	for _, test := range []struct {
		user    string
		options []session.LoginOption
		want    int64
	}{{"ada", nil, 1}, {"ada", nil, 1}, {"mallory", []session.LoginOption{session.KeepValues()}, 1}, {"bob", nil, 0}} {
		if response := b.login(test.user, test.options...); response.StatusCode != 200 {
			t.Fatalf("status %d", response.StatusCode)
		}
		if n, user := b.sees(); n != test.want || user != test.user {
			t.Errorf("login of %s: the client sees %d visits of %q, want %d", test.user, n, user, test.want)
		}
	}
}

func TestOldCookieAfterLoginIsAConflict(t *testing.T) {
	b := newClient(t, session.Options{})
	b.visit()
	old := *b
	b.login("ada")
	for name, do := range map[string]func(ctx context.Context, s *session.Session) error{
		"change": func(ctx context.Context, s *session.Session) error { visits.Add(ctx, 1); return s.Apply(ctx) },
		"renew":  func(ctx context.Context, s *session.Session) error { return s.Renew(ctx) },
	} {
		response := old.do(func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
			if err := do(r.Context(), s); !errors.Is(err, session.ErrEnded) {
				t.Errorf("%s: %v", name, err)
			}
		})
		if response.StatusCode != http.StatusConflict || len(response.Cookies()) != 0 {
			t.Errorf("%s: status %d, cookies %v", name, response.StatusCode, response.Cookies())
		}
	}
	old.login("ada")
	if n, user := old.sees(); n != 1 || user != "ada" || old.cookie.Value == b.cookie.Value {
		t.Errorf("a second login: the client sees %d visits of %q", n, user)
	}
}

func TestRenewKeepsTheLifetime(t *testing.T) {
	b := newClient(t, session.Options{IdleTimeout: time.Hour, Lifetime: 3 * time.Hour})
	b.login("ada")
	visit := func() (expires time.Time) {
		b.do(func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
			must.Succeed(t, s.Renew(r.Context()))
		})
		b.do(func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
			info, _, _ := s.Info(r.Context())
			expires = info.Expires
		})
		return expires
	}
	end := b.now.Add(3 * time.Hour)
	for range 5 {
		b.now = b.now.Add(30 * time.Minute)
		if expires := visit(); expires.After(end) {
			t.Errorf("at %v the session expires at %v, want at most %v", b.now, expires, end)
		}
	}
	b.now = end
	if _, user := b.sees(); user != "" {
		t.Errorf("after the lifetime, %q is logged in, want nobody", user)
	}
}

func TestRemoveStartsNoSession(t *testing.T) {
	for _, cookie := range []*http.Cookie{nil, {Name: "__Host-session", Value: strings.Repeat("A", 43)}} {
		b := newClient(t, session.Options{})
		b.cookie = cookie
		response := b.do(func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
			theme.Remove(r.Context())
			visits.Remove(r.Context())
		})
		if calls := b.store.takeCalls(); strings.Contains(calls, "create") || response.StatusCode != 200 || len(response.Cookies()) != 0 {
			t.Errorf("store calls %q, status %d, cookies %v", calls, response.StatusCode, response.Cookies())
		}
	}
}

// A long-running handler, such as a stream, does not see that its session ends.
func TestSessionIsReadOncePerRequest(t *testing.T) {
	b := newClient(t, session.Options{})
	b.login("ada")
	b.do(func(w http.ResponseWriter, r *http.Request, s *session.Session) {
		s.User(r.Context())
		io.WriteString(w, "the stream begins")
		elsewhere := *b
		elsewhere.do(func(_ http.ResponseWriter, r *http.Request, s *session.Session) { s.Logout(r.Context()) })
		if user, err := s.User(r.Context()); user != "ada" || err != nil {
			t.Errorf("after a logout elsewhere: %q, %v", user, err)
		}
	})
	if _, user := b.sees(); user != "" {
		t.Errorf("the next request sees user %q, want nobody", user)
	}
}

func TestSeveralCookiesOfOneName(t *testing.T) {
	b := newClient(t, session.Options{PlainHTTP: true})
	b.visit()
	live := b.cookie.Value
	bogus := strings.Repeat("A", 43)
	ended := newClient(t, session.Options{PlainHTTP: true})
	ended.store = b.store
	for name, header := range map[string]string{
		"a malformed one first":  "session=x; session=" + live,
		"an unknown one first":   "session=" + bogus + "; session=" + live,
		"an unknown one behind":  "session=" + live + "; session=" + bogus,
		"two unknown ones first": "session=" + bogus + "; session=" + strings.Repeat("B", 42) + "A; session=" + live,
	} {
		for _, read := range []bool{false, true} {
			r := httptest.NewRequest(http.MethodPost, "/", nil)
			r.Header.Set("Cookie", header)
			w := httptest.NewRecorder()
			var before, after int64
			b.manager.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if read {
					before, _ = visits.Get(r.Context())
				}
				visits.Add(r.Context(), 1)
				after, _ = visits.Get(r.Context())
			})).ServeHTTP(w, r)
			if after < 2 || read && after != before+1 || len(w.Result().Cookies()) != 0 {
				t.Errorf("%s, read %v: %d visits, then %d, cookies %v", name, read, before, after, w.Result().Cookies())
			}
		}
	}
	many := httptest.NewRequest(http.MethodPost, "/", nil)
	for i := range 50 {
		many.AddCookie(&http.Cookie{Name: "session", Value: fmt.Sprintf("%042dA", i)})
	}
	b.store.takeCalls()
	b.manager.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { visits.Get(r.Context()) })).
		ServeHTTP(httptest.NewRecorder(), many)
	if calls := strings.Count(b.store.takeCalls(), "load"); calls != 3 {
		t.Errorf("50 cookies cause %d reads, want 3", calls)
	}
}

func TestTwoManagers(t *testing.T) {
	options := session.Options{PlainHTTP: true, Logger: slog.New(slog.DiscardHandler)}
	shop := must.Get(session.New(memory.New(), options))(t)
	options.CookieName = "admin"
	admin := must.Get(session.New(memory.New(), options))(t)
	handler := shop.Handler(admin.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		visits.Add(ctx, 10) // of the inner one
		visits.Add(shop.Context(ctx), 1)
		if err := shop.From(ctx).Login(ctx, "ada"); err != nil {
			t.Error(err)
		}
		inner, _ := visits.Get(admin.Context(ctx))
		outer, _ := visits.Get(shop.Context(ctx))
		user, _ := admin.From(ctx).User(ctx)
		fmt.Fprintf(w, "%d %d %q", inner, outer, user)
	})))
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", nil))
	names := map[string]bool{}
	for _, cookie := range w.Result().Cookies() {
		names[cookie.Name] = true
	}
	if got := w.Body.String(); got != `10 1 ""` || len(names) != 2 || !names["session"] || !names["admin"] {
		t.Errorf("got %s, cookies %v", got, w.Result().Cookies())
	}
	other, _ := session.New(memory.New(), options)
	if _, err := visits.Get(other.Context(t.Context())); !errors.Is(err, session.ErrNoMiddleware) {
		t.Errorf("a Manager that does not wrap the handler: got %v, want ErrNoMiddleware", err)
	}
}

func TestCacheControl(t *testing.T) {
	b := newClient(t, session.Options{})
	b.visit()
	for from, want := range map[string]string{
		"": "no-store", "public": "private", "public, max-age=60": "max-age=60, private", "max-age=60, s-maxage=600": "max-age=60, private",
		"no-store": "no-store", "private, max-age=60": "private, max-age=60", "PUBLIC,Max-Age=60": "Max-Age=60, private",
		`private="x-name", max-age=60`: `private="x-name", max-age=60, private`, "no-cache": "no-cache, private",
	} {
		for name, do := range map[string]func(r *http.Request, s *session.Session){
			"read":   func(r *http.Request, s *session.Session) { s.User(r.Context()) },
			"change": func(r *http.Request, s *session.Session) { visits.Add(r.Context(), 1) },
			"login":  func(r *http.Request, s *session.Session) { s.Login(r.Context(), "ada") },
		} {
			response := b.do(func(w http.ResponseWriter, r *http.Request, s *session.Session) {
				if from != "" {
					w.Header().Set("Cache-Control", from)
				}
				do(r, s)
			})
			if got := strings.Join(response.Header["Cache-Control"], "; "); got != want {
				t.Errorf("%s, %q: got %q, want %q", name, from, got, want)
			}
		}
		response := b.do(func(w http.ResponseWriter, r *http.Request, s *session.Session) {
			w.Header().Set("Cache-Control", from)
		})
		if got := response.Header.Get("Cache-Control"); got != from {
			t.Errorf("untouched, %q: got %q", from, got)
		}
	}
}

func TestStatusCodes(t *testing.T) {
	for err, want := range map[error]int{
		session.ErrNotFound: 404, session.ErrEnded: 409, session.ErrTooLarge: 413, session.ErrCounter: 422, session.ErrInvalid: 422,
		session.ErrUnsupported: 501, session.ErrUnavailable: 503, session.ErrResponseStarted: 500, session.ErrNoMiddleware: 500,
		session.ErrHijackCookie: 500, errors.New("something else"): 500,
	} {
		if got := session.StatusCode(fmt.Errorf("wrapped: %w", err)); got != want {
			t.Errorf("%v: got %d, want %d", err, got, want)
		}
	}
}

// A goroutine that outlives its handler can read its session but not change it, over HTTP/1.1 and HTTP/2.
func TestGoroutineThatOutlivesItsHandler(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		manager := must.Get(session.New(memory.New(), session.Options{PlainHTTP: true, Logger: slog.New(slog.DiscardHandler)}))(t)
		server := newWrapServer(t, http2)
		responded, done := make(chan struct{}), make(chan error, 1)
		handler := manager.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			ctx := r.Context()
			go func() {
				<-responded
				s := session.From(ctx)
				if _, err := visits.Get(ctx); err != nil {
					done <- err
					return
				}
				visits.Add(ctx, 1)
				done <- errors.Join(s.Apply(ctx), s.Login(ctx, "ada"), s.Logout(ctx))
			}()
		}))
		server.handler.Store(&handler)
		response := must.Get(server.Client().Get(server.URL))(t)
		response.Body.Close()
		close(responded)
		if err := <-done; !errors.Is(err, session.ErrResponseStarted) {
			t.Errorf("HTTP/2 %v: %v", http2, err)
		}
	}
}
