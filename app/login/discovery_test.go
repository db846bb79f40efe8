package login

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"stateless-servers/session/sealing/sealingtest"
	"stateless-servers/session/sessiontest/must"
)

const issuer = "https://login.example/pool"

// A providerFunc serves requests to the provider, without a network.
type providerFunc func(*http.Request) (*http.Response, error)

func (f providerFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func respond(status int, body io.Reader) (*http.Response, error) {
	return &http.Response{
		Status: http.StatusText(status), StatusCode: status, Body: io.NopCloser(body),
		Header: http.Header{"Content-Type": {"application/json"}, "Location": {"https://evil.example/"}},
	}, nil
}

// providerWith returns a provider with a valid configuration, to which change is applied.
func providerWith(change func(map[string]any)) providerFunc {
	fields := map[string]any{
		"issuer": issuer, "jwks_uri": "https://keys.example/",
		"authorization_endpoint": "https://login.example/authorize", "token_endpoint": "https://login.example/token",
		"end_session_endpoint": "https://login.example/logout",
	}
	change(fields)
	body, _ := json.Marshal(fields)
	return func(*http.Request) (*http.Response, error) {
		return respond(http.StatusOK, strings.NewReader(string(body)))
	}
}

func unchanged(map[string]any) {}

func newClient(t *testing.T, issuer string, provider providerFunc) *Client {
	t.Helper()
	client, err := New(Options{
		Issuer: issuer, ClientID: "lab", RedirectURL: "https://lab.example/login/callback", Keys: sealingtest.Keys(t, "a"),
	})
	must.Succeed(t, err)
	client.setTransport(provider)
	return client
}

func (c *Client) begin(ctx context.Context) (w *httptest.ResponseRecorder, address string, err error) {
	w = httptest.NewRecorder()
	address, err = c.Begin(w, httptest.NewRequestWithContext(ctx, http.MethodPost, "/login", nil))
	return w, address, err
}

// A configuration from another issuer, or with an endpoint that isn't a web address with TLS, is refused.
func TestEndpointsAreValidated(t *testing.T) {
	const plain = "http://127.0.0.1:1/pool"
	for _, test := range []struct {
		issuer, field string
		value         any
		wantError     string // part of the error; "" for none
	}{
		{issuer, "end_session_endpoint", "", ""},
		{issuer, "token_endpoint", "https://other.example/token", ""},
		{issuer, "issuer", "https://evil.example", "did not match"},
		{issuer, "issuer", issuer + "/", "did not match"},
		{issuer, "issuer", nil, "did not match"},
		{issuer, "issuer", 1, "decode"},
		{issuer, "authorization_endpoint", "", "authorization_endpoint"},
		{issuer, "authorization_endpoint", nil, "authorization_endpoint"},
		{issuer, "authorization_endpoint", "/authorize", "authorization_endpoint"},
		{issuer, "authorization_endpoint", "http://login.example/authorize", "authorization_endpoint"},
		{issuer, "authorization_endpoint", "javascript:alert(1)", "authorization_endpoint"},
		{issuer, "authorization_endpoint", "https://login.example@evil.example/", "authorization_endpoint"},
		{issuer, "authorization_endpoint", "https://login.example/#", ""},
		{issuer, "authorization_endpoint", "https://login.example/#a", "authorization_endpoint"},
		{issuer, "authorization_endpoint", "https://login.example/\r\nSet-Cookie: a=b", "authorization_endpoint"},
		{issuer, "token_endpoint", "", "token_endpoint"},
		{issuer, "token_endpoint", "http://login.example/token", "token_endpoint"},
		{issuer, "token_endpoint", "file:///etc/passwd", "token_endpoint"},
		{issuer, "jwks_uri", "", "jwks_uri"},
		{issuer, "jwks_uri", "http://keys.example/", "jwks_uri"},
		{issuer, "end_session_endpoint", "http://login.example/logout", "end_session_endpoint"},
		{issuer, "end_session_endpoint", "//evil.example/", "end_session_endpoint"},
		{issuer, "end_session_endpoint", "data:text/html,x", "end_session_endpoint"},
		{issuer, "end_session_endpoint", "https://", "end_session_endpoint"},
		{issuer, "end_session_endpoint", "https://evil.example/" + strings.Repeat("a", 100_000) + "#a", "end_session_endpoint"},
		{plain, "token_endpoint", "http://127.0.0.1:1/token", ""},
		{plain, "token_endpoint", "ftp://127.0.0.1/token", "token_endpoint"},
	} {
		synctest.Test(t, func(t *testing.T) { // so that pauses between attempts take no time
			client := newClient(t, test.issuer, providerWith(func(fields map[string]any) {
				fields["issuer"] = test.issuer
				fields[test.field] = test.value
			}))
			w, address, err := client.begin(t.Context())
			if test.wantError == "" {
				if err != nil || address == "" {
					t.Errorf("%s %.100q: %v", test.field, test.value, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.wantError) || len(err.Error()) > 700 {
				t.Errorf("%s %.100q: %.1000v, want an error with %q", test.field, test.value, err, test.wantError)
			}
			if address != "" || len(w.Result().Cookies()) > 0 || client.LogoutURL() != "" {
				t.Errorf("%s %.100q: a login redirects to %q, want no redirect", test.field, test.value, address)
			}
		})
	}
}

// A slowBody is a body that yields a byte every 100 ms, until ctx ends.
type slowBody struct{ ctx context.Context }

func (b slowBody) Read(p []byte) (int, error) {
	select {
	case <-b.ctx.Done():
		return 0, b.ctx.Err()
	case <-time.After(100 * time.Millisecond):
		p[0] = ' '
		return 1, nil
	}
}

// If the request for the provider's configuration fails in any way, a login returns an error in time, and the cookie of a
// login in progress stays. Logins work again when the provider does.
func TestDiscoveryFailures(t *testing.T) {
	for name, fails := range map[string]providerFunc{
		"hangs": func(r *http.Request) (*http.Response, error) { <-r.Context().Done(); return nil, r.Context().Err() },
		"responds a byte at a time": func(r *http.Request) (*http.Response, error) {
			return respond(http.StatusOK, slowBody{r.Context()})
		},
		"breaks off": func(*http.Request) (*http.Response, error) {
			return respond(http.StatusOK, io.MultiReader(strings.NewReader("{"), failing{}))
		},
		"never ends": func(*http.Request) (*http.Response, error) {
			return respond(http.StatusOK, strings.NewReader(strings.Repeat(" ", 2*maxResponse)))
		},
		"redirects": func(r *http.Request) (*http.Response, error) {
			if r.Host != "login.example" {
				t.Errorf("a request to %s, want only login.example", r.Host)
			}
			return respond(http.StatusFound, strings.NewReader(""))
		},
		"isn't there": func(*http.Request) (*http.Response, error) {
			return respond(http.StatusNotFound, strings.NewReader(""))
		},
		"fails": func(*http.Request) (*http.Response, error) {
			return respond(http.StatusBadGateway, strings.NewReader(""))
		},
		"is overloaded": func(*http.Request) (*http.Response, error) {
			return respond(http.StatusTooManyRequests, strings.NewReader(""))
		},
		"is a page": func(*http.Request) (*http.Response, error) {
			return respond(http.StatusOK, strings.NewReader("<!doctype html>"+strings.Repeat("a", 10_000)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				other := newClient(t, issuer, providerWith(unchanged))
				w, address, err := other.begin(t.Context())
				must.Succeed(t, err)
				_, query, _ := strings.Cut(address, "?")
				callback := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/login/callback?code=a&"+query, nil)
				callback.AddCookie(w.Result().Cookies()[0])

				client := newClient(t, issuer, fails)
				start := time.Now()
				w, address, err = client.begin(t.Context())
				if err == nil || address != "" || len(w.Result().Cookies()) > 0 || len(err.Error()) > 700 {
					t.Errorf("a login begins at %q with error %.1000v, want an error only", address, err)
				}
				w = httptest.NewRecorder()
				_, _, err = client.Finish(w, callback)
				var refusal *Refusal
				if err == nil || errors.As(err, &refusal) || len(w.Result().Cookies()) > 0 {
					t.Errorf("a login finishes with %v and cookies %v, want an error that isn't a refusal", err, w.Result().Cookies())
				}
				if took := time.Since(start); took > 2*timeout {
					t.Errorf("both took %v, want at most %v", took, 2*timeout)
				}
				client.setTransport(providerWith(unchanged))
				if _, address, err = client.begin(t.Context()); err != nil {
					t.Errorf("after the provider recovered, a login begins at %q: %v", address, err)
				}
			})
		})
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// While the provider hangs, its old configuration is used without waiting.
func TestOldConfigurationIsUsedDuringOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var requests atomic.Int64
		client := newClient(t, issuer, providerWith(unchanged))
		if _, _, err := client.begin(t.Context()); err != nil {
			t.Fatal(err)
		}
		end := client.LogoutURL()
		client.setTransport(providerFunc(func(r *http.Request) (*http.Response, error) {
			requests.Add(1)
			<-r.Context().Done()
			return nil, r.Context().Err()
		}))
		time.Sleep(24 * time.Hour)
		start := time.Now()
		if got := client.LogoutURL(); got != end || !strings.HasPrefix(got, "https://login.example/logout?") || requests.Load() != 0 {
			t.Errorf("a logout redirects to %q after %d requests, want no request", got, requests.Load())
		}
		for range 3 {
			_, address, err := client.begin(t.Context())
			if err != nil || !strings.HasPrefix(address, "https://login.example/authorize?") {
				t.Errorf("a login begins at %q: %v", address, err)
			}
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("the logins waited for %v, want no wait", took)
		}
		time.Sleep(timeout)
		synctest.Wait()
		if n := requests.Load(); n < 1 || n > maxAttempts {
			t.Errorf("the provider got %d requests, want 1 to %d", n, maxAttempts)
		}

		client.setTransport(providerWith(func(fields map[string]any) { fields["authorization_endpoint"] = "https://new.example/" }))
		for _, want := range []string{"https://login.example/authorize?", "https://new.example/?"} {
			if _, address, err := client.begin(t.Context()); err != nil || !strings.HasPrefix(address, want) {
				t.Errorf("a login begins at %q, want %q: %v", address, want, err)
			}
			synctest.Wait() // for the response
		}
	})
}

// Prepare gets the provider's configuration, even if the provider starts later.
func TestPrepare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var up atomic.Bool
		provider := providerWith(unchanged)
		client := newClient(t, issuer, func(r *http.Request) (*http.Response, error) {
			if up.Load() {
				return provider(r)
			}
			return nil, errProviderFailed
		})
		returned := make(chan struct{})
		go func() { client.Prepare(t.Context()); close(returned) }()
		time.Sleep(10 * time.Minute)
		if got := client.LogoutURL(); got != "" {
			t.Errorf("without a provider, a logout redirects to %q, want none", got)
		}
		up.Store(true)
		time.Sleep(2 * time.Minute)
		if got := client.LogoutURL(); !strings.HasPrefix(got, "https://login.example/logout?") {
			t.Errorf("a logout redirects to %q, want the provider", got)
		}
		<-returned

		ctx, cancel := context.WithCancel(t.Context())
		client = newClient(t, issuer, func(*http.Request) (*http.Response, error) { return nil, errProviderFailed })
		time.AfterFunc(time.Hour, cancel)
		client.Prepare(ctx) // returns
	})
}
