package login

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"golang.org/x/oauth2"
	"golang.org/x/time/rate"
)

// Limits on reading a provider's configuration. If nobody answers, all tries together end well before timeout.
const (
	tryTimeout = 2 * time.Second
	tries      = 3
	firstPause = 200 * time.Millisecond // doubled after each try
	// freshness is how long a configuration is used before the provider is asked for it again. The old one is used until
	// the provider has answered.
	freshness = time.Hour
	// preparePause is between the attempts of Prepare.
	preparePause = time.Minute
	// maxAnswer bounds an answer, in bytes.
	maxAnswer = 1 << 20
)

// Keys may be asked for keysBurst times at once and then once in keysPause, so that tokens that name keys which don't
// exist don't pass a flood of logins on to the provider.
const (
	keysBurst = 10
	keysPause = 10 * time.Second
)

// maxSignature bounds a signature, in bytes: one by an RSA key of 8192 bits. Verifying with a key of 1 MB would take hours.
const maxSignature = 1024

// provider is the provider's configuration; nil until the provider first answered.
type provider = atomic.Pointer[discovered]

// discovered is a provider's configuration (OpenID Connect Discovery 1.0, 3) and its keys. The keys are asked for when a
// token names one that isn't known, so that the provider may change them at any time.
type discovered struct {
	*oidc.Provider
	keys oidc.KeySet
	at   time.Time

	EndSession  string   `json:"end_session_endpoint"`
	AuthMethods []string `json:"token_endpoint_auth_methods_supported"`
	SendsIssuer bool     `json:"authorization_response_iss_parameter_supported"` // RFC 9207
	Keys        string   `json:"jwks_uri"`
}

// Prepare asks the provider for its configuration, every minute until it answers or ctx ends. Without it, a logout that
// comes before any login of this server doesn't lead to the provider.
func (c *Client) Prepare(ctx context.Context) {
	for {
		if _, err := c.discover(ctx); err == nil {
			return
		}
		select {
		case <-time.After(preparePause):
		case <-ctx.Done():
			return
		}
	}
}

// discover returns the provider's configuration. It waits for the provider only while none is known: one that isn't fresh
// is asked for again in the background. Requests at the same time ask once, and wait for at most timeout.
func (c *Client) discover(ctx context.Context) (*discovered, error) {
	known := c.provider.Load()
	if known != nil && time.Since(known.at) < freshness {
		return known, nil
	}
	answered := c.asking.DoChan("", func() (any, error) {
		// The answer is for others too: that this client leaves is no reason to stop.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
		defer cancel()
		return c.ask(ctx)
	})
	if known != nil {
		return known, nil
	}
	answer := <-answered
	if answer.Err != nil {
		return nil, fmt.Errorf("ask the login provider %s for its configuration: %w", c.options.Issuer, brief(answer.Err))
	}
	return answer.Val.(*discovered), nil
}

func (c *Client) ask(ctx context.Context) (*discovered, error) {
	for try := 0; ; try++ {
		found, err := oidc.NewProvider(oidc.ClientContext(ctx, c.http), c.options.Issuer)
		if err == nil {
			return c.remember(found)
		}
		if try+1 == tries {
			return nil, err
		}
		select {
		case <-time.After(firstPause << try):
		case <-ctx.Done():
			return nil, err
		}
	}
}

func (c *Client) remember(found *oidc.Provider) (*discovered, error) {
	d := &discovered{Provider: found, at: time.Now()}
	if err := found.Claims(d); err != nil {
		return nil, err
	}
	if err := d.check(c.options.Issuer); err != nil {
		return nil, err
	}
	d.keys = oidc.NewRemoteKeySet(oidc.ClientContext(context.Background(), c.keys), d.Keys)
	c.provider.Store(d)
	return d, nil
}

