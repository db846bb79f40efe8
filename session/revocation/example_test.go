package revocation_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"stateless-servers/session"
	"stateless-servers/session/memory"
	"stateless-servers/session/revocation"
	"stateless-servers/session/sealing"
	"stateless-servers/session/token"
)

// newServer returns a web server that shows the logged-in user, and its follower.
func newServer(ctx context.Context, list revocation.List) (http.Handler, *revocation.Follower, error) {
	keys, err := sealing.ParseKeys("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=") // in production, read them from the environment
	if err != nil {
		return nil, nil, err
	}
	codec, err := token.New(keys, token.Options{Issuer: "https://shop.example", Audience: "shop"})
	if err != nil {
		return nil, nil, err
	}
	revoked, err := revocation.New(list, revocation.Options{})
	if err != nil {
		return nil, nil, err
	}
	manager, err := session.NewWithCodec(revoked.Codec(codec), session.Options{})
	if err != nil {
		return nil, nil, err
	}
	return manager.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := session.From(r.Context())
		var err error
		switch r.URL.Path {
		case "/login":
			err = s.Login(r.Context(), "ada")
		case "/logout":
			err = s.Logout(r.Context())
		}
		user, readErr := s.User(r.Context())
		fmt.Printf("%s %q %v %v\n", r.URL.Path, user, err, readErr)
	})), revoked, nil
}

// A thief copies a token. After its owner has logged out on one server, the other server refuses it too.
func Example() {
	ctx := context.Background()
	list := memory.NewRevocations() // in production, valkey.New(…).Revocations() or dynamodb.NewRevocations(…)
	var servers []http.Handler
	var followers []*revocation.Follower
	for range 2 {
		server, revoked, err := newServer(ctx, list)
		if err != nil {
			fmt.Println(err)
			return
		}
		servers, followers = append(servers, server), append(followers, revoked)
	}
	poll := func() {
		for _, revoked := range followers { // in production: go revoked.Follow(ctx, …)
			if err := revoked.Poll(ctx); err != nil {
				fmt.Println(err)
			}
		}
	}
	poll()
	send := func(server int, path string, cookie []*http.Cookie) []*http.Cookie {
		request := httptest.NewRequest(http.MethodPost, path, nil)
		for _, c := range cookie {
			request.AddCookie(c)
		}
		response := httptest.NewRecorder()
		servers[server].ServeHTTP(response, request)
		return response.Result().Cookies()
	}
	copied := send(0, "/login", nil)
	send(1, "/", copied)
	send(0, "/logout", copied)
	poll()
	send(1, "/", copied)
	// Output:
	// /login "ada" <nil> <nil>
	// / "ada" <nil> <nil>
	// /logout "" <nil> <nil>
	// / "" <nil> <nil>
}
