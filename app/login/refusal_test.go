package login_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"stateless-servers/app/login/logintest"
)

// Nothing that is wrong logs anybody in, whatever is wrong.
func TestNothingElseLogsIn(t *testing.T) {
	set := func(name string, value any) func(*logintest.Provider) {
		return func(p *logintest.Provider) { p.Claims = func(claims map[string]any) { claims[name] = value } }
	}
	answer := func(name, value string) func(*logintest.Provider) {
		return func(p *logintest.Provider) { p.Answer = func(query url.Values) { query.Set(name, value) } }
	}
	token := func(change func(head, claims, signature string) string) func(*logintest.Provider) {
		return func(p *logintest.Provider) {
			p.Token = func(token string) string {
				parts := strings.Split(token, ".")
				return change(parts[0], parts[1], parts[2])
			}
		}
	}
	encoded := base64.RawURLEncoding.EncodeToString
	const unacceptable = "can&#39;t be accepted"
	tests := []struct {
		name  string
		wrong func(*logintest.Provider)
		text  string // that the visitor is told
		log   string // that the operator is told
	}{
		{"another state", answer("state", "AAAAAAAAAAAAAAAAAAAAAAAAAA"), "not the answer to the login", ""},
		{"no state", answer("state", ""), "not the answer to the login", ""},
		{"another issuer in the answer", answer("iss", "https://other.example"), unacceptable, "https://other.example"},
		{"no issuer in the answer of a provider that sends it", func(p *logintest.Provider) {
			p.SendsIssuer = true
			p.Answer = func(query url.Values) { query.Del("iss") }
		}, unacceptable, "names no issuer"},
		{"an error in place of a code", answer("error", "access_denied"), "access_denied", ""},
		{"an invented code", answer("code", "invented"), "accept its code", "invalid_grant"},
		{"no code", answer("code", ""), "accept its code", "invalid_request"},
		{"another nonce", set("nonce", "AAAAAAAAAAAAAAAAAAAAAAAAAA"), unacceptable, "nonce"},
		{"no nonce", func(p *logintest.Provider) {
			p.Claims = func(claims map[string]any) { delete(claims, "nonce") }
		}, unacceptable, "nonce"},
		{"another audience", set("aud", "other"), unacceptable, "expected audience"},
		{"another party", set("azp", "other"), unacceptable, "issued to"},
		{"several audiences and no party", func(p *logintest.Provider) {
			p.Claims = func(claims map[string]any) {
				claims["aud"] = []string{logintest.ClientID, "other"}
				delete(claims, "azp")
			}
		}, unacceptable, "issued to"},
		{"another issuer", set("iss", "https://other.example"), unacceptable, "different provider"},
		{"expired", set("exp", time.Now().Add(-time.Minute).Unix()), unacceptable, "expired"},
		{"not yet valid", set("nbf", time.Now().Add(time.Hour).Unix()), unacceptable, "before the nbf"},
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
			p.Claims = func(map[string]any) {}
			p.Token = func(token string) string {
				var claims map[string]any
				plain, _ := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
				json.Unmarshal(plain, &claims)
				return other.Sign(claims)
			}
		}, unacceptable, "verify signature"},
		{"no token", token(func(_, _, _ string) string { return "" }), unacceptable, "malformed jwt"},
	}
	p := logintest.Start(t, redirect)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p.Claims, p.Token, p.Answer, p.SendsIssuer = nil, nil, nil, false
			test.wrong(p)
			f := newFleet(t, "token", p.Issuer)
			v := f.visitor(t)
			callback := p.LogIn(t, v.begin(), "ann")
			a := v.do(http.MethodGet, callback).expect(t, http.StatusForbidden, test.text)
			if a.Header.Get("Content-Type") != "text/html; charset=utf-8" || a.Header.Get("Location") != "" {
				t.Errorf("it is no page: %v", a.Header)
			}
			if got := v.user(); got != "" {
				t.Errorf("logged in as %q", got)
			}
			for name, values := range parse(t, callback).Query() {
				if len(values[0]) > 20 && strings.Contains(f.log.String()+a.body, values[0]) && name != "iss" {
					t.Errorf("%s is told: %s\n%s", name, f.log, a.body)
				}
			}
			if got := f.log.String(); !strings.Contains(got, test.log) || (got == "") != (test.log == "") {
				t.Errorf("the log lacks %q: %s", test.log, got)
			}
		})
	}
}

// An answer of the provider's logs in the browser that asked, once.
func TestALoginIsFinishedOnceAndWhereItBegan(t *testing.T) {
	stores(t, func(t *testing.T, store string) {
		p := logintest.Start(t, redirect)
		f := newFleet(t, store, p.Issuer)
		v := f.visitor(t)
		address := v.begin()
		flow := v.cookies["login"]
		callback := p.LogIn(t, address, "ann")

		f.visitor(t).do(http.MethodGet, callback).expect(t, http.StatusForbidden, "No login is under way")
		victim := f.visitor(t)
		victim.begin()
		victim.do(http.MethodGet, callback).expect(t, http.StatusForbidden, "not the answer to the login")
		if victim.cookies["login"] == "" {
			t.Error("somebody else's answer ended a login")
		}
		for name, cookie := range map[string]string{
			"damaged":    flow[:len(flow)-2] + "AA",
			"truncated":  flow[:len(flow)/2],
			"made up":    base64.RawURLEncoding.EncodeToString([]byte(parse(t, callback).Query().Get("state"))),
			"of another": victim.cookies["login"],
		} {
			thief := f.visitor(t)
			thief.cookies["login"] = cookie
			if a := thief.do(http.MethodGet, callback); a.StatusCode != http.StatusForbidden || thief.cookies["session"] != "" {
				t.Errorf("a cookie that is %s: %s", name, a.Status)
			}
		}
		if n := p.Exchanges.Load(); n != 0 {
			t.Errorf("the provider was asked for %d tokens", n)
		}

		v.do(http.MethodGet, callback).expect(t, http.StatusSeeOther, "")
		v.do(http.MethodGet, callback).expect(t, http.StatusForbidden, "No login is under way")
		if got := v.user(); got != logintest.Ann {
			t.Errorf("logged in as %q", got)
		}
		for range f.servers { // with the cookie that was there, too
			thief := f.visitor(t)
			thief.cookies["login"] = flow
			thief.do(http.MethodGet, callback).expect(t, http.StatusForbidden, "accept its code")
			if got := thief.user(); got != "" {
				t.Errorf("a code that was used logged in %q", got)
			}
		}
	})
}
