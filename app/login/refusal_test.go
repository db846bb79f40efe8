package login_test

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"stateless-servers/app/login"
	"stateless-servers/app/login/logintest"
	"stateless-servers/session"
	"stateless-servers/session/cookie"
	"stateless-servers/session/sealing/sealingtest"
	"stateless-servers/session/sessiontest/must"
)

// A refusal is a login with an error, for which the server must respond with 403.
type refusal struct {
	name  string
	wrong func(*logintest.Provider)
	text  string // part of the page
	log   string // part of the log; "" if nothing is logged
}

// Whatever is wrong with a login, it is refused, and neither the page nor the log contains a secret.
func TestInvalidLoginsAreRefused(t *testing.T) {
	set := func(name string, value any) func(*logintest.Provider) {
		return func(p *logintest.Provider) { p.EditClaims = func(claims map[string]any) { claims[name] = value } }
	}
	redirected := func(name, value string) func(*logintest.Provider) {
		return func(p *logintest.Provider) { p.EditRedirect = func(query url.Values) { query.Set(name, value) } }
	}
	token := func(change func(head, claims, signature string) string) func(*logintest.Provider) {
		return func(p *logintest.Provider) {
			p.EditToken = func(token string) string {
				parts := strings.Split(token, ".")
				return change(parts[0], parts[1], parts[2])
			}
		}
	}
	encoded := base64.RawURLEncoding.EncodeToString
	thief := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("a request for the provider went to %s, with the code %q", r.Host, r.FormValue("code"))
	}))
	defer thief.Close()
	const invalid = "The login provider&#39;s response isn&#39;t valid"
	tests := []refusal{
		{"another state", redirected("state", "AAAAAAAAAAAAAAAAAAAAAAAAAA"), "belongs to a different login", ""},
		{"no state", redirected("state", ""), "belongs to a different login", ""},
		{"another issuer in the redirect", redirected("iss", "https://other.example"), invalid, "https://other.example"},
		{"no issuer in the redirect of a provider that sends it", func(p *logintest.Provider) {
			p.SendsIssuer = true
			p.EditRedirect = func(query url.Values) { query.Del("iss") }
		}, invalid, "has no issuer"},
		{"an error in place of a code", redirected("error", "access_denied"), "access_denied", ""},
		{"an invented code", redirected("code", "invented"), "refused the login&#39;s code", "invalid_grant"},
		{"no code", redirected("code", ""), "refused the login&#39;s code", "invalid_request"},
		{"another nonce", set("nonce", "AAAAAAAAAAAAAAAAAAAAAAAAAA"), invalid, "nonce"},
		{"no nonce", func(p *logintest.Provider) {
			p.EditClaims = func(claims map[string]any) { delete(claims, "nonce") }
		}, invalid, "nonce"},
		{"another audience", set("aud", "other"), invalid, "expected audience"},
		{"another party", set("azp", "other"), invalid, "issued to"},
		{"several audiences and no party", func(p *logintest.Provider) {
			p.EditClaims = func(claims map[string]any) {
				claims["aud"] = []string{logintest.ClientID, "other"}
				delete(claims, "azp")
			}
		}, invalid, "issued to"},
		{"another issuer", set("iss", "https://other.example"), invalid, "different provider"},
		{"no subject", set("sub", ""), invalid, "subject"},
		{"a long subject", set("sub", strings.Repeat("a", 256)), invalid, "subject"},
		{"unsigned", token(func(_, claims, _ string) string {
			return encoded([]byte(`{"alg":"none"}`)) + "." + claims + "."
		}), invalid, "unexpected signature algorithm"},
		{"signed with HMAC", token(func(_, claims, signature string) string {
			return encoded([]byte(`{"alg":"HS256"}`)) + "." + claims + "." + signature
		}), invalid, "unexpected signature algorithm"},
		{"changed after it was signed", token(func(head, claims, signature string) string {
			plain, _ := base64.RawURLEncoding.DecodeString(claims)
			return head + "." + encoded([]byte(strings.Replace(string(plain), "ann", "bob", 1))) + "." + signature
		}), invalid, "verify signature"},
		{"signed by another provider", func(p *logintest.Provider) {
			other := logintest.Start(t, redirect)
			p.EditClaims = func(map[string]any) {}
			p.EditToken = func(token string) string {
				var claims map[string]any
				plain, _ := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
				json.Unmarshal(plain, &claims)
				return other.Sign(claims)
			}
		}, invalid, "verify signature"},
		{"a response that repeats the request", func(p *logintest.Provider) {
			p.Handle(logintest.ExchangePath, func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(http.StatusBadRequest)
				r.Write(w)
				io.WriteString(w, r.FormValue("code"))
			})
		}, "refused the login&#39;s code", "400 Bad Request"},
		{"a redirect of the exchange", func(p *logintest.Provider) {
			p.Handle(logintest.ExchangePath, http.RedirectHandler(thief.URL, http.StatusTemporaryRedirect).ServeHTTP)
		}, "refused the login&#39;s code", "307 Temporary Redirect"},
		{"no token", token(func(_, _, _ string) string { return "" }), invalid, "malformed jwt"},
	}
	tests = append(tests, attacks(t)...)
	p := logintest.Start(t, redirect)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p.EditClaims, p.EditToken, p.EditRedirect, p.SendsIssuer = nil, nil, nil, false
			p.Handle(logintest.ExchangePath, nil)
			p.Handle(logintest.KeysPath, nil)
			test.wrong(p)
			var idToken string
			change := p.EditToken
			p.EditToken = func(token string) string {
				if idToken = token; change != nil {
					idToken = change(token)
				}
				return idToken
			}
			f := newFleet(t, "token", p.Issuer)
			c := f.client(t)
			callback := p.LogIn(t, c.begin(), "ann")
			r := c.do(http.MethodGet, callback).expect(t, http.StatusForbidden, test.text)
			if r.Header.Get("Content-Type") != "text/html; charset=utf-8" || r.Header.Get("Location") != "" {
				t.Errorf("the response isn't a page: %v", r.Header)
			}
			if got := c.user(); got != "" {
				t.Errorf("logged in as %q", got)
			}
			for name, values := range parse(t, callback).Query() {
				if len(values[0]) > 20 && strings.Contains(f.log.String()+r.Body, values[0]) && name != "iss" {
					t.Errorf("the log or the page contains %s: %s\n%s", name, f.log, r.Body)
				}
			}
			for part := range strings.SplitSeq(idToken, ".") {
				if len(part) > 40 && strings.Contains(f.log.String()+r.Body, part) {
					t.Errorf("the log or the page contains the token: %s\n%s", f.log, r.Body)
				}
			}
			if got := f.log.String(); !strings.Contains(got, test.log) || (got == "") != (test.log == "") || len(got) > 2000 {
				t.Errorf("the log lacks %q, or isn't empty, or is too long: %d bytes, %.2000s", test.log, len(got), got)
			}
			if strings.Contains(f.log.String()+r.Body, planted) {
				t.Errorf("the log or the page contains the attacker's text: %.2000s\n%s", f.log, r.Body)
			}
		})
	}
}

