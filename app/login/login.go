// Package login has an OpenID Connect provider say who visitors are, so that the application keeps no passwords: the
// authorization code flow (RFC 6749, 4.1; OpenID Connect Core 1.0, 3.1) with PKCE (RFC 7636).
//
// Any server may begin a login and any other finish it. What a login needs between the two (state, nonce and the code
// verifier) is with its visitor, in a cookie that is sealed like those of package cookie and good for Lifetime. No session
// is needed for it, so that it is the same with every session store, also with one that can't be written before login.
//
// Only logins wait for the provider: while it is down, servers start, sessions are served, and logout works.
package login

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"

	"stateless-servers/session"
	"stateless-servers/session/cookie"
	"stateless-servers/session/sealing"
)

// Lifetime is how long a visitor may take at the provider: time for a password that was forgotten, and a second factor.
const Lifetime = 10 * time.Minute

// timeout bounds what one request waits for the provider, tries together.
const timeout = 5 * time.Second

// Options say who the provider is, and what it knows of the application. All but ClientSecret and PlainHTTP are required.
type Options struct {
	// Issuer is the provider's issuer identifier, exactly as it writes it: an https:// address, below which
	// /.well-known/openid-configuration is.
	Issuer string
	// ClientID is the application's id at the provider.
	ClientID string
	// ClientSecret is empty for a public client, for which PKCE stands alone.
	ClientSecret string
	// RedirectURL is the address of the application that finishes logins, as registered with the provider.
	RedirectURL string
	// Keys seal what visitors bring along. Servers share them.
	Keys sealing.Keys
	// PlainHTTP is for visitors that come without TLS: the cookie has neither the prefix __Host- nor Secure.
	PlainHTTP bool
}

// A Client logs visitors in. Servers with the same options finish each other's logins. Its methods are safe for
// concurrent use. Create one with New.
type Client struct {
	options  Options
	home     string // where the provider leads visitors back to who logged out
	codec    session.Codec
	http     *http.Client
	keys     *http.Client // for the provider's keys
	asking   singleflight.Group
	provider provider
}

// New returns a Client, or an error that says which option is not allowed.
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
	c.use(http.DefaultTransport)
	return c, nil
}

// use has requests to the provider go through next.
func (c *Client) use(next http.RoundTripper) {
	bounded := transport{next}
	c.http = &http.Client{Timeout: tryTimeout, Transport: bounded, CheckRedirect: follow}
	c.keys = &http.Client{
		Timeout: tryTimeout, CheckRedirect: follow,
		Transport: limited{bounded, rate.NewLimiter(rate.Every(keysPause), keysBurst)},
	}
}

// follow follows no redirect: one of a request for a token would take the code, the verifier and the secret elsewhere.
func follow(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// Begin begins a login and returns where the visitor goes for it. An error is that the provider doesn't answer.
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

// End returns where a visitor goes who has logged out of the application, to log out of the provider: "" where it has no
// such place, or hasn't said yet. It asks the provider nothing.
func (c *Client) End() (address string) {
	p := c.provider.Load()
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

func (c *Client) oauth2(p *discovered) *oauth2.Config {
	endpoint := p.Endpoint()
	endpoint.AuthStyle = p.authStyle(c.options.ClientSecret)
	return &oauth2.Config{
		ClientID: c.options.ClientID, ClientSecret: c.options.ClientSecret, RedirectURL: c.options.RedirectURL,
		Endpoint: endpoint, Scopes: []string{"openid", "profile", "email"},
	}
}

// A flow is what a login needs when it is finished.
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

// flow returns the login that the visitor began and that the answer with this state belongs to. More than one cookie may
// have the name: without TLS, other sites of the host can plant one.
func (c *Client) flow(r *http.Request, state string) (flow, error) {
	refusal := &Refusal{reason: fmt.Sprintf("No login is under way in this browser, or it took longer than %v. "+
		"Log in again.", Lifetime)}
	for _, presented := range r.CookiesNamed(c.cookieName()) {
		_, record, err := c.codec.Decode(presented.Value, time.Now())
		f := flow{record.Values["state"], record.Values["nonce"], record.Values["verifier"]}
		if err != nil || f.state == "" || f.nonce == "" || f.verifier == "" { // an answer without a state must match nothing
			continue
		}
		if subtle.ConstantTimeCompare([]byte(state), []byte(f.state)) == 1 {
			return f, nil
		}
		refusal.reason = "This is not the answer to the login that is under way in this browser. Log in again."
	}
	return flow{}, refusal
}

func (c *Client) cookieName() string {
	if c.options.PlainHTTP {
		return "login"
	}
	return "__Host-login"
}

// setCookie is SameSite=Lax: the provider's redirect brings it along, another site's form doesn't.
func (c *Client) setCookie(w http.ResponseWriter, value string, lifetime time.Duration) {
	http.SetCookie(w, &http.Cookie{
		Name: c.cookieName(), Value: value, Path: "/", MaxAge: cmp.Or(int(lifetime/time.Second), -1),
		Secure: !c.options.PlainHTTP, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}
