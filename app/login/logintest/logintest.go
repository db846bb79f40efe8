// Package logintest runs an OpenID Connect provider for tests. Start starts a real provider (github.com/zitadel/oidc) with
// two users, Ann and Bob, and LogIn logs one of them in as a browser would. Fields and methods of Provider make it misbehave.
package logintest

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"html"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"stateless-servers/session/sessiontest/must"
)

// The clients of a Provider, one without a secret and one with, and its users.
const (
	ClientID       = "lab"
	SecretClientID = "lab-with-secret"
	ClientSecret   = "a secret of the client: 100% & more"

	Password = "correct horse"
	Ann      = "subject-of-ann" // the subject of the user ann
	Bob      = "subject-of-bob" // the subject of the user bob
)

// A Provider is a running provider. Set its fields before it gets requests.
type Provider struct {
	// Issuer is the provider's issuer identifier and address.
	Issuer string
	// EditClaims changes the claims of ID tokens before they are signed. Nil changes nothing.
	EditClaims func(claims map[string]any)
	// EditToken changes ID tokens after they are signed. Nil changes nothing.
	EditToken func(token string) string
	// EditRedirect changes the query of redirects to the application. Nil changes nothing.
	EditRedirect func(query url.Values)
	// SendsIssuer makes the provider send its issuer identifier in redirects and declare it in its configuration (RFC 9207).
	SendsIssuer bool
	// Exchanges counts the requests for tokens, Discoveries those for the provider's configuration, and KeyRequests those
	// for its keys.
	Exchanges, Discoveries, KeyRequests atomic.Int64

	down     atomic.Bool
	handlers sync.Map // http.HandlerFunc by path
	store    *store
	op       op.OpenIDProvider
}

// Start starts a provider that stops at the end of the test. It redirects only to the given addresses after a login, and to
// their root addresses after a logout.
func Start(t testing.TB, redirects ...string) *Provider {
	t.Helper()
	p := &Provider{}
	server := httptest.NewUnstartedServer(http.HandlerFunc(p.serve))
	p.Issuer = "http://" + server.Listener.Addr().String()
	p.store = newStore(redirects)
	var key [32]byte
	rand.Read(key[:])
	var err error
	p.op, err = op.NewProvider(&op.Config{CryptoKey: key, CodeMethodS256: true}, p.store, op.StaticIssuer(p.Issuer),
		op.WithAllowInsecure(), op.WithLogger(slog.New(slog.DiscardHandler)))
	must.Succeed(t, err)
	server.Start()
	t.Cleanup(server.Close)
	return p
}

// SetDown makes the provider fail every request with 503, or work again.
func (p *Provider) SetDown(down bool) { p.down.Store(down) }

// Paths of the provider for Handle: its configuration, its keys, and the exchange of codes for tokens.
const (
	DiscoveryPath = oidc.DiscoveryEndpoint
	KeysPath      = "/keys"
	ExchangePath  = "/oauth/token"
)

// Handle makes handler serve the requests for a path instead of the provider. If handler is nil, the provider serves them
// again.
func (p *Provider) Handle(path string, handler http.HandlerFunc) {
	if handler == nil {
		p.handlers.Delete(path)
		return
	}
	p.handlers.Store(path, handler)
}

// RotateKey replaces the signing key. The provider no longer publishes the old one.
func (p *Provider) RotateKey() { p.store.key.Store(newKey()) }

func (p *Provider) serve(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case ExchangePath:
		p.Exchanges.Add(1)
	case DiscoveryPath:
		p.Discoveries.Add(1)
	case KeysPath:
		p.KeyRequests.Add(1)
	}
	if p.down.Load() {
		http.Error(w, "down", http.StatusServiceUnavailable)
		return
	}
	if handler, ok := p.handlers.Load(r.URL.Path); ok {
		handler.(http.HandlerFunc)(w, r)
		return
	}
	switch r.URL.Path {
	case loginPath:
		p.login(w, r)
	case ExchangePath:
		p.serveEdited(w, r, func(fields map[string]any) {
			if token, ok := fields["id_token"].(string); ok {
				fields["id_token"] = p.editToken(token)
			}
		})
	case DiscoveryPath:
		p.serveEdited(w, r, func(fields map[string]any) {
			fields["authorization_response_iss_parameter_supported"] = p.SendsIssuer
		})
	default:
		p.op.ServeHTTP(&redirectWriter{w, p.editRedirect}, r)
	}
}

