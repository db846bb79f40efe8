package main

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"stateless-servers/app/config"
	"stateless-servers/app/login/logintest"
	"stateless-servers/session/sessiontest/storeserver"
)

// The program as it is deployed: one server begins a login, another finishes it, and both know the visitor. The servers
// share keys and, with a store on servers, that.
func TestLoginByAProvider(t *testing.T) {
	tests := map[config.Store]func(*testing.T, *config.Config){
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
				jar, err := cookiejar.New(nil) // cookies don't tell ports apart
				if err != nil {
					t.Fatal(err)
				}
				visitor := &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error {
					return http.ErrUseLastResponse
				}}
				response, err := visitor.PostForm(begins+"/login", url.Values{})
				if err != nil {
					t.Fatal(err)
				}
				response.Body.Close()
				callback := p.LogIn(t, response.Header.Get("Location"), "ann")
				response, err = visitor.Get(servers[1-first] + callback)
				if err != nil {
					t.Fatal(err)
				}
				response.Body.Close()
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

func loggedIn(t *testing.T, visitor *http.Client, server string) string {
	t.Helper()
	response, err := visitor.Get(server + "/api/session")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var state struct{ User string }
	if err := json.NewDecoder(response.Body).Decode(&state); err != nil {
		t.Fatal(err)
	}
	return state.User
}