// Without a login in progress, no redirect finishes one. An empty state matches nothing, and a cookie for another purpose or
// an expired one isn't accepted.
func TestNoLoginInProgress(t *testing.T) {
	p := logintest.Start(t, redirect)
	f := newFleet(t, "token", p.Issuer)
	query := parse(t, p.LogIn(t, f.client(t).begin(), "ann")).Query()
	seal := func(name string, expires time.Time, state, nonce, verifier string) string {
		t.Helper()
		codec, err := cookie.New(sealingtest.Keys(t, "a"), name)
		must.Succeed(t, err)
		values := map[string]string{"state": state, "nonce": nonce, "verifier": verifier}
		maps.DeleteFunc(values, func(_, value string) bool { return value == "" })
		value, err := codec.Encode(session.ID{}, session.Record{
			Values: values, Created: expires.Add(-login.Lifetime), Expires: expires, IdleExpires: expires,
		})
		must.Succeed(t, err)
		return value
	}
	later, state := time.Now().Add(login.Lifetime), query.Get("state")
	const noLogin = "has no login in progress"
	for name, value := range map[string]string{
		"none":                     "",
		"empty":                    "",
		"damaged":                  "AAAA",
		"sealed empty":             seal("login", later, "", "", ""),
		"without a state":          seal("login", later, "", "n", "v"),
		"without a nonce":          seal("login", later, state, "", "v"),
		"without a verifier":       seal("login", later, state, "n", ""),
		"of a session":             seal("session", later, state, "n", "v"),
		"of a login long ago":      seal("login", time.Now().Add(-time.Second), state, "n", "v"),
		"of a login, and no state": seal("login", later, state, "n", "v"),
	} {
		for _, query := range []url.Values{
			{"code": query["code"]}, {"code": query["code"], "state": {""}}, {"code": query["code"], "state": {state}}, {},
		} {
			want := noLogin
			if name == "of a login, and no state" {
				if query.Get("state") != "" {
					continue // this is the valid redirect
				}
				want = "belongs to a different login"
			}
			var headers []string
			if name != "none" {
				headers = []string{"Cookie: login=" + value}
			}
			r := f.client(t).do(http.MethodGet, "/login/callback?"+query.Encode(), headers...).expect(t, http.StatusForbidden, want)
			if len(r.Cookies()) > 0 {
				t.Errorf("a cookie that is %s, and %v: the response sets %v, want no cookie", name, query, r.Cookies())
			}
		}
	}
	if n := p.Exchanges.Load(); n != 0 {
		t.Errorf("the provider got %d requests for tokens, want none", n)
	}
}

