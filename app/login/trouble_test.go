package login_test

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"stateless-servers/app/login/logintest"
)

// A clock skew of a minute is accepted, and one of ten minutes refused.
func TestClockSkew(t *testing.T) {
	p := logintest.Start(t, redirect)
	f := newFleet(t, "token", p.Issuer)
	in := func(d time.Duration) int64 { return time.Now().Add(d).Unix() }
	const minute = time.Minute
	for _, test := range []struct {
		name    string
		claims  map[string]time.Duration // from now
		refused bool
	}{
		{"the same", map[string]time.Duration{"iat": 0, "nbf": 0, "exp": minute}, false},
		{"a minute slow", map[string]time.Duration{"iat": -minute, "nbf": -minute, "exp": 0}, false},
		{"a minute fast", map[string]time.Duration{"iat": minute, "nbf": minute, "exp": 2 * minute}, false},
		{"expired a minute ago", map[string]time.Duration{"exp": -minute}, false},
		{"valid in a minute", map[string]time.Duration{"nbf": minute}, false},
		{"issued in a minute", map[string]time.Duration{"iat": minute}, false},
		// Microsoft Entra ID sets the issue time of tokens five minutes back.
		{"issued five minutes ago and a minute slow", map[string]time.Duration{"iat": -6 * minute, "nbf": -6 * minute}, false},
		{"ten minutes slow", map[string]time.Duration{"iat": -10 * minute, "nbf": -10 * minute, "exp": 50 * minute}, true},
		{"ten minutes fast", map[string]time.Duration{"iat": 10 * minute, "nbf": 10 * minute, "exp": 70 * minute}, true},
		{"expired ten minutes ago", map[string]time.Duration{"exp": -10 * minute}, true},
		{"valid in ten minutes", map[string]time.Duration{"nbf": 10 * minute}, true},
		{"issued in ten minutes", map[string]time.Duration{"iat": 10 * minute}, true},
		{"issued ten minutes ago", map[string]time.Duration{"iat": -10 * minute}, true},
		{"issued in 280 years", map[string]time.Duration{"iat": 280 * 365 * 24 * time.Hour}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			p.EditClaims = func(claims map[string]any) {
				for name, d := range test.claims {
					claims[name] = in(d)
				}
			}
			status, user, c := http.StatusSeeOther, logintest.Ann, f.client(t)
			if test.refused {
				status, user = http.StatusForbidden, ""
			}
			c.do(http.MethodGet, p.LogIn(t, c.begin(), "ann")).expect(t, status, "")
			if got := c.user(); got != user {
				t.Errorf("logged in as %q", got)
			}
		})
	}
	for _, claim := range []string{"iat", "exp"} {
		t.Run("without "+claim, func(t *testing.T) {
			p.EditClaims = func(claims map[string]any) { delete(claims, claim) }
			c := f.client(t)
			c.do(http.MethodGet, p.LogIn(t, c.begin(), "ann")).expect(t, http.StatusForbidden, "")
		})
	}
}

// The page shows the user's name from the provider if it is printable, and otherwise the subject.
func TestNamesFromTheProvider(t *testing.T) {
	p := logintest.Start(t, redirect)
	f := newFleet(t, "memory", p.Issuer)
	for name, want := range map[string]string{
		"ann":                              "ann",
		"Zoë":                              "Zoë",
		"<script>alert(1)</script>":        "&lt;script&gt;alert(1)&lt;/script&gt;",
		"":                                 "ann@example.com",
		"   ":                              logintest.Ann,
		"\u3164":                           logintest.Ann,
		"\u200b":                           logintest.Ann,
		"\u2800\u2800":                     logintest.Ann,
		"admin\u202e":                      logintest.Ann,
		"a\nb":                             logintest.Ann,
		"a\x00b":                           logintest.Ann,
		strings.Repeat("a", 10<<10):        logintest.Ann,
		strings.Repeat("\u0301", 64):       logintest.Ann,
		strings.Repeat("\U0001f600", 64):   strings.Repeat("\U0001f600", 64),
		strings.Repeat("a", 64) + "\u0301": logintest.Ann,
	} {
		p.EditClaims = func(claims map[string]any) { claims["preferred_username"] = name }
		c := f.client(t)
		c.do(http.MethodGet, p.LogIn(t, c.begin(), "ann")).expect(t, http.StatusSeeOther, "")
		r := c.do(http.MethodGet, "/").expect(t, http.StatusOK, "Logged in as <b>"+want+"</b>")
		if strings.Contains(r.Body, "<script>alert") || len(r.Body) > 50_000 {
			t.Errorf("%.40q: the page has %d bytes\n%.3000s", name, len(r.Body), r.Body)
		}
	}
}

