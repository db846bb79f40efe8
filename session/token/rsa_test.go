package token_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"stateless-servers/session"
	"stateless-servers/session/sealing"
	"stateless-servers/session/sealing/sealingtest"
	"stateless-servers/session/sessiontest/must"
	"stateless-servers/session/token"
)

// rsaKey returns a private key for a letter, always the same.
var rsaKey = func() func(letter rune) *rsa.PrivateKey {
	var mu sync.Mutex
	keys := map[rune]*rsa.PrivateKey{}
	return func(letter rune) *rsa.PrivateKey {
		mu.Lock()
		defer mu.Unlock()
		if keys[letter] == nil {
			key, err := rsa.GenerateKey(rand.Reader, 2048)
			if err != nil {
				panic(err)
			}
			keys[letter] = key
		}
		return keys[letter]
	}
}()

// pemKeys returns a key in PEM for each letter: private for a lower-case one, and the public one of it for an upper-case one.
func pemKeys(t *testing.T, letters string) string {
	t.Helper()
	var text strings.Builder
	for _, letter := range letters {
		block := &pem.Block{Type: "PUBLIC KEY"}
		var err error
		if 'a' <= letter && letter <= 'z' {
			block.Type = "PRIVATE KEY"
			block.Bytes, err = x509.MarshalPKCS8PrivateKey(rsaKey(letter))
		} else {
			block.Bytes, err = x509.MarshalPKIXPublicKey(&rsaKey(letter + 'a' - 'A').PublicKey)
		}
		must.Succeed(t, err)
		text.Write(pem.EncodeToMemory(block))
	}
	return text.String()
}

const issuer, audience = "https://shop.example", "shop"

// newRSACodec returns a codec with secret keys and RSA keys.
func newRSACodec(t *testing.T, secrets, letters string) *token.Codec {
	t.Helper()
	options := token.Options{Issuer: issuer, Audience: audience}
	var err error
	if letters != "" {
		if options.RSAKeys, err = token.ParseRSAKeys(pemKeys(t, letters)); err != nil {
			t.Fatal(err)
		}
	}
	var keys sealing.Keys
	if secrets != "" {
		keys = sealingtest.Keys(t, secrets)
	}
	codec, err := token.New(keys, options)
	must.Succeed(t, err)
	return codec
}

func encode(t *testing.T, codec *token.Codec) string {
	t.Helper()
	now := time.Now()
	value, err := codec.Encode(session.ID{1}, session.Record{
		User: "ada", Values: map[string]string{"role": `"clerk"`}, Created: now, Expires: now.Add(time.Hour),
	})
	must.Succeed(t, err)
	return value
}

func accepts(codec *token.Codec, value string) bool {
	_, record, err := codec.Decode(value, time.Now())
	return err == nil && record.User == "ada"
}

// keySet returns the public keys that a codec serves, by kid, read without the library that signs.
func keySet(t *testing.T, codec *token.Codec) map[string]*rsa.PublicKey {
	t.Helper()
	response := httptest.NewRecorder()
	codec.KeySetHandler().ServeHTTP(response, httptest.NewRequest(http.MethodGet, "/.well-known/jwks.json", nil))
	if cache := response.Header().Get("Cache-Control"); response.Code != http.StatusOK || cache != "public, max-age=300" {
		t.Fatalf("status %d, Cache-Control %q", response.Code, cache)
	}
	var set struct {
		Keys []map[string]string `json:"keys"`
	}
	must.Succeed(t, json.Unmarshal(response.Body.Bytes(), &set))
	keys := map[string]*rsa.PublicKey{}
	for _, key := range set.Keys {
		if members := slices.Sorted(maps.Keys(key)); !slices.Equal(members, []string{"alg", "e", "kid", "kty", "n", "use"}) {
			t.Errorf("a key has the members %v, want those of a public RSA key only", members)
		}
		if key["kty"] != "RSA" || key["alg"] != "RS256" || key["use"] != "sig" {
			t.Errorf("got the key %v", key)
		}
		var numbers [2]big.Int
		for i, name := range []string{"n", "e"} {
			bytes := must.Get(base64.RawURLEncoding.DecodeString(key[name]))(t)
			numbers[i].SetBytes(bytes)
		}
		keys[key["kid"]] = &rsa.PublicKey{N: &numbers[0], E: int(numbers[1].Int64())}
	}
	return keys
}

