package login_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"stateless-servers/app/login/logintest"
	"stateless-servers/session/sessiontest/must"
)

// planted is a text of the attacker that must reach neither the visitor nor the log.
const planted = "planted-by-an-attacker"

// attacks returns logins that are manipulated by the visitor, another site, or a compromised provider.
func attacks(t *testing.T) []refusal {
	const invalid, reported = "The login provider&#39;s response isn&#39;t valid", "The login provider reports an unknown error"
	redirect := func(name, value string) func(*logintest.Provider) {
		return func(p *logintest.Provider) { p.EditRedirect = func(query url.Values) { query.Set(name, value) } }
	}
	claim := func(name string, value any) func(*logintest.Provider) {
		return func(p *logintest.Provider) { p.EditClaims = func(claims map[string]any) { claims[name] = value } }
	}
	exchange := func(status int, body func(*http.Request) map[string]any) func(*logintest.Provider) {
		return func(p *logintest.Provider) {
			p.Handle(logintest.ExchangePath, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(status)
				json.NewEncoder(w).Encode(body(r))
			})
		}
	}
	echo := func(field string) func(*logintest.Provider) {
		return exchange(http.StatusBadRequest, func(r *http.Request) map[string]any {
			return map[string]any{
				"error": "invalid_grant", "error_description": planted + " " + r.FormValue(field), "error_uri": "https://p.example",
			}
		})
	}
	tests := []refusal{
		{"the code of another login", func(p *logintest.Provider) {
			other := newFleet(t, "token", p.Issuer).client(t)
			code := parse(t, p.LogIn(t, other.begin(), "bob")).Query().Get("code")
			p.EditRedirect = func(query url.Values) { query.Set("code", code) }
		}, "refused the login&#39;s code", "invalid_grant"},
		{"the ID token of another login", func(p *logintest.Provider) {
			var stolen string
			p.EditToken = func(token string) string { stolen = token; return token }
			other := newFleet(t, "token", p.Issuer).client(t)
			other.do(http.MethodGet, p.LogIn(t, other.begin(), "bob")).expect(t, http.StatusSeeOther, "")
			p.EditToken = func(string) string { return stolen }
		}, invalid, "nonce"},
		{"an HMAC with the public key as its secret", func(p *logintest.Provider) {
			p.EditToken = func(token string) string {
				return resign(t, token, jose.SigningKey{Algorithm: jose.HS256, Key: publicPEM(t, p)}, nil)
			}
		}, invalid, "unexpected signature algorithm"},
		{"a key inside the token", func(p *logintest.Provider) {
			own := must.Get(rsa.GenerateKey(rand.Reader, 2048))(t) // not in EditToken: the server waits for the token for two seconds only
			p.EditToken = func(token string) string {
				return resign(t, token, jose.SigningKey{Algorithm: jose.RS256, Key: own}, &jose.SignerOptions{EmbedJWK: true})
			}
		}, invalid, "verify signature"},
		{"a token that isn't in compact form", func(p *logintest.Provider) {
			p.EditToken = func(token string) string {
				parts := strings.Split(token, ".")
				return fmt.Sprintf(`{"protected":%q,"payload":%q,"signature":%q}`, parts[0], parts[1], parts[2])
			}
		}, invalid, "compact"},
		{"a key that takes long to verify with", func(p *logintest.Provider) {
			const size = 2048 // bytes: eight times the usual, for which verifying takes 64 times as long
			modulus := make([]byte, size)
			rand.Read(modulus)
			modulus[0], modulus[size-1] = 0x80, 1
			public := &rsa.PublicKey{N: new(big.Int).SetBytes(modulus), E: 65537}
			key := jose.JSONWebKey{Key: public, KeyID: "large", Algorithm: "RS256"}
			p.Handle(logintest.KeysPath, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{key}})
			})
			p.EditToken = func(token string) string {
				encoded := base64.RawURLEncoding.EncodeToString
				head, claims := encoded([]byte(`{"alg":"RS256","kid":"large"}`)), strings.Split(token, ".")[1]
				return head + "." + claims + "." + encoded(make([]byte, size))
			}
		}, invalid, "signature has 2048 bytes"},
		{"keys that aren't JSON keys", func(p *logintest.Provider) {
			p.Handle(logintest.KeysPath, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				io.WriteString(w, `{"keys":"`+strings.Repeat("key", 50_000)+`"}`)
			})
		}, invalid, "keys"},
		{"keys that redirect", func(p *logintest.Provider) {
			p.Handle(logintest.KeysPath, http.RedirectHandler("http://127.0.0.1:1/keys", http.StatusFound).ServeHTTP)
		}, invalid, "302 Found"},
		{"an error that is markup", redirect("error", `<script src="//evil.example">`+planted+`</script>`), reported, ""},
		{"an error that is a message", redirect("error", "Call 555 0100 "+planted), reported, ""},
		{"a very long error", redirect("error", strings.Repeat(planted, 300)), reported, ""},
		{"an error with a description", func(p *logintest.Provider) {
			p.EditRedirect = func(query url.Values) {
				query.Set("error", "server_error")
				query.Set("error_description", planted)
				query.Set("error_uri", "https://evil.example/"+planted)
			}
		}, "server_error", ""},
		{"a very long issuer", redirect("iss", strings.Repeat("https://other.example/", 200)), invalid,
			"https://other.example"},
		{"a very long audience", claim("aud", strings.Repeat("other", 20_000)), invalid, "expected audience"},
		{"a very long authorized party", claim("azp", strings.Repeat("other", 20_000)), invalid, "issued to"},
		{"a very long error of the exchange", exchange(http.StatusBadRequest, func(*http.Request) map[string]any {
			return map[string]any{"error": "invalid_grant", "error_description": strings.Repeat("long", 100_000)}
		}), "refused the login&#39;s code", "invalid_grant"},
		{"a description that repeats the code", echo("code"), "refused the login&#39;s code", "invalid_grant"},
		{"a description that repeats the verifier", echo("code_verifier"), "refused the login&#39;s code", "invalid_grant"},
		{"an error that repeats the verifier", exchange(http.StatusBadRequest, func(r *http.Request) map[string]any {
			return map[string]any{"error": planted + r.FormValue("code_verifier")}
		}), "refused the login&#39;s code", "400 Bad Request"},
		{"only an access token", exchange(http.StatusOK, func(*http.Request) map[string]any {
			return map[string]any{"access_token": "a", "token_type": "Bearer"}
		}), invalid, "malformed jwt"},
		{"an ID token that is a number", exchange(http.StatusOK, func(*http.Request) map[string]any {
			return map[string]any{"access_token": "a", "token_type": "Bearer", "id_token": 1}
		}), invalid, "malformed jwt"},
		{"a name that is a number", claim("preferred_username", 1), invalid, "cannot unmarshal"},
	}
	for name, subject := range map[string]any{
		"of another script": "änn", "of two spellings": "ann\u0301", "that was no UTF-8": "ann\ufffd", "with a zero": "ann\x00",
		"with a line break": "ann\n", "that turns around": "ann\u202e", "of spaces": "   ", "that is invisible": "\u3164",
	} {
		tests = append(tests, refusal{"a subject " + name, claim("sub", subject), invalid, "subject"})
	}
	return append(tests, refusal{"a subject that is a number", claim("sub", 1), invalid, "cannot unmarshal"})
}

