package login_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"stateless-servers/app/login"
	"stateless-servers/app/login/logintest"
	"stateless-servers/session/sealing/sealingtest"
	"stateless-servers/session/sessiontest/must"
)

// The requests of a login go to the servers in turn.
func TestLoginAcrossServers(t *testing.T) {
	stores(t, func(t *testing.T, store string) {
		p := logintest.Start(t, redirect)
		f := newFleet(t, store, p.Issuer)
		for range 2 { // beginning at either server
			f.next++
			p.SendsIssuer = f.next > 1
			c := f.client(t)
			address := c.begin()
			query := parse(t, address).Query()
			if !strings.HasPrefix(address, p.Issuer+"/") || query.Get("code_challenge_method") != "S256" ||
				query.Get("response_type") != "code" || query.Get("redirect_uri") != redirect {
				t.Errorf("a login redirects to %s, want the provider with an authorization code request", address)
			}
			for _, secret := range []string{"state", "nonce", "code_challenge"} {
				if len(query.Get(secret)) < 22 { // 128 bits in base64
					t.Errorf("%s is %q, want at least 128 bits", secret, query.Get(secret))
				}
			}
			if _, ok := c.Cookies()["session"]; ok {
				t.Error("the begin of a login created a session, want none")
			}
			r := c.do(http.MethodGet, p.LogIn(t, address, "ann")).expect(t, http.StatusSeeOther, "")
			if got := r.Header.Get("Location"); got != "/" {
				t.Errorf("a finished login redirects to %q, want /", got)
			}
			if _, ok := c.Cookies()["login"]; ok {
				t.Error("the login's cookie is kept after the login, want it deleted")
			}
			for range f.servers {
				if got := c.user(); got != logintest.Ann {
					t.Errorf("logged in as %q", got)
				}
			}
			c.do(http.MethodGet, "/").expect(t, http.StatusOK, "Logged in as <b>ann</b>")
		}
	})
}

// A user name in the request doesn't log anybody in.
func TestUserParameterIsIgnored(t *testing.T) {
	p := logintest.Start(t, redirect)
	c := newFleet(t, "memory", p.Issuer).client(t)
	r := c.do(http.MethodPost, "/login?user="+logintest.Ann).expect(t, http.StatusSeeOther, "")
	if got := parse(t, r.Header.Get("Location")).Host; got != parse(t, p.Issuer).Host {
		t.Errorf("it redirects to %q, want the provider", got)
	}
	if got := c.user(); got != "" {
		t.Errorf("logged in as %q", got)
	}
	c.do(http.MethodGet, "/login").expect(t, http.StatusMethodNotAllowed, "")
	c.do(http.MethodPost, "/login", "Sec-Fetch-Site: cross-site").expect(t, http.StatusForbidden, "another site")
}

// Parameters and headers of a request don't change where a login or a logout redirects.
func TestNoOpenRedirect(t *testing.T) {
	p := logintest.Start(t, redirect)
	f := newFleet(t, "memory", p.Issuer)
	const evil = "https://evil.example"
	for _, more := range []string{"&next=" + evil, "&redirect_uri=" + evil, "&return_to=//evil.example"} {
		c := f.client(t)
		r := c.do(http.MethodPost, "/login?"+more[1:], "Host: evil.example").expect(t, http.StatusSeeOther, "")
		if got := parse(t, r.Header.Get("Location")).Query().Get("redirect_uri"); got != redirect {
			t.Errorf("redirect_uri is %q, want %q", got, redirect)
		}
		r = c.do(http.MethodGet, p.LogIn(t, r.Header.Get("Location"), "ann")+more).expect(t, http.StatusSeeOther, "")
		if got := r.Header.Get("Location"); got != "/" {
			t.Errorf("the login redirects to %q, want /", got)
		}
		r = c.do(http.MethodPost, "/logout?post_logout_redirect_uri="+evil+"&logout_uri="+evil+more, "Host: evil.example",
			"X-Forwarded-Host: evil.example").expect(t, http.StatusSeeOther, "")
		if got := r.Header.Get("Location"); !strings.HasPrefix(got, p.Issuer+"/") || strings.Contains(got, "evil") {
			t.Errorf("the logout redirects to %q, want the provider", got)
		}
	}
}

