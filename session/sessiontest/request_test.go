package sessiontest_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"stateless-servers/session"
	"stateless-servers/session/memory"
	"stateless-servers/session/sessiontest"
	"stateless-servers/session/sessiontest/must"
)

const (
	tea    = session.Counter("tea")
	secret = session.Key[string]("secret")
)

// checkout is the handler that the example tests.
func checkout(w http.ResponseWriter, r *http.Request) {
	user, err := session.From(r.Context()).User(r.Context())
	if err != nil || user == "" {
		http.Error(w, "log in first", http.StatusUnauthorized)
		return
	}
	bought, err := tea.Get(r.Context())
	if err != nil {
		http.Error(w, "sorry", session.StatusCode(err))
		return
	}
	tea.Remove(r.Context())
	fmt.Fprintf(w, "%s buys %d", user, bought)
}

// A test of a handler gives its request a session. The test of the next step reads what the handler stored.
func ExampleRequest() {
	t := &testing.T{} // of the test
	manager := must.Get(session.New(memory.New(), session.Options{}))(t)
	r := sessiontest.Request(t, manager, httptest.NewRequest("POST", "/checkout", nil), func(ctx context.Context) {
		session.From(ctx).Login(ctx, "ada")
		tea.Add(ctx, 2)
	})
	w := httptest.NewRecorder()
	manager.Handler(http.HandlerFunc(checkout)).ServeHTTP(w, r)
	fmt.Println(w.Code, w.Body)

	sessiontest.Request(t, manager, r, func(ctx context.Context) {
		n, err := tea.Get(ctx)
		fmt.Println(n, err)
	})
	// Output:
	// 200 ada buys 2
	// 0 <nil>
}

// Each call replaces the session's cookie, keeps the others, and leaves the given request as it was.
func TestRequest(t *testing.T) {
	for name, options := range map[string]session.Options{
		"a cookie": {}, "another prefix": {PlainHTTP: true, Logger: slog.New(slog.DiscardHandler)}, "a header": {TokenHeader: "X-Session"},
	} {
		t.Run(name, func(t *testing.T) {
			manager := must.Get(session.New(memory.New(), options))(t)
			plain := httptest.NewRequest("GET", "/", nil)
			plain.AddCookie(&http.Cookie{Name: "theme", Value: "dark"})
			visitor := sessiontest.Request(t, manager, plain, func(ctx context.Context) { tea.Add(ctx, 1) })
			user := sessiontest.Request(t, manager, visitor, func(ctx context.Context) {
				if err := session.From(ctx).Login(ctx, "ada"); err != nil {
					t.Error(err)
				}
			})
			if len(plain.Cookies()) != 1 || len(visitor.Cookies()) != 2 || len(user.Cookies()) != 2 {
				t.Errorf("cookies: %v, %v, %v, want 1, 2, 2", plain.Cookies(), visitor.Cookies(), user.Cookies())
			}
			sessiontest.Request(t, manager, user, func(ctx context.Context) {
				if n, err := tea.Get(ctx); n != 1 || err != nil {
					t.Errorf("after the login: %d, %v", n, err)
				}
			})
			gone := sessiontest.Request(t, manager, user, func(ctx context.Context) {
				if err := session.From(ctx).Logout(ctx); err != nil {
					t.Error(err)
				}
			})
			if len(gone.Cookies()) != 1 {
				t.Errorf("after the logout: cookies %v", gone.Cookies())
			}
		})
	}
}

// A failed is a test that records its failure.
type failed struct {
	testing.TB
	message string
}

func (f *failed) Helper() {}
func (f *failed) Fatalf(format string, args ...any) {
	f.message = fmt.Sprintf(format, args...)
	panic(f)
}

func TestRequestFailsTheTest(t *testing.T) {
	manager := must.Get(session.New(memory.New(), session.Options{}))(t)
	for name, prepare := range map[string]func(context.Context){
		"a long user": func(ctx context.Context) {
			session.From(ctx).Login(ctx, "ada")
			secret.Set(ctx, strings.Repeat("a", 500_000))
		},
		"a key": func(ctx context.Context) { session.Key[string]("@reserved").Set(ctx, "a") },
	} {
		test := &failed{TB: t}
		func() {
			defer func() { recover() }()
			sessiontest.Request(test, manager, httptest.NewRequest("GET", "/", nil), prepare)
		}()
		if test.message == "" {
			t.Errorf("%s: the test did not fail", name)
		}
	}
}
