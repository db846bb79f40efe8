package login

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// How a provider is asked what it is. The tries end well before timeout when nobody is there.
const (
	tryTimeout = 2 * time.Second
	tries      = 3
	firstPause = 200 * time.Millisecond // doubled after each try
	// freshness is how long what a provider said of itself holds. When it can't be asked again, it holds on.
	freshness = time.Hour
	// maxAnswer bounds what is read of an answer, in bytes.
	maxAnswer = 1 << 20
)

// provider is what is known of it; nil until it was first asked.
type provider = atomic.Pointer[discovered]

// discovered is what a provider says of itself, and its keys. The keys are asked for when a token names one that isn't
// known, so that the provider may change them at any time.
type discovered struct {
	*oidc.Provider
	keys oidc.KeySet
	at   time.Time

	EndSession  string   `json:"end_session_endpoint"`
	AuthMethods []string `json:"token_endpoint_auth_methods_supported"`
	SendsIssuer bool     `json:"authorization_response_iss_parameter_supported"` // RFC 9207
	Keys        string   `json:"jwks_uri"`
}

// discover returns what the provider says of itself. Requests at the same time ask once.
func (c *Client) discover(ctx context.Context) (*discovered, error) {
	known := c.provider.Load()
	if known != nil && time.Since(known.at) < freshness {
		return known, nil
	}
	found, err, _ := c.asking.Do("", func() (any, error) {
		// The answer is for others too: that this client leaves is no reason to stop.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
		defer cancel()
		return c.ask(ctx)
	})
	switch {
	case err == nil:
		return found.(*discovered), nil
	case known != nil:
		return known, nil
	default:
		return nil, fmt.Errorf("ask the login provider %s what it is: %w", c.options.Issuer, err)
	}
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
	d.keys = oidc.NewRemoteKeySet(oidc.ClientContext(context.Background(), c.http), d.Keys)
	c.provider.Store(d)
	return d, nil
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

// An outage is that the provider didn't answer, or answered that it can't: not that it refused.
type outage struct{ cause error }

func (o *outage) Error() string { return o.cause.Error() }
func (o *outage) Unwrap() error { return o.cause }

// transport makes failures of the provider errors, and bounds its answers.
type transport struct{ next http.RoundTripper }

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, &outage{err}
	}
	if response.StatusCode >= http.StatusInternalServerError || response.StatusCode == http.StatusTooManyRequests {
		response.Body.Close()
		return nil, &outage{fmt.Errorf("%w: %s", errDown, response.Status)}
	}
	response.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(response.Body, maxAnswer), response.Body}
	return response, nil
}

// keys remembers why the provider's keys couldn't be had, which the verifier's error doesn't tell.
type keys struct {
	oidc.KeySet
	outage error
}

func (k *keys) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	payload, err := k.KeySet.VerifySignature(ctx, token)
	if isOutage(err) {
		k.outage = cmp.Or(k.outage, err)
	}
	return payload, err
}

func isOutage(err error) bool {
	var o *outage
	return errors.As(err, &o) || errors.Is(err, context.DeadlineExceeded)
}