// resign returns an ID token with the same claims, signed by another key.
func resign(t *testing.T, token string, key jose.SigningKey, options *jose.SignerOptions) string {
	t.Helper()
	claims, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		t.Error(err)
	}
	signer, err := jose.NewSigner(key, options)
	if err != nil {
		t.Error(err)
		return ""
	}
	signed, err := signer.Sign(claims)
	if err != nil {
		t.Error(err)
		return ""
	}
	compact, err := signed.CompactSerialize()
	if err != nil {
		t.Error(err)
	}
	return compact
}

// publicPEM returns the provider's public key in PEM, which some libraries accept as an HMAC secret by mistake.
func publicPEM(t *testing.T, p *logintest.Provider) []byte {
	t.Helper()
	response, err := http.Get(p.Issuer + logintest.KeysPath)
	if err != nil {
		t.Error(err)
		return nil
	}
	defer response.Body.Close()
	var keys jose.JSONWebKeySet
	if err := json.NewDecoder(response.Body).Decode(&keys); err != nil || len(keys.Keys) != 1 {
		t.Errorf("the provider's keys: %v, %v", keys.Keys, err)
		return nil
	}
	der, err := x509.MarshalPKIXPublicKey(keys.Keys[0].Key)
	if err != nil {
		t.Error(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}