// Another service verifies a token with the public key set and another library, as soon as it is issued and without leeway.
func TestOthersVerifyTokens(t *testing.T) {
	codec := newRSACodec(t, "a", "ab")
	keys := keySet(t, codec)
	if len(keys) != 2 {
		t.Fatalf("%d public keys, want 2", len(keys))
	}
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"RS256"}), jwt.WithIssuer(issuer), jwt.WithAudience(audience),
		jwt.WithIssuedAt(), jwt.WithExpirationRequired())
	find := func(token *jwt.Token) (any, error) {
		if key := keys[token.Header["kid"].(string)]; key != nil {
			return key, nil
		}
		return nil, errors.New("unknown kid")
	}
	var claims struct {
		jwt.RegisteredClaims
		Values map[string]any `json:"values"`
	}
	value := encode(t, codec)
	must.Get(parser.ParseWithClaims(value, &claims, find))(t)
	if claims.Subject != "ada" || claims.ID != (session.ID{1}).String() || claims.Values["role"] != "clerk" {
		t.Errorf("got the claims %+v", claims)
	}
	last := value[:len(value)-2] + "AA"
	if _, err := parser.ParseWithClaims(last, &claims, find); err == nil {
		t.Error("the other library accepts a damaged signature")
	}
}

// Secret keys are never served.
func TestKeySetWithoutRSAKeysIsEmpty(t *testing.T) {
	if keys := keySet(t, newRSACodec(t, "ab", "")); len(keys) != 0 {
		t.Errorf("%d keys are served, want none: secret keys must not be", len(keys))
	}
}

// The steps by which servers go from HS256 to RS256 and rotate RSA keys, each with servers of two steps side by side. An upper-case
// letter is the public key alone.
func TestRSARotation(t *testing.T) {
	steps := [][2]string{{"s", ""}, {"s", "A"}, {"s", "a"}, {"s", "aB"}, {"s", "bA"}, {"s", "b"}, {"", "b"}}
	for i, step := range steps {
		for j := max(i-1, 0); j <= min(i+1, len(steps)-1); j++ {
			value := encode(t, newRSACodec(t, step[0], step[1]))
			if !accepts(newRSACodec(t, steps[j][0], steps[j][1]), value) {
				t.Errorf("a token of keys %q is refused by a server with keys %q", step, steps[j])
			}
		}
	}
	for _, refused := range [][2][2]string{{{"s", "a"}, {"s", ""}}, {{"s", "b"}, {"s", "a"}}, {{"s", ""}, {"", "b"}}} {
		if accepts(newRSACodec(t, refused[1][0], refused[1][1]), encode(t, newRSACodec(t, refused[0][0], refused[0][1]))) {
			t.Errorf("a token of keys %q is accepted by a server with keys %q", refused[0], refused[1])
		}
	}
}

// The key fixes the algorithm: the public key is no secret of HS256, and no algorithm of the token's choice is used.
func TestRSAKeysFixTheAlgorithm(t *testing.T) {
	codec := newRSACodec(t, "s", "a")
	value := encode(t, codec)
	kid, hmacKid := header(t, value)["kid"], header(t, encode(t, newRSACodec(t, "s", "")))["kid"]
	var claims jwt.MapClaims
	if _, _, err := jwt.NewParser().ParseUnverified(value, &claims); err != nil {
		t.Fatal(err)
	}
	public := must.Get(x509.MarshalPKIXPublicKey(&rsaKey('a').PublicKey))(t)
	sign := func(method jwt.SigningMethod, kid any, key any) string {
		made := jwt.NewWithClaims(method, claims)
		delete(made.Header, "typ")
		if kid != nil {
			made.Header["kid"] = kid
		}
		return must.Get(made.SignedString(key))(t)
	}
	if !accepts(codec, sign(jwt.SigningMethodRS256, kid, rsaKey('a'))) {
		t.Fatal("a token of the other library, signed with the key, is refused")
	}
	for name, forged := range map[string]string{
		"HS256 with the public key":      sign(jwt.SigningMethodHS256, kid, public),
		"HS256 with the public key, PEM": sign(jwt.SigningMethodHS256, kid, []byte(pemKeys(t, "A"))),
		"HS256 with the modulus":         sign(jwt.SigningMethodHS256, kid, rsaKey('a').N.Bytes()),
		"RS256 with the secret's kid":    sign(jwt.SigningMethodRS256, hmacKid, rsaKey('a')),
		"RS256 with another key":         sign(jwt.SigningMethodRS256, kid, rsaKey('b')),
		"RS256 without a kid":            sign(jwt.SigningMethodRS256, nil, rsaKey('a')),
		"RS512":                          sign(jwt.SigningMethodRS512, kid, rsaKey('a')),
		"PS256":                          sign(jwt.SigningMethodPS256, kid, rsaKey('a')),
		"none":                           sign(jwt.SigningMethodNone, kid, jwt.UnsafeAllowNoneSignatureType),
	} {
		if accepts(codec, forged) {
			t.Errorf("%s is accepted", name)
		}
	}
}

