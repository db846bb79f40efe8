package sessiontest

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"stateless-servers/session"
)

// Request returns a copy of r from a visitor with a session, for the test of a handler. It calls prepare with the context of an
// earlier request of the same visitor, which may log in and set values, and fails the test if the store doesn't take them. r may
// have a session already, so that a second call reads or changes it:
//
//	r := sessiontest.Request(t, manager, httptest.NewRequest("GET", "/", nil), func(ctx context.Context) {
//		session.From(ctx).Login(ctx, "ada")
//		cart.Counter("tea").Add(ctx, 2)
//	})
//	manager.Handler(handler).ServeHTTP(w, r)
//
// The session is in the copy's cookie, also if the manager has a TokenHeader. A manager of the store memory.New() needs no server.
// Request is for tests: import the package only there.
func Request(t testing.TB, manager *session.Manager, r *http.Request, prepare func(ctx context.Context)) *http.Request {
	t.Helper()
	var failed error
	earlier := httptest.NewRequestWithContext(r.Context(), http.MethodPost, "/", nil)
	earlier.Header.Set("User-Agent", r.UserAgent())
	for _, cookie := range r.Cookies() {
		earlier.AddCookie(cookie)
	}
	w := httptest.NewRecorder()
	manager.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		prepare(r.Context())
		// A refused change fails every later one.
		failed = manager.From(r.Context()).Apply(r.Context())
	})).ServeHTTP(w, earlier)
	if failed != nil {
		t.Fatalf("preparing a request's session: %v", failed)
	}
	next, set := r.Clone(r.Context()), w.Result().Cookies()
	if len(set) == 0 {
		return next
	}
	next.Header.Del("Cookie")
	for _, cookie := range r.Cookies() {
		if cookie.Name != set[0].Name {
			next.AddCookie(cookie)
		}
	}
	if set[0].MaxAge >= 0 { // else the visitor has logged out
		next.AddCookie(set[0])
	}
	return next
}