// If the provider fails during a login, in any way, the login gets a 503. When the provider works again, the same login
// finishes, unless its code was used.
func TestProviderFailsDuringLogin(t *testing.T) {
	slow := map[string]http.HandlerFunc{
		"hangs": func(_ http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body) // otherwise the server doesn't notice that the client disconnects
			<-r.Context().Done()
		},
		"responds a byte at a time": func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "application/json")
			for range 1000 { // the client gives up long before
				io.WriteString(w, " ")
				http.NewResponseController(w).Flush()
				select {
				case <-r.Context().Done():
					return
				case <-time.After(50 * time.Millisecond):
				}
			}
		},
	}
	quick := map[string]http.HandlerFunc{
		"breaks off": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			io.WriteString(w, "{")
		},
		"never ends": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, strings.Repeat(" ", 2<<20))
			io.WriteString(w, `{"keys":[],"access_token":"a","token_type":"Bearer"}`)
		},
		"is a gzip bomb": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			packed := gzip.NewWriter(w)
			io.WriteString(packed, strings.Repeat(" ", 2<<20))
			packed.Close()
		},
		"is overloaded": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) },
		"fails":         func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) },
	}
	test := func(t *testing.T, p *logintest.Provider, path string, fails http.HandlerFunc) {
		t.Helper()
		f := newFleet(t, "token", p.Issuer)
		c := f.client(t)
		callback := p.LogIn(t, c.begin(), "ann")
		p.Handle(path, fails)
		r := c.do(http.MethodGet, callback).expect(t, http.StatusServiceUnavailable, "The login provider doesn&#39;t answer")
		if r.Header.Get("Retry-After") == "" || c.Cookies()["session"] != "" || len(f.log.String()) > 2000 {
			t.Errorf("the answer has %v, the visitor %v, the log is %.3000s", r.Header, c.Cookies(), f.log)
		}
		p.Handle(path, nil)
		status, user := http.StatusSeeOther, logintest.Ann
		if path == logintest.KeysPath { // requested after the code was used
			status, user = http.StatusForbidden, ""
		}
		c.do(http.MethodGet, callback).expect(t, status, "")
		if got := c.user(); got != user {
			t.Errorf("logged in as %q", got)
		}
	}
	shared := logintest.Start(t, redirect)
	for _, path := range []string{logintest.ExchangePath, logintest.KeysPath} {
		for name, fails := range quick {
			t.Run(path+" "+name, func(t *testing.T) { test(t, shared, path, fails) })
		}
		for name, fails := range slow {
			t.Run(path+" "+name, func(t *testing.T) {
				t.Parallel()
				test(t, logintest.Start(t, redirect), path, fails)
			})
		}
	}
}

// Tokens with unknown keys cause only a bounded number of requests for keys, and don't affect other logins.
func TestUnknownKeys(t *testing.T) {
	p := logintest.Start(t, redirect)
	f := newFleet(t, "token", p.Issuer)
	login := func() response {
		t.Helper()
		c := f.client(t)
		f.next = 0
		callback := p.LogIn(t, c.begin(), "ann")
		f.next = 0 // the same server
		return c.do(http.MethodGet, callback)
	}
	login().expect(t, http.StatusSeeOther, "")
	other, n := logintest.Start(t, redirect), 0
	p.EditToken = func(string) string {
		n++
		return other.Sign(map[string]any{"iss": p.Issuer, "n": n})
	}
	const logins = 60
	begun := time.Now()
	for range logins {
		if a := login(); a.StatusCode != http.StatusForbidden && a.StatusCode != http.StatusServiceUnavailable {
			a.expect(t, http.StatusForbidden, "")
		}
	}
	limit := 12 + int64(time.Since(begun)/(10*time.Second))
	if got := p.KeyRequests.Load(); got < 2 || got > limit {
		t.Errorf("%d logins caused %d requests for keys, want 2 to %d", logins, got, limit)
	}
	p.EditToken = nil
	login().expect(t, http.StatusSeeOther, "")
}

