// Package logintest runs an OpenID Connect provider for tests: a real one, of github.com/zitadel/oidc, that keeps users
// with passwords, and that can be made to misbehave.
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
)

// The clients that a Provider knows, one without a secret and one with, and its users.
const (
	ClientID       = "lab"
	SecretClientID = "lab-with-secret"
	ClientSecret   = "a secret of the client: 100% & more"

	Password = "correct horse"
	Ann      = "subject-of-ann" // who calls herself ann
	Bob      = "subject-of-bob" // who calls himself bob
)

// A Provider is a running one. What it does wrong is set before it is asked.
type Provider struct {
	Issuer string
	// Claims changes the claims of ID tokens before they are signed; nil leaves them.
	EditClaims func(claims map[string]any)
	// Token changes ID tokens after they were signed; nil leaves them.
	EditToken func(token string) string
	// Answer changes what the provider says to the application by way of the browser; nil leaves it.
	EditRedirect func(query url.Values)
	// SendsIssuer makes the provider name itself in its answers, and say of itself that it does (RFC 9207).
	SendsIssuer bool
	// Exchanges counts the requests for tokens, Discoveries those for the provider's configuration, and KeyRequests those
	// for its keys.
	Exchanges, Discoveries, KeyRequests atomic.Int64

	down     atomic.Bool
	handlers sync.Map // http.Handler by path
	store    *store
	op       op.OpenIDProvider
}

// Start starts a provider that ends with the test. It leads to the redirect addresses alone, and after a logout to the
// addresses at the root of theirs.
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
	if err != nil {
		t.Fatal(err)
	}
	server.Start()
	t.Cleanup(server.Close)
	return p
}

// Down makes the provider fail every request, or stop failing.
func (p *Provider) SetDown(down bool) { p.down.Store(down) }

// The paths of what Replace can replace: a provider's configuration, its keys, and the exchange of codes for tokens.
const (
	DiscoveryPath = oidc.DiscoveryEndpoint
	KeysPath      = "/keys"
	ExchangePath  = "/oauth/token"
)

// Replace has handler answer the requests for a path in the provider's place, or, when handler is nil, the provider itself.
func (p *Provider) Handle(path string, handler http.HandlerFunc) {
	if handler == nil {
		p.handlers.Delete(path)
		return
	}
	p.handlers.Store(path, handler)
}

// RotateKey replaces the key that tokens are signed with. The old one is gone at once.
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
		p.serveEdited(w, r, func(answer map[string]any) {
			if token, ok := answer["id_token"].(string); ok {
				answer["id_token"] = p.editToken(token)
			}
		})
	case DiscoveryPath:
		p.serveEdited(w, r, func(answer map[string]any) {
			answer["authorization_response_iss_parameter_supported"] = p.SendsIssuer
		})
	default:
		p.op.ServeHTTP(&redirectWriter{w, p.editRedirect}, r)
	}
}

const loginPath = "/login/username" // that of the example's clients

// login asks for a name and a password, as providers do.
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

// answer is what the browser brings back to the application.
func (p *Provider) editRedirect(query url.Values) {
	if p.SendsIssuer {
		query.Set("iss", p.Issuer)
	}
	if p.EditRedirect != nil {
		p.EditRedirect(query)
	}
}

// change answers as the provider does, with JSON that was changed.
func (p *Provider) serveEdited(w http.ResponseWriter, r *http.Request, change func(map[string]any)) {
	recorder := httptest.NewRecorder()
	p.op.ServeHTTP(recorder, r)
	var answer map[string]any
	if err := json.Unmarshal(recorder.Body.Bytes(), &answer); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	change(answer)
	body, _ := json.Marshal(answer)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(recorder.Code)
	w.Write(body)
}

// changed is an ID token with what is wrong about it.
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

// A redirectWriter is a response whose Location is changed when it has an answer for the application.
type redirectWriter struct {
	http.ResponseWriter
	change func(url.Values)
}

func (w *redirectWriter) WriteHeader(status int) {
	location, err := url.Parse(w.Header().Get("Location"))
	if query := location.Query(); err == nil && strings.HasSuffix(location.Path, "/login/callback") {
		w.change(query)
		location.RawQuery = query.Encode()
		w.Header().Set("Location", location.String())
	}
	w.ResponseWriter.WriteHeader(status)
}

// LogIn does what a browser does that is sent to address: the user gives the password there. It returns where the provider
// sends it then: the path and the query of the redirect address.
func (p *Provider) LogIn(t testing.TB, address, user string) (callback string) {
	t.Helper()
	browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	follow := func(response *http.Response, err error) *url.URL {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		location, err := response.Location()
		if err != nil {
			t.Fatalf("%s: the provider leads nowhere: %s", response.Request.URL, response.Status)
		}
		return location
	}
	form := follow(browser.Get(address))
	values := form.Query()
	values.Set("user", user)
	values.Set("password", Password)
	finish := follow(browser.PostForm(p.Issuer+form.Path, values))
	return follow(browser.Get(finish.String())).RequestURI()
}