const loginPath = "/login/username" // the path that the clients of package storage use

// login serves the login form.
func (p *Provider) login(w http.ResponseWriter, r *http.Request) {
	id := r.FormValue("authRequestID")
	if r.Method == http.MethodPost {
		if err := p.store.CheckUsernamePassword(r.FormValue("user"), r.FormValue("password"), id); err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		ctx := op.ContextWithIssuer(r.Context(), p.Issuer)
		http.Redirect(w, r, op.AuthCallbackURL(p.op)(ctx, id), http.StatusFound)
		return
	}
	fmt.Fprintf(w, `<!doctype html><title>Provider</title><form method="post"><input type="hidden" name="authRequestID" `+
		`value="%s"><input name="user"><input name="password" type="password"><button>Log in</button></form>`,
		html.EscapeString(id))
}

// editRedirect changes the query of a redirect to the application.
func (p *Provider) editRedirect(query url.Values) {
	if p.SendsIssuer {
		query.Set("iss", p.Issuer)
	}
	if p.EditRedirect != nil {
		p.EditRedirect(query)
	}
}

// serveEdited serves a request by the provider and lets edit change the JSON of the response.
func (p *Provider) serveEdited(w http.ResponseWriter, r *http.Request, edit func(map[string]any)) {
	recorder := httptest.NewRecorder()
	p.op.ServeHTTP(recorder, r)
	var fields map[string]any
	if err := json.Unmarshal(recorder.Body.Bytes(), &fields); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	edit(fields)
	body, _ := json.Marshal(fields)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(recorder.Code)
	w.Write(body)
}

// editToken applies EditClaims and EditToken to an ID token.
func (p *Provider) editToken(token string) string {
	if p.EditClaims != nil {
		parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256})
		if err != nil {
			return err.Error()
		}
		claims := map[string]any{}
		if err := parsed.UnsafeClaimsWithoutVerification(&claims); err != nil {
			return err.Error()
		}
		p.EditClaims(claims)
		token = p.Sign(claims)
	}
	if p.EditToken != nil {
		token = p.EditToken(token)
	}
	return token
}

// Sign signs claims with the provider's key.
func (p *Provider) Sign(claims any) string {
	key := p.store.key.Load()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: key.private},
		(&jose.SignerOptions{}).WithHeader("kid", key.id))
	if err != nil {
		return err.Error()
	}
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		return err.Error()
	}
	return token
}

// A redirectWriter is a response whose Location edit may change if it is an address of the application.
type redirectWriter struct {
	http.ResponseWriter
	edit func(url.Values)
}

func (w *redirectWriter) WriteHeader(status int) {
	location, err := url.Parse(w.Header().Get("Location"))
	if query := location.Query(); err == nil && strings.HasSuffix(location.Path, "/login/callback") {
		w.edit(query)
		location.RawQuery = query.Encode()
		w.Header().Set("Location", location.String())
	}
	w.ResponseWriter.WriteHeader(status)
}

// LogIn logs the user in as a browser does that is redirected to address: it submits the login form and follows the
// provider's redirects. It returns path and query of the last redirect, to the application.
func (p *Provider) LogIn(t testing.TB, address, user string) (callback string) {
	t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	follow := func(response *http.Response, err error) *url.URL {
		t.Helper()
		must.Succeed(t, err)
		response.Body.Close()
		location, err := response.Location()
		if err != nil {
			t.Fatalf("%s: status %s, want a redirect", response.Request.URL, response.Status)
		}
		return location
	}
	form := follow(client.Get(address))
	values := form.Query()
	values.Set("user", user)
	values.Set("password", Password)
	finish := follow(client.PostForm(p.Issuer+form.Path, values))
	return follow(client.Get(finish.String())).RequestURI()
}