// A login keeps the contents of the session, unless another user was logged in. The session id changes each time.
func TestLoginRenewsTheSession(t *testing.T) {
	p := logintest.Start(t, redirect)
	c := newFleet(t, "memory", p.Issuer).client(t)
	visits := func(n int) {
		t.Helper()
		c.do(http.MethodGet, "/api/session").expect(t, http.StatusOK, fmt.Sprintf(`"visits":%d,`, n))
	}
	c.do(http.MethodPost, "/api/visits").expect(t, http.StatusOK, "")
	for _, login := range []struct {
		user   string
		visits int
	}{{"ann", 1}, {"ann", 1}, {"bob", 0}} {
		before := c.Cookies()["session"]
		c.do(http.MethodGet, p.LogIn(t, c.begin(), login.user)).expect(t, http.StatusSeeOther, "")
		visits(login.visits)
		if c.Cookies()["session"] == before {
			t.Error("the session id is the same after login")
		}
		thief := c.fleet.client(t)
		thief.SetCookie("session", before)
		if got := thief.user(); got != "" {
			t.Errorf("the session id from before the login is logged in as %q, want nobody", got)
		}
	}
	if got := c.user(); got != logintest.Bob {
		t.Errorf("logged in as %q", got)
	}
}

func TestLogoutRedirectsToTheProvider(t *testing.T) {
	stores(t, func(t *testing.T, store string) {
		p := logintest.Start(t, redirect)
		c := newFleet(t, store, p.Issuer).client(t)
		c.do(http.MethodPost, "/logout").expect(t, http.StatusOK, "") // no user is logged in
		c.do(http.MethodGet, p.LogIn(t, c.begin(), "ann")).expect(t, http.StatusSeeOther, "")
		address := c.do(http.MethodPost, "/logout").expect(t, http.StatusSeeOther, "").Header.Get("Location")
		if c.Cookies()["session"] != "" || c.user() != "" {
			t.Error("the session is alive after logout")
		}
		response := must.Get(http.DefaultTransport.RoundTrip(httptest.NewRequest(http.MethodGet, address, nil)))(t)
		response.Body.Close()
		if got := response.Header.Get("Location"); got != "http://lab.example/" {
			t.Errorf("the provider redirects to %q (%s), want http://lab.example/", got, response.Status)
		}
	})
}

// Browsers apply form-action to redirects after a form, and it doesn't list the provider. So a form gets a page that refreshes.
func TestFormsGetAPageThatRefreshes(t *testing.T) {
	p := logintest.Start(t, redirect)
	c := newFleet(t, "memory", p.Issuer).client(t)
	r := c.do(http.MethodPost, "/login", "Accept: text/html").expect(t, http.StatusOK, "Continue to the login provider")
	address, ok := strings.CutPrefix(r.Header.Get("Refresh"), "0; url=")
	if !ok || !strings.HasPrefix(address, p.Issuer) {
		t.Fatalf("Refresh is %q, want the provider's address", r.Header.Get("Refresh"))
	}
	if got := r.Header.Get("Content-Security-Policy"); !strings.Contains(got, "form-action 'self';") {
		t.Errorf("the policy is %q", got)
	}
	c.do(http.MethodGet, p.LogIn(t, address, "ann")).expect(t, http.StatusSeeOther, "")
	if got := c.user(); got != logintest.Ann {
		t.Errorf("logged in as %q", got)
	}
}