// Concurrent redirects of one login log in its user only.
func TestParallelCallbacks(t *testing.T) {
	stores(t, func(t *testing.T, store string) {
		p := logintest.Start(t, redirect)
		f := newFleet(t, store, p.Issuer)
		c := f.client(t)
		callback := p.LogIn(t, c.begin(), "ann")
		var answers [8]response
		var visitors [8]*client
		var all sync.WaitGroup
		for i := range answers {
			server := &fleet{servers: [2]string{f.servers[i%2], f.servers[i%2]}}
			visitors[i] = server.client(t)
			visitors[i].SetCookie("login", c.Cookies()["login"])
			all.Go(func() { answers[i] = visitors[i].do(http.MethodGet, callback) })
		}
		all.Wait()
		finished := 0
		for i, a := range answers {
			want := ""
			switch a.StatusCode {
			case http.StatusSeeOther:
				finished, want = finished+1, logintest.Ann
			case http.StatusForbidden: // another request used the code
			default:
				a.expect(t, http.StatusForbidden, "")
			}
			if got := visitors[i].user(); got != want {
				t.Errorf("%s: logged in as %q", a.Status, got)
			}
		}
		if finished == 0 {
			t.Error("none of the requests logged in, want at least one")
		}
		f.client(t).do(http.MethodGet, callback).expect(t, http.StatusForbidden, "")
	})
}

// A second login cookie, which another site on the same host set, doesn't prevent a login.
func TestSecondLoginCookie(t *testing.T) {
	p := logintest.Start(t, redirect)
	f := newFleet(t, "token", p.Issuer)
	attacker := f.client(t)
	attacker.begin()
	for _, planted := range []string{"", "x", "AAAA", attacker.Cookies()["login"]} {
		c := f.client(t)
		callback := p.LogIn(t, c.begin(), "ann")
		c.do(http.MethodGet, callback, "Cookie: login="+planted).expect(t, http.StatusSeeOther, "")
		if got := c.user(); got != logintest.Ann {
			t.Errorf("%.10q: logged in as %q", planted, got)
		}
	}
}

// Logout ends the session and sends no request to the provider, whether or not its configuration is known.
func TestLogoutSendsNoRequest(t *testing.T) {
	p := logintest.Start(t, redirect)
	f := newFleet(t, "token", p.Issuer)
	for _, known := range []bool{true, false} {
		t.Run(fmt.Sprintf("known %t", known), func(t *testing.T) {
			p.Handle(logintest.DiscoveryPath, nil)
			c := f.client(t)
			c.do(http.MethodGet, p.LogIn(t, c.begin(), "ann")).expect(t, http.StatusSeeOther, "")
			if !known {
				c.fleet = newFleet(t, "token", p.Issuer) // servers with the same keys, that have just started
			}
			p.Handle(logintest.DiscoveryPath, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
			before := p.Discoveries.Load()
			r := c.do(http.MethodPost, "/logout")
			if redirects := strings.HasPrefix(r.Header.Get("Location"), p.Issuer); redirects != known {
				t.Errorf("the logout redirects to %q: %s", r.Header.Get("Location"), r.Status)
			}
			if n := p.Discoveries.Load() - before; n != 0 {
				t.Errorf("the provider got %d requests, want none", n)
			}
			if got := c.user(); got != "" {
				t.Errorf("logged in as %q after logout, want nobody", got)
			}
		})
	}
}
