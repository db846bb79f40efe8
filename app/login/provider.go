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
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"golang.org/x/oauth2"
	"golang.org/x/time/rate"
)

// Limits on reading the provider's configuration. If the provider doesn't respond, all attempts together end before timeout.
const (
	attemptTimeout = 2 * time.Second
	maxAttempts    = 3
	firstBackoff   = 200 * time.Millisecond // doubled after each attempt
	// configurationTTL is the age at which the configuration is requested again. The old one stays in use until the provider
	// has responded.
	configurationTTL = time.Hour
	// prepareInterval is the pause between the attempts of Prepare.
	prepareInterval = time.Minute
	// maxResponse bounds the body of a response, in bytes.
	maxResponse = 1 << 20
)

// Servers send at most keyRequestBurst requests for the provider's keys at once, and then one per keyRequestInterval. So a
// flood of tokens with unknown keys doesn't become a flood of requests to the provider.
const (
	keyRequestBurst    = 10
	keyRequestInterval = 10 * time.Second
)

// maxSignatureBytes is the size of a signature by an RSA key of 8192 bits. Verification with a key of 1 MB would take hours.
const maxSignatureBytes = 1024

// A configuration is the provider's configuration (OpenID Connect Discovery 1.0, 3) and its keys. The keys are requested
// when a token has an unknown key, so the provider may change them at any time.
type configuration struct {
	*oidc.Provider
	keys oidc.KeySet
	at   time.Time

	EndSession  string   `json:"end_session_endpoint"`
	AuthMethods []string `json:"token_endpoint_auth_methods_supported"`
	SendsIssuer bool     `json:"authorization_response_iss_parameter_supported"` // RFC 9207
	Keys        string   `json:"jwks_uri"`
}

// Prepare requests the provider's configuration, every minute until the provider responds or ctx ends. Without it, LogoutURL
// returns "" until the first login on this server.
func (c *Client) Prepare(ctx context.Context) {
	for {
		if _, err := c.discover(ctx); err == nil {
			return
		}
		select {
		case <-time.After(prepareInterval):
		case <-ctx.Done():
			return
		}
	}
}

// discover returns the provider's configuration. It waits for the provider, for at most timeout, only if no configuration is
// known yet. If the known one is older than configurationTTL, discover requests it again in the background. Concurrent calls
// share one request.
func (c *Client) discover(ctx context.Context) (*configuration, error) {
	known := c.configuration.Load()
	if known != nil && time.Since(known.at) < configurationTTL {
		return known, nil
	}
	done := c.discovery.DoChan("", func() (any, error) {
		// Other callers share the result, so the request doesn't end with this caller's.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
		defer cancel()
		return c.fetch(ctx)
	})
	if known != nil {
		return known, nil
	}
	result := <-done
	if result.Err != nil {
		return nil, fmt.Errorf("get the configuration of the login provider %s: %w", c.options.Issuer, truncate(result.Err))
	}
	return result.Val.(*configuration), nil
}

// fetch requests the provider's configuration, with retries, and stores it.
func (c *Client) fetch(ctx context.Context) (*configuration, error) {
	for attempt := 0; ; attempt++ {
		found, err := oidc.NewProvider(oidc.ClientContext(ctx, c.http), c.options.Issuer)
		if err == nil {
			return c.storeConfiguration(found)
		}
		if attempt+1 == maxAttempts {
			return nil, err
		}
		select {
		case <-time.After(firstBackoff << attempt):
		case <-ctx.Done():
			return nil, err
		}
	}
}

// storeConfiguration validates a configuration and stores it for later calls of discover.
func (c *Client) storeConfiguration(found *oidc.Provider) (*configuration, error) {
	d := &configuration{Provider: found, at: time.Now()}
	if err := found.Claims(d); err != nil {
		return nil, err
	}
	if err := d.check(c.options.Issuer); err != nil {
		return nil, err
	}
	d.keys = oidc.NewRemoteKeySet(oidc.ClientContext(context.Background(), c.keys), d.Keys)
	c.configuration.Store(d)
	return d, nil
}

// check returns an error if an endpoint isn't a web address or lacks TLS, because visitors and secrets are sent there. If the
// issuer lacks TLS, as in tests, the endpoints may too.
func (d *configuration) check(issuer string) error {
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

// authStyle returns how a client with that secret authenticates at the token endpoint. If the provider lists no style, it
// is client_secret_basic, as in OpenID Connect Discovery 1.0, section 3. By itself package oauth2 tries both styles, which could
// invalidate the code.
func (d *configuration) authStyle(secret string) oauth2.AuthStyle {
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

// errProviderFailed is the cause of every *outage in which the provider responded.
var errProviderFailed = errors.New("the login provider failed")

// An outage is the error if the provider didn't respond, or responded that it failed, but not if it refused the request.
type outage struct{ cause error }

func (o *outage) Error() string { return o.cause.Error() }
func (o *outage) Unwrap() error { return o.cause }

// A transport returns an *outage if the provider fails. It reads the whole response, so that one that is incomplete, too slow
// or larger than maxResponse counts as a failure too.
type transport struct{ next http.RoundTripper }

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, &outage{err}
	}
	defer response.Body.Close()
	if response.StatusCode >= http.StatusInternalServerError || response.StatusCode == http.StatusTooManyRequests {
		return nil, &outage{fmt.Errorf("%w: %s", errProviderFailed, response.Status)}
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxResponse+1))
	if err != nil {
		return nil, &outage{err}
	}
	if len(body) > maxResponse {
		return nil, &outage{fmt.Errorf("%w: its response has more than %d bytes", errProviderFailed, maxResponse)}
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	return response, nil
}

// A rateLimited transport returns an *outage for requests beyond a rate.
type rateLimited struct {
	next http.RoundTripper
	rate *rate.Limiter
}

func (l rateLimited) RoundTrip(r *http.Request) (*http.Response, error) {
	if !l.rate.Allow() {
		return nil, &outage{fmt.Errorf("more than %d requests for its keys; the next is allowed within %v", keyRequestBurst, keyRequestInterval)}
	}
	return l.next.RoundTrip(r)
}

// A keySet verifies signatures with the provider's keys. It records an outage in outage, because the verifier's error
// doesn't wrap it.
type keySet struct {
	oidc.KeySet
	outage error
}

func (k *keySet) VerifySignature(ctx context.Context, token string) ([]byte, error) {
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
// maxSignatureBytes. That also bounds the key, because verification first compares the sizes of key and signature.
func checkSignature(token string) error {
	var accepted []jose.SignatureAlgorithm
	for _, algorithm := range algorithms() {
		accepted = append(accepted, jose.SignatureAlgorithm(algorithm))
	}
	signed, err := jose.ParseSignedCompact(token, accepted)
	if err != nil {
		return err
	}
	if n := len(signed.Signatures[0].Signature); n > maxSignatureBytes {
		return fmt.Errorf("the signature has %d bytes, allowed are %d", n, maxSignatureBytes)
	}
	return nil
}

// truncate bounds the text of an error, which may quote a whole response.
func truncate(err error) error {
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
