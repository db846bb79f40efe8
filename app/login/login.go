// Package login logs visitors in at an OpenID Connect provider, so that the application stores no passwords. It implements
// the authorization code flow (RFC 6749, 4.1; OpenID Connect Core 1.0, 3.1) with PKCE (RFC 7636). Client is the entry point:
// Begin redirects a visitor to the provider, Finish handles the redirect back, and LogoutURL is for logouts.
//
// One server may begin a login and another finish it. The visitor's browser holds the state of the login in between (state,
// nonce and code verifier) in a cookie, encrypted as in package cookie and valid for Lifetime. A login needs no session, so
// it works the same with every session store, even with one that can't store anything before login.
//
// Only logins wait for the provider. While it is down, servers start, sessions work, and so does logout.
package login

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"

	"stateless-servers/session"
	"stateless-servers/session/cookie"
	"stateless-servers/session/sealing"
)

// Lifetime bounds the time that a visitor may spend at the provider. It is enough to reset a password and to enter a second
// factor.
const Lifetime = 10 * time.Minute

// timeout bounds how long one request waits for the provider, including all attempts.
const timeout = 5 * time.Second

// Options configure a Client. All but ClientSecret and PlainHTTP are required.
type Options struct {
	// Issuer is the provider's issuer identifier, exactly as in its configuration: an https:// address. The configuration is
	// at this address followed by /.well-known/openid-configuration.
	Issuer string
	// ClientID is the application's client id at the provider.
	ClientID string
	// ClientSecret is the application's secret at the provider. It is empty for a public client, which uses PKCE only.
	ClientSecret string
	// RedirectURL is the address of the application that finishes logins, as registered with the provider.
	RedirectURL string
	// Keys encrypt the cookie of a login. All servers must have the same keys.
	Keys sealing.Keys
	// PlainHTTP is for visitors who connect without TLS. The cookie then has neither the prefix __Host- nor Secure.
	PlainHTTP bool
}

// A Client logs visitors in. Servers with the same options can finish each other's logins. Its methods are safe for
// concurrent use. Create one with New.
type Client struct {
	options       Options
	home          string // where the provider redirects visitors after a logout
	codec         session.Codec
	http          *http.Client
	keys          *http.Client // for requests for the provider's keys
	discovery     singleflight.Group
	configuration atomic.Pointer[configuration] // nil until the provider first responded
}

// New returns a Client. The error names the option that isn't allowed.
func New(options Options) (*Client, error) {
	redirect, err := url.Parse(options.RedirectURL)
	if err != nil {
		return nil, fmt.Errorf("login option RedirectURL: %w", err)
	}
	codec, err := cookie.New(options.Keys, "login")
	if err != nil {
		return nil, fmt.Errorf("login option Keys: %w", err)
	}
	c := &Client{options: options, codec: codec, home: redirect.ResolveReference(&url.URL{Path: "/"}).String()}
	c.setTransport(http.DefaultTransport)
	return c, nil
}

// setTransport makes requests to the provider use next.
func (c *Client) setTransport(next http.RoundTripper) {
	base := transport{next}
	c.http = &http.Client{Timeout: attemptTimeout, Transport: base, CheckRedirect: refuseRedirect}
	c.keys = &http.Client{
		Timeout: attemptTimeout, CheckRedirect: refuseRedirect,
		Transport: rateLimited{base, rate.NewLimiter(rate.Every(keyRequestInterval), keyRequestBurst)},
	}
}

// refuseRedirect makes an http.Client follow no redirects. A redirected request for a token would send the code, the verifier
// and the client's secret to another address.
func refuseRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// Begin begins a login, sets its cookie, and returns the provider's address to which the visitor must be redirected. It
// returns an error if the provider doesn't respond.
func (c *Client) Begin(w http.ResponseWriter, r *http.Request) (address string, err error) {
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	p, err := c.discover(ctx)
	if err != nil {
		return "", err
	}
	f := flow{state: rand.Text(), nonce: rand.Text(), verifier: oauth2.GenerateVerifier()}
	value, err := c.seal(f)
	if err != nil {
		return "", err
	}
	c.setCookie(w, value, Lifetime)
	return c.oauth2(p).AuthCodeURL(f.state, oidc.Nonce(f.nonce), oauth2.S256ChallengeOption(f.verifier)), nil
}

// LogoutURL returns the provider's address to which a visitor who has logged out of the application must be redirected, to
// log out of the provider too. It returns "" if the provider has none, or if its configuration isn't known yet. LogoutURL
// sends no request.
func (c *Client) LogoutURL() (address string) {
	p := c.configuration.Load()
	if p == nil || p.EndSession == "" {
		return ""
	}
	end, err := url.Parse(p.EndSession)
	if err != nil {
		return ""
	}
	query := end.Query()
	query.Set("client_id", c.options.ClientID)
	query.Set("post_logout_redirect_uri", c.home) // OpenID Connect RP-Initiated Logout 1.0
	query.Set("logout_uri", c.home)               // Amazon Cognito, where others ignore it
	end.RawQuery = query.Encode()
	return end.String()
}

func (c *Client) oauth2(p *configuration) *oauth2.Config {
	endpoint := p.Endpoint()
	endpoint.AuthStyle = p.authStyle(c.options.ClientSecret)
	return &oauth2.Config{
		ClientID: c.options.ClientID, ClientSecret: c.options.ClientSecret, RedirectURL: c.options.RedirectURL,
		Endpoint: endpoint, Scopes: []string{"openid", "profile", "email"},
	}
}

// A flow is the state of a login between Begin and Finish.
type flow struct{ state, nonce, verifier string }

func (c *Client) seal(f flow) (string, error) {
	now := time.Now()
	value, err := c.codec.Encode(session.ID{}, session.Record{
		Values:  map[string]string{"state": f.state, "nonce": f.nonce, "verifier": f.verifier},
		Created: now, Expires: now.Add(Lifetime), IdleExpires: now.Add(Lifetime),
	})
	if err != nil {
		return "", fmt.Errorf("seal a login: %w", err)
	}
	return value, nil
}

// flow returns the visitor's login with the given state parameter. The request may have several cookies of this name,
// because without TLS other sites on the same host can set one.
func (c *Client) flow(r *http.Request, state string) (flow, error) {
	refusal := &Refusal{reason: fmt.Sprintf("This browser has no login in progress, or it took longer than %v. "+
		"Log in again.", Lifetime)}
	for _, cookie := range r.CookiesNamed(c.cookieName()) {
		_, record, err := c.codec.Decode(cookie.Value, time.Now())
		f := flow{record.Values["state"], record.Values["nonce"], record.Values["verifier"]}
		if err != nil || f.state == "" || f.nonce == "" || f.verifier == "" { // an empty state must never match
			continue
		}
		if subtle.ConstantTimeCompare([]byte(state), []byte(f.state)) == 1 {
			return f, nil
		}
		refusal.reason = "The provider's response belongs to a different login than the one in this browser. Log in again."
	}
	return flow{}, refusal
}

func (c *Client) cookieName() string {
	if c.options.PlainHTTP {
		return "login"
	}
	return "__Host-login"
}

// setCookie sets the cookie of a login, or deletes it if lifetime is 0. With SameSite=Lax, browsers send it with the
// provider's redirect, but not with another site's form.
func (c *Client) setCookie(w http.ResponseWriter, value string, lifetime time.Duration) {
	http.SetCookie(w, &http.Cookie{
		Name: c.cookieName(), Value: value, Path: "/", MaxAge: cmp.Or(int(lifetime/time.Second), -1),
		Secure: !c.options.PlainHTTP, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}