// An outage of the provider affects logins only.
func TestProviderOutageAffectsOnlyLogins(t *testing.T) {
	p := logintest.Start(t, redirect)
	p.SetDown(true)
	f := newFleet(t, "memory", p.Issuer)
	c := f.client(t)
	for _, path := range []string{"/", "/api/session", "/healthz", "/readyz"} {
		c.do(http.MethodGet, path).expect(t, http.StatusOK, "")
	}
	c.do(http.MethodPost, "/api/visits").expect(t, http.StatusOK, `"visits":1`)
	down := func(r response) {
		t.Helper()
		r.expect(t, http.StatusServiceUnavailable, "The login provider doesn&#39;t answer")
		if r.Header.Get("Retry-After") == "" {
			t.Error("the response lacks Retry-After")
		}
	}
	down(c.do(http.MethodPost, "/login"))

	p.SetDown(false)
	for range f.servers { // each gets the provider's configuration
		f.client(t).begin()
	}
	callback := p.LogIn(t, c.begin(), "ann")
	p.SetDown(true)
	down(c.do(http.MethodGet, callback)) // for a token
	p.SetDown(false)
	p.EditToken = func(token string) string { p.SetDown(true); return token }
	down(c.do(http.MethodGet, p.LogIn(t, c.begin(), "ann"))) // for the keys
	if got := c.user(); got != "" {
		t.Errorf("logged in as %q", got)
	}

	p.SetDown(false)
	p.EditToken = nil
	c.do(http.MethodGet, p.LogIn(t, c.begin(), "ann")).expect(t, http.StatusSeeOther, "")
	p.SetDown(true)
	f.client(t).begin() // uses the known configuration
	if got := c.user(); got != logintest.Ann {
		t.Errorf("logged in as %q", got)
	}
	c.do(http.MethodPost, "/logout")
	if got := c.user(); got != "" {
		t.Errorf("logged in as %q after logout, want nobody", got)
	}
}

// A client with a secret logs nobody in without it.
func TestClientSecret(t *testing.T) {
	p := logintest.Start(t, redirect)
	for secret, want := range map[string]string{logintest.ClientSecret: logintest.Ann, "another": "", "": ""} {
		client, err := login.New(login.Options{
			Issuer: p.Issuer, ClientID: logintest.SecretClientID, ClientSecret: secret, RedirectURL: redirect,
			Keys: sealingtest.Keys(t, "a"), PlainHTTP: true,
		})
		must.Succeed(t, err)
		w := httptest.NewRecorder()
		address, err := client.Begin(w, httptest.NewRequest(http.MethodPost, "/login", nil))
		must.Succeed(t, err)
		request := httptest.NewRequest(http.MethodGet, p.LogIn(t, address, "ann"), nil)
		request.AddCookie(w.Result().Cookies()[0])
		subject, _, err := client.Finish(httptest.NewRecorder(), request)
		if subject != want || (err == nil) != (want != "") {
			t.Errorf("with the secret %q: %q, %v", secret, subject, err)
		}
		if err != nil && (strings.Contains(address, "another") || strings.Contains(err.Error(), "another")) {
			t.Errorf("the address or the error contains the secret: %s, %v", address, err)
		}
	}
}

func TestProviderRotatesItsKeys(t *testing.T) {
	p := logintest.Start(t, redirect)
	f := newFleet(t, "token", p.Issuer)
	for range 3 {
		for range f.servers {
			c := f.client(t)
			c.do(http.MethodGet, p.LogIn(t, c.begin(), "ann")).expect(t, http.StatusSeeOther, "")
			f.next++ // next time the other server finishes
		}
		p.RotateKey()
	}
}

func TestLoginCookie(t *testing.T) {
	p := logintest.Start(t, redirect)
	client, err := login.New(login.Options{
		Issuer: p.Issuer, ClientID: logintest.ClientID, RedirectURL: redirect, Keys: sealingtest.Keys(t, "a"),
	})
	must.Succeed(t, err)
	w := httptest.NewRecorder()
	address, err := client.Begin(w, httptest.NewRequest(http.MethodPost, "/login", nil))
	must.Succeed(t, err)
	cookie := w.Result().Cookies()[0]
	if cookie.Name != "__Host-login" || !cookie.Secure || !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode ||
		cookie.Path != "/" || cookie.Domain != "" || cookie.MaxAge != int(login.Lifetime/time.Second) {
		t.Errorf("the cookie is %v", cookie)
	}
	query := parse(t, address).Query()
	for _, secret := range []string{"state", "nonce", "code_challenge"} { // shorter values could be in the ciphertext by chance
		if strings.Contains(cookie.Value, query.Get(secret)) {
			t.Errorf("the cookie contains %s in plain text", secret)
		}
	}
}
