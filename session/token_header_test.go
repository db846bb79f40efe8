package session_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"stateless-servers/session"
)

// A headerClient keeps the session in a header, and in a cookie if it has one.
type headerClient struct {
	*client
	name, value string // of the header; sent even if the value is empty
}

func (b *headerClient) do(handler func(r *http.Request, s *session.Session) error) *http.Response {
	b.t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/", nil)
	r.Header.Set(b.name, b.value)
	if b.cookie != nil {
		r.AddCookie(b.cookie)
	}
	w := httptest.NewRecorder()
	b.manager.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := handler(r, session.From(r.Context())); err != nil {
			http.Error(w, err.Error(), session.StatusCode(err))
		}
	})).ServeHTTP(w, r)
	response := w.Result()
	if values := response.Header.Values(b.name); len(values) > 0 {
		b.value = values[0]
	}
	return response
}

func TestTokenHeader(t *testing.T) {
	for name, empty := range map[string]string{"X-Session": "", "Authorization": "Bearer"} {
		b := &headerClient{newClient(t, session.Options{TokenHeader: name}), name, empty}
		add := func(want int64) func(r *http.Request, s *session.Session) error {
			return func(r *http.Request, s *session.Session) error {
				visits.Add(r.Context(), 1)
				n, err := visits.Get(r.Context())
				if n != want {
					t.Errorf("%s: visit %d, want %d", name, n, want)
				}
				return err
			}
		}
		steps := []struct {
			what    string
			do      func(r *http.Request, s *session.Session) error
			changes bool // the response has a new value
		}{
			{"first visit", add(1), true},
			{"second visit", add(2), false},
			{"login", func(r *http.Request, s *session.Session) error { return s.Login(r.Context(), "ada") }, true},
			{"visit after login", add(3), false},
			{"renewal", func(r *http.Request, s *session.Session) error { return s.Renew(r.Context()) }, true},
			{"logout", func(r *http.Request, s *session.Session) error { return s.Logout(r.Context()) }, true},
			{"visit after logout", add(1), true},
		}
		for _, step := range steps {
			before := b.value
			response := b.do(step.do)
			_, sent := response.Header[http.CanonicalHeaderKey(name)]
			if response.StatusCode != 200 || sent != step.changes || (b.value != before) != step.changes || len(response.Cookies()) > 0 {
				t.Errorf("%s, %s: status %d, header %v", name, step.what, response.StatusCode, response.Header)
			}
			if got := response.Header.Get("Vary"); got != "Cookie, "+name || response.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s, %s: header %v", name, step.what, response.Header)
			}
			if step.what == "logout" && b.value != "" {
				t.Errorf("%s: after logout the value is %q", name, b.value)
			}
			if b.value == "" {
				b.value = empty
			}
		}
		// Who copies an old value after a logout has nothing.
		if n, _ := b.sees(); n != 0 {
			t.Errorf("%s: without header and cookie, the client sees %d visits", name, n)
		}
	}
}

// A request with the header doesn't use the cookie, so that a forged header can't act on a visitor's session, and a script that
// sends the header doesn't get the value of the visitor's cookie.
func TestHeaderExcludesCookie(t *testing.T) {
	b := &headerClient{newClient(t, session.Options{TokenHeader: "X-Session"}), "X-Session", ""}
	b.login("ada")
	for _, value := range []string{"", "invented"} {
		b.value = value
		response := b.do(func(r *http.Request, s *session.Session) error {
			user, err := s.User(r.Context())
			if user != "" {
				t.Errorf("the header %q logs in %q", value, user)
			}
			visits.Add(r.Context(), 1)
			return err
		})
		if b.value == b.cookie.Value || b.value == value || len(response.Cookies()) > 0 {
			t.Errorf("header %v", response.Header)
		}
		if n, user := b.sees(); n != 0 || user != "ada" {
			t.Errorf("the cookie's session has %d visits of %q", n, user)
		}
	}
	b.do(func(r *http.Request, s *session.Session) error { return s.Logout(r.Context()) })
	if _, user := b.sees(); user != "ada" {
		t.Error("a logout by the header ended the cookie's session")
	}
}

// Authorization is also used by other schemes, which browsers send without being asked. It doesn't exclude the cookie then.
func TestOtherAuthorizationUsesCookie(t *testing.T) {
	b := &headerClient{newClient(t, session.Options{TokenHeader: "Authorization"}), "Authorization", "Basic YTpi"}
	b.login("ada")
	response := b.do(func(r *http.Request, s *session.Session) error {
		if user, err := s.User(r.Context()); user != "ada" || err != nil {
			t.Errorf("user %q, %v", user, err)
		}
		return s.Renew(r.Context())
	})
	if len(response.Cookies()) != 1 || response.Header.Get("Authorization") != "" {
		t.Errorf("header %v", response.Header)
	}
}

func TestTokenHeaderOption(t *testing.T) {
	for _, name := range []string{"X Session", "X-Session:", "cookie", "Set-Cookie", "Host"} {
		expectRefused(t, session.Options{TokenHeader: name}, "session option TokenHeader is")
	}
}