// A redirect of the provider logs in only the client that began the login, and only once.
func TestLoginFinishesOnceInTheSameClient(t *testing.T) {
	stores(t, func(t *testing.T, store string) {
		p := logintest.Start(t, redirect)
		f := newFleet(t, store, p.Issuer)
		c := f.client(t)
		address := c.begin()
		flow := c.Cookies()["login"]
		callback := p.LogIn(t, address, "ann")

		f.client(t).do(http.MethodGet, callback).expect(t, http.StatusForbidden, "has no login in progress")
		victim := f.client(t)
		victim.begin()
		victim.do(http.MethodGet, callback).expect(t, http.StatusForbidden, "belongs to a different login")
		if victim.Cookies()["login"] == "" {
			t.Error("the redirect of another login deleted the cookie, want it kept")
		}
		damaged := []byte(flow)
		if middle := &damaged[len(flow)/2]; *middle == 'A' {
			*middle = 'B'
		} else {
			*middle = 'A'
		}
		for name, cookie := range map[string]string{
			"damaged":    string(damaged),
			"truncated":  flow[:len(flow)/2],
			"made up":    base64.RawURLEncoding.EncodeToString([]byte(parse(t, callback).Query().Get("state"))),
			"of another": victim.Cookies()["login"],
		} {
			thief := f.client(t)
			thief.SetCookie("login", cookie)
			if r := thief.do(http.MethodGet, callback); r.StatusCode != http.StatusForbidden || thief.Cookies()["session"] != "" {
				t.Errorf("a cookie that is %s: status %s, want 403 and no session", name, r.Status)
			}
		}
		if n := p.Exchanges.Load(); n != 0 {
			t.Errorf("the provider got %d requests for tokens, want none", n)
		}

		c.do(http.MethodGet, callback).expect(t, http.StatusSeeOther, "")
		c.do(http.MethodGet, callback).expect(t, http.StatusForbidden, "has no login in progress")
		if got := c.user(); got != logintest.Ann {
			t.Errorf("logged in as %q", got)
		}
		for range f.servers { // also with the login's cookie
			thief := f.client(t)
			thief.SetCookie("login", flow)
			thief.do(http.MethodGet, callback).expect(t, http.StatusForbidden, "refused the login&#39;s code")
			if got := thief.user(); got != "" {
				t.Errorf("a used code logged in %q, want nobody", got)
			}
		}
	})
}
