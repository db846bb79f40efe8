package main

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"stateless-servers/app/config"
	"stateless-servers/app/login/logintest"
	"stateless-servers/session/sessiontest"
	"stateless-servers/session/sessiontest/storeserver"
)

// The program as it is deployed: one server begins a login, another finishes it, and both know the visitor. The servers
// share keys and, with a store on servers, that.
func TestLoginByAProvider(t *testing.T) {
	tests := map[config.StoreKind]func(*testing.T, *config.Config){
		config.StoreToken:  func(*testing.T, *config.Config) {},
		config.StoreCookie: func(*testing.T, *config.Config) {},
		config.StoreValkey: func(t *testing.T, c *config.Config) {
			c.ValkeyAddress = storeserver.ForTest(t, storeserver.Valkey).Addr
		},
	}
	for store, set := range tests {
		t.Run(string(store), func(t *testing.T) {
			const redirect = "http://lab.example/login/callback"
			p := logintest.Start(t, redirect)
			c := config.Config{Store: store}
			set(t, &c)
			var servers [2]string
			for i := range servers {
				servers[i], _, _ = serve(t, func(own *config.Config) {
					own.Store, own.ValkeyAddress = c.Store, c.ValkeyAddress
					own.SessionKeys = base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32)))
					own.OIDCIssuer, own.OIDCClientID, own.OIDCRedirectURL = p.Issuer, logintest.ClientID, redirect
				})
			}
			for first, begins := range servers {
				visitor := sessiontest.NewClient()
				answer, err := visitor.Do(t.Context(), http.MethodPost, begins+"/login", "")
				if err != nil {
					t.Fatal(err)
				}
				callback := p.LogIn(t, answer.Header.Get("Location"), "ann")
				if _, err := visitor.Do(t.Context(), http.MethodGet, servers[1-first]+callback, ""); err != nil {
					t.Fatal(err)
				}
				for _, server := range servers {
					if got := loggedIn(t, visitor, server); got != logintest.Ann {
						t.Errorf("%s: logged in as %q", server, got)
					}
				}
			}
		})
	}
}

// A server asks the provider for its configuration when it starts, so that its first logout leads there too.
func TestAServerPreparesForLogouts(t *testing.T) {
	const redirect = "http://lab.example/login/callback"
	p := logintest.Start(t, redirect)
	asked := make(chan struct{}, 10) // more than one start asks
	p.Replace(logintest.DiscoveryPath, func(w http.ResponseWriter, _ *http.Request) {
		asked <- struct{}{}
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	_, _, end := serve(t, func(c *config.Config) {
		c.Store, c.SessionKeys = config.StoreToken, base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32)))
		c.OIDCIssuer, c.OIDCClientID, c.OIDCRedirectURL = p.Issuer, logintest.ClientID, redirect
	})
	select {
	case <-asked:
	case <-time.After(30 * time.Second):
		t.Error("the provider isn't asked")
	}
	if err := end(); err != nil {
		t.Error(err)
	}
}

func loggedIn(t *testing.T, visitor *sessiontest.Client, server string) string {
	t.Helper()
	response, err := visitor.Do(t.Context(), http.MethodGet, server+"/api/session", "")
	if err != nil {
		t.Fatal(err)
	}
	var state struct{ User string }
	if err := json.Unmarshal([]byte(response.Body), &state); err != nil {
		t.Fatal(err)
	}
	return state.User
}
