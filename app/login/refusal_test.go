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
)

// A refusal is a login that goes wrong, for which the server is to answer 403.
type refusal struct {
	name  string
	wrong func(*logintest.Provider)
	text  string // that the visitor is told
	log   string // that the operator is told; "" for nothing
}

// Nothing that is wrong logs anybody in, whatever is wrong.
func TestNothingElseLogsIn(t *testing.T) {
	set := func(name string, value any) func(*logintest.Provider) {
		return func(p *logintest.Provider) { p.EditClaims = func(claims map[string]any) { claims[name] = value } }
	}
	answer := func(name, value string) func(*logintest.Provider) {
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
		t.Errorf("what was meant for the provider went to %s, with the code %q", r.Host, r.FormValue("code"))
	}))
	defer thief.Close()
	const unacceptable = "can&#39;t be accepted"
	tests := []refusal{
		{"another state", answer("state", "AAAAAAAAAAAAAAAAAAAAAAAAAA"), "not the answer to the login", ""},
		{"no state", answer("state", ""), "not the answer to the login", ""},
		{"another issuer in the answer", answer("iss", "https://other.example"), unacceptable, "https://other.example"},
		{"no issuer in the answer of a provider that sends it", func(p *logintest.Provider) {
			p.SendsIssuer = true
			p.EditRedirect = func(query url.Values) { query.Del("iss") }
		}, unacceptable, "names no issuer"},
		{"an error in place of a code", answer("error", "access_denied"), "access_denied", ""},
		{"an invented code", answer("code", "invented"), "accept its code", "invalid_grant"},
		{"no code", answer("code", ""), "accept its code", "invalid_request"},
		{"another nonce", set("nonce", "AAAAAAAAAAAAAAAAAAAAAAAAAA"), unacceptable, "nonce"},
		{"no nonce", func(p *logintest.Provider) {
			p.EditClaims = func(claims map[string]any) { delete(claims, "nonce") }
		}, unacceptable, "nonce"},
		{"another audience", set("aud", "other"), unacceptable, "expected audience"},
		{"another party", set("azp", "other"), unacceptable, "issued to"},
		{"several audiences and no party", func(p *logintest.Provider) {
			p.EditClaims = func(claims map[string]any) {
				claims["aud"] = []string{logintest.ClientID, "other"}
				delete(claims, "azp")
			}
		}, unacceptable, "issued to"},
		{"another issuer", set("iss", "https://other.example"), unacceptable, "different provider"},
		{"no subject", set("sub", ""), unacceptable, "subject"},
		{"a long subject", set("sub", strings.Repeat("a", 256)), unacceptable, "subject"},
		{"unsigned", token(func(_, claims, _ string) string {
			return encoded([]byte(`{"alg":"none"}`)) + "." + claims + "."
		}), unacceptable, "unexpected signature algorithm"},
		{"signed with what is public", token(func(_, claims, signature string) string {
			return encoded([]byte(`{"alg":"HS256"}`)) + "." + claims + "." + signature
		}), unacceptable, "unexpected signature algorithm"},
		{"changed after it was signed", token(func(head, claims, signature string) string {
			plain, _ := base64.RawURLEncoding.DecodeString(claims)
			return head + "." + encoded([]byte(strings.Replace(string(plain), "ann", "bob", 1))) + "." + signature
		}), unacceptable, "verify signature"},
		{"signed by somebody else", func(p *logintest.Provider) {
			other := logintest.Start(t, redirect)
			p.EditClaims = func(map[string]any) {}
			p.EditToken = func(token string) string {
				var claims map[string]any
				plain, _ := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
				json.Unmarshal(plain, &claims)
				return other.Sign(claims)
			}
		}, unacceptable, "verify signature"},
		{"an answer that repeats what was sent", func(p *logintest.Provider) {
			p.Handle(logintest.ExchangePath, func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(http.StatusBadRequest)
				r.Write(w)
				io.WriteString(w, r.FormValue("code"))
			})
		}, "accept its code", "400 Bad Request"},
		{"a redirect to where secrets are stolen", func(p *logintest.Provider) {
			p.Handle(logintest.ExchangePath, http.RedirectHandler(thief.URL, http.StatusTemporaryRedirect).ServeHTTP)
		}, "accept its code", "307 Temporary Redirect"},
		{"no token", token(func(_, _, _ string) string { return "" }), unacceptable, "malformed jwt"},
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
				t.Errorf("it is no page: %v", r.Header)
			}
			if got := c.user(); got != "" {
				t.Errorf("logged in as %q", got)
			}
			for name, values := range parse(t, callback).Query() {
				if len(values[0]) > 20 && strings.Contains(f.log.String()+r.Body, values[0]) && name != "iss" {
					t.Errorf("%s is told: %s\n%s", name, f.log, r.Body)
				}
			}
			for part := range strings.SplitSeq(idToken, ".") {
				if len(part) > 40 && strings.Contains(f.log.String()+r.Body, part) {
					t.Errorf("the token is told: %s\n%s", f.log, r.Body)
				}
			}
			if got := f.log.String(); !strings.Contains(got, test.log) || (got == "") != (test.log == "") || len(got) > 2000 {
				t.Errorf("the log lacks %q, or has too much: %d bytes, %.2000s", test.log, len(got), got)
			}
			if strings.Contains(f.log.String()+r.Body, planted) {
				t.Errorf("a text of the attacker's is told: %.2000s\n%s", f.log, r.Body)
			}
		})
	}
}

