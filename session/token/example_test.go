package token_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"stateless-servers/session"
	"stateless-servers/session/sealing"
	"stateless-servers/session/token"
)

// newServer returns a web server that shows the logged-in user.
func newServer(secrets string) (http.Handler, error) {
	keys, err := sealing.ParseKeys(secrets)
	if err != nil {
		return nil, err
	}
	codec, err := token.New(keys, token.Options{Issuer: "https://shop.example", Audience: "shop"})
	if err != nil {
		return nil, err
	}
	manager, err := session.NewWithCodec(codec, session.Options{Lifetime: 8 * time.Hour})
	if err != nil {
		return nil, err
	}
	return manager.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := session.From(r.Context())
		if r.URL.Path == "/login" {
			role.Set(r.Context(), "clerk") // before Login, because sessions can't change after it
			if err := s.Login(r.Context(), "ada"); err != nil {
				fmt.Println(err)
			}
			return
		}
		user, err := s.User(r.Context())
		fmt.Println(user, err)
		fmt.Println(role.Get(r.Context()))
		role.Set(r.Context(), "owner")
		fmt.Println(s.Apply(r.Context()))
	})), nil
}

// Two servers share only the key and the options. A visitor logs in on one server and is logged in on the other.
func Example() {
	secret := make([]byte, 32)
	rand.Read(secret)
	secrets := base64.StdEncoding.EncodeToString(secret) // in production, read them from the environment

	var cookies []*http.Cookie
	for _, path := range []string{"/login", "/"} {
		server, err := newServer(secrets)
		if err != nil {
			fmt.Println(err)
			return
		}
		request := httptest.NewRequest(http.MethodPost, path, nil)
		for _, cookie := range cookies {
			request.AddCookie(cookie)
		}
		response := httptest.NewRecorder()
		server.ServeHTTP(response, request)
		cookies = response.Result().Cookies()
	}
	// Output:
	// ada <nil>
	// clerk true <nil>
	// change a session after its start: not supported by this session store (token)
}

// Servers sign with an RSA key, and other services verify tokens with the public keys that the servers show.
func ExampleCodec_KeySetHandler() {
	private, err := rsa.GenerateKey(rand.Reader, 2048) // in production, read the PEM from a secret
	if err != nil {
		fmt.Println(err)
		return
	}
	keys, err := token.ParseRSAKeys(string(pem.EncodeToMemory(&pem.Block{
		Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(private),
	})))
	if err != nil {
		fmt.Println(err)
		return
	}
	codec, err := token.New(sealing.Keys{}, token.Options{Issuer: "https://shop.example", Audience: "shop", RSAKeys: keys})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.Handle("GET /.well-known/jwks.json", codec.KeySetHandler())
	response := httptest.NewRecorder()
	mux.ServeHTTP(response, httptest.NewRequest(http.MethodGet, "/.well-known/jwks.json", nil))
	var set struct {
		Keys []struct{ Kty, Alg, Use, D string }
	}
	err = json.Unmarshal(response.Body.Bytes(), &set)
	fmt.Println(response.Header().Get("Cache-Control"), set.Keys, err)
	// Output: public, max-age=300 [{RSA RS256 sig }] <nil>
}
