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
	"stateless-servers/session/sessiontest/must"
	"stateless-servers/session/sessiontest/storeserver"
)

// One server begins a login, another finishes it, and both know the user. The servers share the keys and, with a server-side
// store, the store.
func TestLoginAtAProvider(t *testing.T) {
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
			for first, beginner := range servers {
				client := sessiontest.NewClient()
				response := must.Get(client.Do(t.Context(), http.MethodPost, beginner+"/login", ""))(t)
				callback := p.LogIn(t, response.Header.Get("Location"), "ann")
				must.Get(client.Do(t.Context(), http.MethodGet, servers[1-first]+callback, ""))(t)
				for _, server := range servers {
					if got := loggedIn(t, client, server); got != logintest.Ann {
						t.Errorf("%s: logged in as %q, want %q", server, got, logintest.Ann)
					}
				}
			}
		})
	}
}

// A server requests the provider's configuration when it starts, so that its first logout can redirect there.
func TestServerRequestsProviderConfigurationAtStart(t *testing.T) {
	const redirect = "http://lab.example/login/callback"
	p := logintest.Start(t, redirect)
	requested := make(chan struct{}, 10) // more than the requests of one start
	p.Handle(logintest.DiscoveryPath, func(w http.ResponseWriter, _ *http.Request) {
		requested <- struct{}{}
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	_, _, end := serve(t, func(c *config.Config) {
		c.Store, c.SessionKeys = config.StoreToken, base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32)))
		c.OIDCIssuer, c.OIDCClientID, c.OIDCRedirectURL = p.Issuer, logintest.ClientID, redirect
	})
	select {
	case <-requested:
	case <-time.After(30 * time.Second):
		t.Error("the provider got no request for its configuration")
	}
	if err := end(); err != nil {
		t.Error(err)
	}
}

func loggedIn(t *testing.T, client *sessiontest.Client, server string) string {
	t.Helper()
	response := must.Get(client.Do(t.Context(), http.MethodGet, server+"/api/session", ""))(t)
	var state struct{ User string }
	must.Succeed(t, json.Unmarshal([]byte(response.Body), &state))
	return state.User
}