func header(t *testing.T, value string) map[string]any {
	t.Helper()
	text := must.Get(base64.RawURLEncoding.DecodeString(strings.Split(value, ".")[0]))(t)
	var header map[string]any
	must.Succeed(t, json.Unmarshal(text, &header))
	return header
}

func TestBadRSAKeys(t *testing.T) {
	small := must.Get(rsa.GenerateKey(rand.Reader, 1024))(t)
	block := func(kind string, bytes []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes}))
	}
	good := pemKeys(t, "a")
	secret := strings.Split(good, "\n")[3]
	for text, says := range map[string]string{
		"":                                "there are 0",
		"no PEM":                          "there are 0",
		good + good:                       "keys 1 and 2 are the same",
		good + "end":                      "after key 1",
		pemKeys(t, "aA"):                  "the same",
		pemKeys(t, "abcdefghi"):           "there are 9",
		block("CERTIFICATE", nil):         "CERTIFICATE",
		block("PRIVATE KEY", []byte("x")): "damaged",
		block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(small)):       "1024 bits",
		block("ENCRYPTED PRIVATE KEY", []byte("x")):                        "ENCRYPTED",
		strings.Replace(good, secret, strings.Repeat("A", len(secret)), 1): "",
	} {
		_, err := token.ParseRSAKeys(text)
		if err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "openssl genrsa 2048") {
			t.Errorf("%.30q: %v, want a word of %q", text, err, says)
		} else if strings.Contains(err.Error(), secret) {
			t.Errorf("the error shows the key: %v", err)
		}
	}
	keys := must.Get(token.ParseRSAKeys(good))(t)
	if text := fmt.Sprintf("%+v %#v", keys, token.Options{RSAKeys: keys}); strings.Contains(text, rsaKey('a').D.String()) {
		t.Error("printing the keys shows the private key")
	}
	public := must.Get(token.ParseRSAKeys(pemKeys(t, "A")))(t)
	if _, err := token.New(sealing.Keys{}, token.Options{Audience: "a", RSAKeys: public}); err == nil {
		t.Error("a codec without a key that signs is accepted")
	}
}

// A token without an issuer has no claim "iss".
func TestNoIssuer(t *testing.T) {
	codec := must.Get(token.New(sealingtest.Keys(t, "a"), token.Options{Audience: audience}))(t)
	value := encode(t, codec)
	var claims jwt.MapClaims
	if _, _, err := jwt.NewParser().ParseUnverified(value, &claims); err != nil {
		t.Fatal(err)
	}
	if _, ok := claims["iss"]; ok || !accepts(codec, value) {
		t.Errorf("got the claims %v", claims)
	}
	if accepts(codec, encode(t, newRSACodec(t, "a", ""))) {
		t.Error("a token of an issuer is accepted")
	}
}

// A client without cookies sends the token in the header.
func TestBearer(t *testing.T) {
	codec := newRSACodec(t, "s", "a")
	for header, enabled := range map[string]bool{"Authorization": true, "": false} {
		manager := must.Get(session.NewWithCodec(codec, session.Options{TokenHeader: header}))(t)
		handler := manager.Handler(http.HandlerFunc(serve))
		get := func(authorization string) *httptest.ResponseRecorder {
			request := httptest.NewRequest(http.MethodGet, "/", nil)
			request.Header.Set("Authorization", authorization)
			response := httptest.NewRecorder()
			handler.ServeHTTP(response, request)
			return response
		}
		value := encode(t, codec)
		for authorization, accepted := range map[string]bool{
			"Bearer " + value: true, "bearer  " + value: true,
			"Basic " + value: false, value: false, "Bearer": false, "Bearer " + value + "A": false, "": false,
		} {
			want := " "
			if accepted && enabled {
				want = "ada clerk"
			}
			response := get(authorization)
			if got := response.Body.String(); got != want {
				t.Errorf("enabled %v, Authorization %.20q: got %q, want %q", enabled, authorization, got, want)
			}
			if len(response.Result().Cookies()) > 0 {
				t.Errorf("Authorization %.20q: a cookie is set", authorization)
			}
		}
		if vary := strings.Join(get("Bearer "+value).Header().Values("Vary"), ","); enabled != strings.Contains(vary, "Authorization") {
			t.Errorf("enabled %v: Vary %q", enabled, vary)
		}
	}
}