// check returns an error if visitors or secrets would go to an address that isn't a web address, or that lacks TLS. An
// issuer without TLS, as in tests, may have endpoints without.
func (d *discovered) check(issuer string) error {
	plainHTTP := strings.HasPrefix(issuer, "http://")
	for name, address := range map[string]string{
		"authorization_endpoint": d.Endpoint().AuthURL,
		"token_endpoint":         d.Endpoint().TokenURL,
		"jwks_uri":               d.Keys,
		"end_session_endpoint":   cmp.Or(d.EndSession, issuer), // optional
	} {
		u, err := url.Parse(address)
		if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" ||
			u.Scheme != "https" && !(plainHTTP && u.Scheme == "http") {
			return fmt.Errorf("%s is %q: allowed is an https:// address", name, address)
		}
	}
	return nil
}

// authStyle is how a client with that secret says at the token endpoint who it is. The default is that of OpenID Connect
// Discovery 1.0, 3. To try both, as package oauth2 would by itself, could use a code up.
func (d *discovered) authStyle(secret string) oauth2.AuthStyle {
	const basic = "client_secret_basic"
	methods := d.AuthMethods
	if len(methods) == 0 {
		methods = []string{basic}
	}
	if secret != "" && slices.Contains(methods, basic) {
		return oauth2.AuthStyleInHeader
	}
	return oauth2.AuthStyleInParams
}

// errDown is the cause of every *outage whose provider did answer.
var errDown = errors.New("the login provider failed")

// An outage is the error of a provider that didn't answer, or answered that it can't: not that it refused.
type outage struct{ cause error }

func (o *outage) Error() string { return o.cause.Error() }
func (o *outage) Unwrap() error { return o.cause }

// transport makes failures of the provider errors. It reads an answer whole, so that one that breaks off, or takes longer
// than the request may, is a failure too, and one above maxAnswer.
type transport struct{ next http.RoundTripper }

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, &outage{err}
	}
	defer response.Body.Close()
	if response.StatusCode >= http.StatusInternalServerError || response.StatusCode == http.StatusTooManyRequests {
		return nil, &outage{fmt.Errorf("%w: %s", errDown, response.Status)}
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return nil, &outage{err}
	}
	if len(body) > maxAnswer {
		return nil, &outage{fmt.Errorf("%w: it answers more than %d bytes", errDown, maxAnswer)}
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	return response, nil
}

// limited refuses requests beyond a rate.
type limited struct {
	next http.RoundTripper
	rate *rate.Limiter
}

func (l limited) RoundTrip(r *http.Request) (*http.Response, error) {
	if !l.rate.Allow() {
		return nil, &outage{fmt.Errorf("its keys were asked for %d times, and %v haven't passed since", keysBurst, keysPause)}
	}
	return l.next.RoundTrip(r)
}

// keys remembers why the provider's keys couldn't be had, which the verifier's error doesn't tell.
type keys struct {
	oidc.KeySet
	outage error
}

func (k *keys) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	if err := checkSignature(token); err != nil {
		return nil, err
	}
	payload, err := k.KeySet.VerifySignature(ctx, token)
	if isOutage(err) {
		k.outage = cmp.Or(k.outage, err)
	}
	return payload, err
}

// checkSignature returns an error unless token is in compact form (OpenID Connect Core 1.0, 2) with a signature of at most
// maxSignature bytes. Keys of another size than the signature's are refused before any arithmetic.
func checkSignature(token string) error {
	var accepted []jose.SignatureAlgorithm
	for _, algorithm := range algorithms() {
		accepted = append(accepted, jose.SignatureAlgorithm(algorithm))
	}
	signed, err := jose.ParseSignedCompact(token, accepted)
	if err != nil {
		return err
	}
	if n := len(signed.Signatures[0].Signature); n > maxSignature {
		return fmt.Errorf("the signature has %d bytes, allowed are %d", n, maxSignature)
	}
	return nil
}

// brief bounds the text of an error, which may quote a whole answer.
func brief(err error) error {
	const most = 500 // bytes
	if text := err.Error(); len(text) > most {
		return errors.New(strings.ToValidUTF8(text[:most], "") + "…")
	}
	return err
}

func isOutage(err error) bool {
	var o *outage
	return errors.As(err, &o) || errors.Is(err, context.DeadlineExceeded)
}
