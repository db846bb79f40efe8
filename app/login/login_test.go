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
)

// Each request of a login goes to another server than the one before.
func TestLoginOverServers(t *testing.T) {
	stores(t, func(t *testing.T, store string) {
		p := logintest.Start(t, redirect)
		f := newFleet(t, store, p.Issuer)
		for range 2 { // with the one server first, then with the other
			f.next++
			p.SendsIssuer = f.next > 1
			c := f.client(t)
			address := c.begin()
			query := parse(t, address).Query()
			if !strings.HasPrefix(address, p.Issuer+"/") || query.Get("code_challenge_method") != "S256" ||
				query.Get("response_type") != "code" || query.Get("redirect_uri") != redirect {
				t.Errorf("a login leads to %s", address)
			}
			for _, secret := range []string{"state", "nonce", "code_challenge"} {
				if len(query.Get(secret)) < 22 { // 128 bits in base64
					t.Errorf("%s is %q", secret, query.Get(secret))
				}
			}
			if _, ok := c.Cookies()["session"]; ok {
				t.Error("a login that was only begun made a session")
			}
			r := c.do(http.MethodGet, p.LogIn(t, address, "ann")).expect(t, http.StatusSeeOther, "")
			if got := r.Header.Get("Location"); got != "/" {
				t.Errorf("it leads to %q", got)
			}
			if _, ok := c.Cookies()["login"]; ok {
				t.Error("the login's cookie is still there")
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

// Nobody gets in by the name that they claim.
func TestAClaimedNameIsNotBelieved(t *testing.T) {
	p := logintest.Start(t, redirect)
	c := newFleet(t, "memory", p.Issuer).client(t)
	r := c.do(http.MethodPost, "/login?user="+logintest.Ann).expect(t, http.StatusSeeOther, "")
	if got := parse(t, r.Header.Get("Location")).Host; got != parse(t, p.Issuer).Host {
		t.Errorf("it leads to %q", got)
	}
	if got := c.user(); got != "" {
		t.Errorf("logged in as %q", got)
	}
	c.do(http.MethodGet, "/login").expect(t, http.StatusMethodNotAllowed, "")
	c.do(http.MethodPost, "/login", "Sec-Fetch-Site: cross-site").expect(t, http.StatusForbidden, "another site")
}

// What an address asks for is not where a login leads.
func TestNoOpenRedirect(t *testing.T) {
	p := logintest.Start(t, redirect)
	f := newFleet(t, "memory", p.Issuer)
	const evil = "https://evil.example"
	for _, more := range []string{"&next=" + evil, "&redirect_uri=" + evil, "&return_to=//evil.example"} {
		c := f.client(t)
		r := c.do(http.MethodPost, "/login?"+more[1:], "Host: evil.example").expect(t, http.StatusSeeOther, "")
		if got := parse(t, r.Header.Get("Location")).Query().Get("redirect_uri"); got != redirect {
			t.Errorf("the provider is to lead to %q", got)
		}
		r = c.do(http.MethodGet, p.LogIn(t, r.Header.Get("Location"), "ann")+more).expect(t, http.StatusSeeOther, "")
		if got := r.Header.Get("Location"); got != "/" {
			t.Errorf("it leads to %q", got)
		}
		r = c.do(http.MethodPost, "/logout?post_logout_redirect_uri="+evil+"&logout_uri="+evil+more, "Host: evil.example",
			"X-Forwarded-Host: evil.example").expect(t, http.StatusSeeOther, "")
		if got := r.Header.Get("Location"); !strings.HasPrefix(got, p.Issuer+"/") || strings.Contains(got, "evil") {
			t.Errorf("logout leads to %q", got)
		}
	}
}

// What was in a session goes with whoever logs in, unless it was somebody else's. The id is new each time.
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
			t.Errorf("the session before the login is %q's", got)
		}
	}
	if got := c.user(); got != logintest.Bob {
		t.Errorf("logged in as %q", got)
	}
}

func TestLogoutLeadsToTheProvider(t *testing.T) {
	stores(t, func(t *testing.T, store string) {
		p := logintest.Start(t, redirect)
		c := newFleet(t, store, p.Issuer).client(t)
		c.do(http.MethodPost, "/logout").expect(t, http.StatusOK, "") // of nobody
		c.do(http.MethodGet, p.LogIn(t, c.begin(), "ann")).expect(t, http.StatusSeeOther, "")
		address := c.do(http.MethodPost, "/logout").expect(t, http.StatusSeeOther, "").Header.Get("Location")
		if c.Cookies()["session"] != "" || c.user() != "" {
			t.Error("the session is still there")
		}
		response, err := http.DefaultTransport.RoundTrip(httptest.NewRequest(http.MethodGet, address, nil))
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if got := response.Header.Get("Location"); got != "http://lab.example/" {
			t.Errorf("the provider leads back to %q: %s", got, response.Status)
		}
	})
}

// Browsers hold redirects after a form to form-action, which names no provider.
func TestFormsAreLedByAPage(t *testing.T) {
	p := logintest.Start(t, redirect)
	c := newFleet(t, "memory", p.Issuer).client(t)
	r := c.do(http.MethodPost, "/login", "Accept: text/html").expect(t, http.StatusOK, "Going on to the login provider")
	address, ok := strings.CutPrefix(r.Header.Get("Refresh"), "0; url=")
	if !ok || !strings.HasPrefix(address, p.Issuer) {
		t.Fatalf("Refresh is %q", r.Header.Get("Refresh"))
	}
	if got := r.Header.Get("Content-Security-Policy"); !strings.Contains(got, "form-action 'self';") {
		t.Errorf("the policy is %q", got)
	}
	c.do(http.MethodGet, p.LogIn(t, address, "ann")).expect(t, http.StatusSeeOther, "")
	if got := c.user(); got != logintest.Ann {
		t.Errorf("logged in as %q", got)
	}
}

// A provider that is down holds up logins alone, and only while it is down.
func TestAProviderThatIsDownHoldsUpLoginAlone(t *testing.T) {
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
			t.Error("there is no Retry-After")
		}
	}
	down(c.do(http.MethodPost, "/login"))

	p.SetDown(false)
	for range f.servers { // each learns what the provider is
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
	f.client(t).begin() // leads to where the provider was last
	if got := c.user(); got != logintest.Ann {
		t.Errorf("logged in as %q", got)
	}
	c.do(http.MethodPost, "/logout")
	if got := c.user(); got != "" {
		t.Errorf("still logged in as %q", got)
	}
}

// A client that has a secret logs nobody in without it.
func TestClientSecret(t *testing.T) {
	p := logintest.Start(t, redirect)
	for secret, want := range map[string]string{logintest.ClientSecret: logintest.Ann, "another": "", "": ""} {
		client, err := login.New(login.Options{
			Issuer: p.Issuer, ClientID: logintest.SecretClientID, ClientSecret: secret, RedirectURL: redirect,
			Keys: sealingtest.Keys(t, "a"), PlainHTTP: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		address, err := client.Begin(w, httptest.NewRequest(http.MethodPost, "/login", nil))
		if err != nil {
			t.Fatal(err)
		}
		request := httptest.NewRequest(http.MethodGet, p.LogIn(t, address, "ann"), nil)
		request.AddCookie(w.Result().Cookies()[0])
		subject, _, err := client.Finish(httptest.NewRecorder(), request)
		if subject != want || (err == nil) != (want != "") {
			t.Errorf("with the secret %q: %q, %v", secret, subject, err)
		}
		if err != nil && (strings.Contains(address, "another") || strings.Contains(err.Error(), "another")) {
			t.Errorf("the secret is told: %s, %v", address, err)
		}
	}
}

func TestKeysOfTheProviderRotate(t *testing.T) {
	p := logintest.Start(t, redirect)
	f := newFleet(t, "token", p.Issuer)
	for range 3 {
		for range f.servers {
			c := f.client(t)
			c.do(http.MethodGet, p.LogIn(t, c.begin(), "ann")).expect(t, http.StatusSeeOther, "")
			f.next++ // the other one finishes next time
		}
		p.RotateKey()
	}
}

func TestTheCookieOfALogin(t *testing.T) {
	p := logintest.Start(t, redirect)
	client, err := login.New(login.Options{
		Issuer: p.Issuer, ClientID: logintest.ClientID, RedirectURL: redirect, Keys: sealingtest.Keys(t, "a"),
	})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	address, err := client.Begin(w, httptest.NewRequest(http.MethodPost, "/login", nil))
	if err != nil {
		t.Fatal(err)
	}
	cookie := w.Result().Cookies()[0]
	if cookie.Name != "__Host-login" || !cookie.Secure || !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode ||
		cookie.Path != "/" || cookie.Domain != "" || cookie.MaxAge != int(login.Lifetime/time.Second) {
		t.Errorf("the cookie is %v", cookie)
	}
	query := parse(t, address).Query()
	for _, secret := range []string{"state", "nonce", "code_challenge"} { // shorter ones are in the ciphertext by chance
		if strings.Contains(cookie.Value, query.Get(secret)) {
			t.Errorf("the cookie shows %s", secret)
		}
	}
}
