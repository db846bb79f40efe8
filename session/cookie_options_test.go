package session_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"stateless-servers/session"
	"stateless-servers/session/memory"
)

// expectRefused fails the test unless New refuses the options with an error that begins with the given text.
func expectRefused(t *testing.T, o session.Options, begin string) {
	t.Helper()
	if _, err := session.New(memory.New(), o); err == nil || !strings.HasPrefix(err.Error(), begin) {
		t.Errorf("%+v: got %v, want %s…", o, err, begin)
	} else {
		t.Log(err)
	}
}

func TestCookieAttributes(t *testing.T) {
	const day = "; Max-Age=86400"
	for want, o := range map[string]session.Options{
		"__Host-session=…; Path=/" + day + "; HttpOnly; Secure; SameSite=Strict":                     {SameSite: http.SameSiteStrictMode},
		"__Host-id=…; Path=/" + day + "; HttpOnly; Secure; SameSite=None; Partitioned":               {CookieName: "id", SameSite: http.SameSiteNoneMode, Partitioned: true},
		"__Secure-session=…; Path=/; Domain=shop.example" + day + "; HttpOnly; Secure; SameSite=Lax": {CookieDomain: "shop.example"},
		"__Secure-session=…; Path=/app" + day + "; HttpOnly; Secure; SameSite=Lax":                   {CookiePath: "/app"},
		"session=…; Path=/app; Domain=shop.example" + day + "; HttpOnly; SameSite=Lax":               {CookiePath: "/app", CookieDomain: ".shop.example", PlainHTTP: true},
		"__Host-__session=…; Path=/; HttpOnly; Secure; SameSite=Lax":                                 {CookieName: "__session", BrowserCookie: true},
	} {
		b := newClient(t, o)
		b.visit()
		if got := strings.Replace(b.cookie.Raw, b.cookie.Value, "…", 1); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		if b.visit() != 2 {
			t.Errorf("%s: the cookie was not read", want)
		}
		// A browser removes the cookie only if name, domain and path are the same.
		set := strings.Split(b.cookie.Raw, "; ")
		response := b.do(func(_ http.ResponseWriter, r *http.Request, s *session.Session) { s.Logout(r.Context()) })
		removed := strings.Split(response.Header.Get("Set-Cookie"), "; ")
		kept := func(parts []string) (same []string) {
			for _, part := range parts {
				if name, _, _ := strings.Cut(part, "="); name != "Max-Age" {
					same = append(same, part)
				}
			}
			name, _, _ := strings.Cut(same[0], "=")
			same[0] = name
			return same
		}
		if got, want := strings.Join(kept(removed), "; "), strings.Join(kept(set), "; "); got != want || b.cookie != nil {
			t.Errorf("logout: got %s, want the attributes %s", response.Header.Get("Set-Cookie"), want)
		}
	}
}

func TestIgnoredCookiesAreRefused(t *testing.T) {
	for begin, list := range map[string][]session.Options{
		"session option CookieName is": {
			{CookieName: "__Host-id", CookieDomain: "shop.example"}, {CookieName: "__host-id", PlainHTTP: true},
			{CookieName: "__Secure-id", PlainHTTP: true}, {CookieName: "__Http-id"},
		},
		"session option SameSite is":     {{SameSite: http.SameSiteNoneMode, PlainHTTP: true}, {SameSite: http.SameSiteDefaultMode}, {SameSite: 9}},
		"session option Partitioned is":  {{Partitioned: true, PlainHTTP: true}},
		"session option CookiePath is":   {{CookiePath: "app"}, {CookiePath: "https://shop.example/"}},
		"session option CookieDomain is": {{CookieDomain: "com"}, {CookieDomain: ".example"}, {CookieDomain: "localhost"}},
		"session options CookieName":     {{CookieName: "a b"}, {CookiePath: "/a;b"}, {CookieDomain: "shop example.com"}, {CookieDomain: "https://shop.example"}},
	} {
		for _, o := range list {
			expectRefused(t, o, begin)
		}
	}
}

// The name and the attributes of a cookie leave room for the longest value of a Codec.
func TestCookieOfACodecHasRoom(t *testing.T) {
	for _, o := range []session.Options{{CookieName: strings.Repeat("n", 66)}, {CookieDomain: strings.Repeat("sub.", 20) + "example"}} {
		if _, err := session.NewWithCodec(fixedCodec{}, o); err == nil || !strings.Contains(err.Error(), "4096") {
			t.Errorf("%+v: got %v", o, err)
		}
		if _, err := session.New(memory.New(), o); err != nil {
			t.Errorf("%+v with a store: %v", o, err)
		}
	}
	if _, err := session.NewWithCodec(fixedCodec{}, session.Options{CookieName: strings.Repeat("n", 60)}); err != nil {
		t.Error(err) // sealing.MaxName
	}
}

type fixedCodec struct{}

func (fixedCodec) Encode(session.ID, session.Record) (string, error) { return "x", nil }
func (fixedCodec) Decode(string, time.Time) (session.ID, session.Record, error) {
	return session.ID{}, session.Record{}, session.ErrNotFound
}
func (fixedCodec) Promises() session.Promises { return session.Promises{Name: "fixed", MaxBytes: 100} }

func TestClearSiteData(t *testing.T) {
	const value = `"cache", "storage"`
	b := newClient(t, session.Options{ClearSiteData: value})
	b.login("ada")
	for name, do := range map[string]func(r *http.Request, s *session.Session) error{
		"logout":                 func(r *http.Request, s *session.Session) error { return s.Logout(r.Context()) },
		"logout everywhere":      func(r *http.Request, s *session.Session) error { return s.LogoutEverywhere(r.Context()) },
		"logout without session": func(r *http.Request, s *session.Session) error { return s.Logout(r.Context()) },
	} {
		response := b.do(func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
			if err := do(r, s); err != nil {
				t.Error(name, err)
			}
		})
		if got := response.Header.Get("Clear-Site-Data"); got != value {
			t.Errorf("%s: Clear-Site-Data is %q", name, got)
		}
	}
	b.login("ada")
	b.store.fail["end"] = errStore
	for name, do := range map[string]func(r *http.Request, s *session.Session){
		"login":         func(r *http.Request, s *session.Session) { s.Login(r.Context(), "ada") },
		"failed logout": func(r *http.Request, s *session.Session) { s.Logout(r.Context()) },
		"read":          func(r *http.Request, s *session.Session) { s.User(r.Context()) },
		"nothing":       func(*http.Request, *session.Session) {},
	} {
		response := b.do(func(_ http.ResponseWriter, r *http.Request, s *session.Session) { do(r, s) })
		if got := response.Header.Get("Clear-Site-Data"); got != "" {
			t.Errorf("%s: Clear-Site-Data is %q", name, got)
		}
	}
	b.store.fail["end"] = nil
	response := b.do(func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
		s.Logout(r.Context())
		s.Login(r.Context(), "bob")
	})
	if got := response.Header.Get("Clear-Site-Data"); got != "" || b.cookie == nil {
		t.Errorf("logout and login: Clear-Site-Data is %q", got)
	}
	for _, bad := range []string{"cache", `"cookie"`, `"cache" "storage"`, `"cache",`} {
		expectRefused(t, session.Options{ClearSiteData: bad}, "session option ClearSiteData is")
	}
}