// Where no login is under way, no answer finishes one: what is missing doesn't match what is missing, and nothing opens
// that was sealed for another cookie, or too long ago.
func TestNoLoginIsUnderWay(t *testing.T) {
	p := logintest.Start(t, redirect)
	f := newFleet(t, "token", p.Issuer)
	query := parse(t, p.LogIn(t, f.client(t).begin(), "ann")).Query()
	seal := func(name string, expires time.Time, state, nonce, verifier string) string {
		t.Helper()
		codec, err := cookie.New(sealingtest.Keys(t, "a"), name)
		if err != nil {
			t.Fatal(err)
		}
		values := map[string]string{"state": state, "nonce": nonce, "verifier": verifier}
		maps.DeleteFunc(values, func(_, value string) bool { return value == "" })
		value, err := codec.Encode(session.ID{}, session.Record{
			Values: values, Created: expires.Add(-login.Lifetime), Expires: expires, IdleExpires: expires,
		})
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
	later, state := time.Now().Add(login.Lifetime), query.Get("state")
	const underWay = "No login is under way"
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
		for _, answer := range []url.Values{
			{"code": query["code"]}, {"code": query["code"], "state": {""}}, {"code": query["code"], "state": {state}}, {},
		} {
			want := underWay
			if name == "of a login, and no state" {
				if answer.Get("state") != "" {
					continue // that would be the answer
				}
				want = "not the answer to the login"
			}
			var headers []string
			if name != "none" {
				headers = []string{"Cookie: login=" + value}
			}
			r := f.client(t).do(http.MethodGet, "/login/callback?"+answer.Encode(), headers...).expect(t, http.StatusForbidden, want)
			if len(r.Cookies()) > 0 {
				t.Errorf("a cookie that is %s, and %v: it sets %v", name, answer, r.Cookies())
			}
		}
	}
	if n := p.Exchanges.Load(); n != 0 {
		t.Errorf("the provider was asked for %d tokens", n)
	}
}

// An answer of the provider's logs in the browser that asked, once.
func TestALoginIsFinishedOnceAndWhereItBegan(t *testing.T) {
	stores(t, func(t *testing.T, store string) {
		p := logintest.Start(t, redirect)
		f := newFleet(t, store, p.Issuer)
		c := f.client(t)
		address := c.begin()
		flow := c.Cookies()["login"]
		callback := p.LogIn(t, address, "ann")

		f.client(t).do(http.MethodGet, callback).expect(t, http.StatusForbidden, "No login is under way")
		victim := f.client(t)
		victim.begin()
		victim.do(http.MethodGet, callback).expect(t, http.StatusForbidden, "not the answer to the login")
		if victim.Cookies()["login"] == "" {
			t.Error("somebody else's answer ended a login")
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
				t.Errorf("a cookie that is %s: %s", name, r.Status)
			}
		}
		if n := p.Exchanges.Load(); n != 0 {
			t.Errorf("the provider was asked for %d tokens", n)
		}

		c.do(http.MethodGet, callback).expect(t, http.StatusSeeOther, "")
		c.do(http.MethodGet, callback).expect(t, http.StatusForbidden, "No login is under way")
		if got := c.user(); got != logintest.Ann {
			t.Errorf("logged in as %q", got)
		}
		for range f.servers { // with the cookie that was there, too
			thief := f.client(t)
			thief.SetCookie("login", flow)
			thief.do(http.MethodGet, callback).expect(t, http.StatusForbidden, "accept its code")
			if got := thief.user(); got != "" {
				t.Errorf("a code that was used logged in %q", got)
			}
		}
	})
}
