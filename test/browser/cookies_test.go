package browser

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/security"

	"stateless-servers/app/config"
	"stateless-servers/lab/fleet"
	"stateless-servers/session/sessiontest/must"
	"stateless-servers/session/sessiontest/process"
)

// cookieFaults returns the ways in which the session cookie in the browser lacks its promised attributes.
func cookieFaults(cookies []*network.Cookie, tls bool) (list []string) {
	name := "session"
	if tls {
		name = "__Host-session"
	}
	i := slices.IndexFunc(cookies, func(c *network.Cookie) bool { return c.Name == name })
	if i < 0 {
		return []string{"no cookie is called " + name}
	}
	c := cookies[i]
	if !c.HTTPOnly {
		list = append(list, "scripts can read it")
	}
	if c.SameSite != network.CookieSameSiteLax {
		list = append(list, fmt.Sprintf("SameSite is %q", c.SameSite))
	}
	if c.Secure != tls {
		list = append(list, fmt.Sprintf("Secure is %t", c.Secure))
	}
	if c.Path != "/" || strings.HasPrefix(c.Domain, ".") {
		list = append(list, "sent to other hosts or paths: "+c.Domain+c.Path)
	}
	return list
}

func (b *tab) cookies() []*network.Cookie {
	b.t.Helper()
	return call(b, network.GetCookies, network.GetCookiesParams{}).Cookies
}

// serveApp runs a server of the application, with sessions in its memory, until the test ends.
func serveApp(t *testing.T) *url.URL {
	t.Helper()
	program := must.Get(fleet.Build(t.Context()))(t)
	c := config.Default()
	c.ServerName, c.Addr, c.AdminAddr = "server-1", "127.0.0.1:0", "127.0.0.1:0"
	p := must.Get(process.Start(process.Command{Name: "server-1", Path: program, Env: c.Environment()}))(t)
	t.Cleanup(p.Kill)
	return &url.URL{Scheme: "http", Host: awaitOutput(t, p, serverAddress)}
}

// Over HTTPS, as behind a load balancer with a certificate, the cookie is bound to its host and to TLS.
func TestCookieOverTLS(t *testing.T) {
	terminator := httptest.NewTLSServer(httputil.NewSingleHostReverseProxy(serveApp(t)))
	t.Cleanup(terminator.Close)
	b := newTab(t)
	call(b, security.SetIgnoreCertificateErrors, security.SetIgnoreCertificateErrorsParams{Ignore: true})
	b.open(terminator.URL)
	b.enter("#user", "Ada")
	b.click("form[action='/login'] button")
	b.shows(".who", "Logged in as Ada")
	for _, fault := range cookieFaults(b.cookies(), true) {
		t.Error("the session cookie: " + fault)
	}
	checkSecure := func(when string) {
		t.Helper()
		for _, c := range b.cookies() {
			if !c.Secure {
				t.Errorf("%s, the cookie %s isn't Secure", when, c.Name)
			}
		}
	}
	checkSecure("after the page")
	b.click("#visit-form button")
	b.shows("#visits", "1")
	checkSecure("after the script")
	if readable := evaluate[string](b, "document.cookie"); strings.Contains(readable, "session") {
		t.Errorf("scripts can read %q", readable)
	}
	b.checkProblems()

	b.click("form[action='/logout'] button")
	b.shows("#no-session", "You have no session yet")
	if slices.ContainsFunc(b.cookies(), func(c *network.Cookie) bool { return strings.Contains(c.Name, "session") }) {
		t.Error("the session cookie exists after the logout")
	}
}

func cookieOverPlainHTTP(t *testing.T, l *runningLab) {
	b := newTab(t)
	b.open(l.url)
	b.click("#visit-form button")
	b.shows("#visits", "1")
	for _, fault := range cookieFaults(b.cookies(), false) {
		t.Error("the session cookie: " + fault)
	}
	b.checkProblems()
}

// cookieFaults finds each missing attribute of a cookie.
func TestCookieFaults(t *testing.T) {
	for setCookie, finds := range map[string]string{
		"session=a; Path=/; HttpOnly; SameSite=Lax":        "",
		"session=a; Path=/; SameSite=Lax":                  "scripts can read it",
		"session=a; Path=/; HttpOnly; SameSite=Strict":     `SameSite is "Strict"`,
		"session=a; Path=/; HttpOnly":                      `SameSite is ""`,
		"session=a; Path=/api; HttpOnly; SameSite=Lax":     "sent to other hosts or paths: 127.0.0.1/api",
		"other=a; Path=/; HttpOnly; SameSite=Lax":          "no cookie is called session",
		"__Host-session=a; Path=/; HttpOnly; SameSite=Lax": "no cookie is called session", // not without Secure
	} {
		t.Run(setCookie, func(t *testing.T) {
			site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Set-Cookie", setCookie) }))
			defer site.Close()
			b := newTab(t)
			b.open(site.URL + "/api/")
			if found := strings.Join(cookieFaults(b.cookies(), false), "; "); (finds == "") != (found == "") || !strings.Contains(found, finds) {
				t.Errorf("found %q, want %q", found, finds)
			}
			if len(cookieFaults(b.cookies(), true)) == 0 {
				t.Error("no fault as a cookie over TLS, want one")
			}
		})
	}
}
