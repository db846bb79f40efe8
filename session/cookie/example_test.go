package cookie_test

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"

	"stateless-servers/session"
	"stateless-servers/session/cookie"
	"stateless-servers/session/sealing"
)

// newServer returns a web server that counts visits.
func newServer(secrets string) (http.Handler, error) {
	keys, err := sealing.ParseKeys(secrets)
	if err != nil {
		return nil, err
	}
	codec, err := cookie.New(keys, "session")
	if err != nil {
		return nil, err
	}
	manager, err := session.NewWithCodec(codec, session.Options{CookieName: "session"})
	if err != nil {
		return nil, err
	}
	return manager.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		visits.Add(r.Context(), 1)
		n, err := visits.Get(r.Context())
		fmt.Println(n, err)
	})), nil
}

// Two servers share only the key. A visitor uses one after the other.
func Example() {
	secret := make([]byte, 32)
	rand.Read(secret)
	secrets := base64.StdEncoding.EncodeToString(secret) // in production, read them from the environment

	visit := httptest.NewRequest(http.MethodGet, "/", nil)
	for range 2 {
		server, err := newServer(secrets)
		if err != nil {
			fmt.Println(err)
			return
		}
		response := httptest.NewRecorder()
		server.ServeHTTP(response, visit)
		visit.AddCookie(response.Result().Cookies()[0])
	}
	// Output:
	// 1 <nil>
	// 2 <nil>
}
