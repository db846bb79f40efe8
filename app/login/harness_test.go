package login_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"stateless-servers/app/leaderboard"
	"stateless-servers/app/login"
	"stateless-servers/app/login/logintest"
	"stateless-servers/app/web"
	"stateless-servers/session"
	"stateless-servers/session/memory"
	"stateless-servers/session/sealing/sealingtest"
	"stateless-servers/session/sessiontest"
	"stateless-servers/session/sessiontest/must"
	"stateless-servers/session/token"
)

const redirect = "http://lab.example/login/callback"

// A fleet is two servers that share their sessions.
type fleet struct {
	servers [2]string
	log     *strings.Builder
	next    int
}

// newFleet starts servers with a store, "token" or "memory", and a login at the issuer.
func newFleet(t *testing.T, store, issuer string) *fleet {
	t.Helper()
	f := &fleet{log: &strings.Builder{}}
	keys := sealingtest.Keys(t, "a")
	logger := slog.New(slog.NewJSONHandler(f.log, nil))
	shared, board := memory.New(), leaderboard.NewMemory()
	for i := range f.servers {
		options := session.Options{
			PlainHTTP: true, Logger: slog.New(slog.DiscardHandler), ErrorHandler: web.ErrorHandler(logger),
		}
		manager, err := session.New(shared, options)
		if store == "token" {
			codec := must.Get(token.New(keys, token.Options{Issuer: "lab", Audience: "lab"}))(t)
			manager, err = session.NewWithCodec(codec, options)
		}
		must.Succeed(t, err)
		client, err := login.New(login.Options{
			Issuer: issuer, ClientID: logintest.ClientID, RedirectURL: redirect, Keys: keys, PlainHTTP: true,
		})
		must.Succeed(t, err)
		server := httptest.NewServer(web.New(web.Options{
			Server: fmt.Sprintf("server-%d", i+1), Zone: "a", Sessions: manager, Board: board, Login: client, PlainHTTP: true,
			Logger: logger,
		}))
		t.Cleanup(server.Close)
		f.servers[i] = server.URL
	}
	return f
}

// A client keeps cookies and sends its requests to the fleet's servers in turn.
type client struct {
	*sessiontest.Client
	t     *testing.T
	fleet *fleet
}

func (f *fleet) client(t *testing.T) *client { return &client{sessiontest.NewClient(), t, f} }

type response sessiontest.Response

func (c *client) do(method, path string, headers ...string) response {
	c.t.Helper()
	server := c.fleet.servers[c.fleet.next%len(c.fleet.servers)]
	c.fleet.next++
	got := must.Get(c.Do(c.t.Context(), method, server+path, "", headers...))(c.t)
	return response(got)
}

func (r response) expect(t *testing.T, status int, text string) response {
	t.Helper()
	if r.StatusCode != status || !strings.Contains(r.Body, text) {
		t.Errorf("%s %s: %s, want %d with %q\n%s", r.Request.Method, r.Request.URL, r.Status, status, text, r.Body)
	}
	return r
}

// begin begins a login and returns the address that it redirects to.
func (c *client) begin() string {
	c.t.Helper()
	return c.do(http.MethodPost, "/login").expect(c.t, http.StatusSeeOther, "").Header.Get("Location")
}

// user returns the user who is logged in.
func (c *client) user() string {
	c.t.Helper()
	var state struct {
		Authenticated bool
		User          string
	}
	r := c.do(http.MethodGet, "/api/session").expect(c.t, http.StatusOK, "")
	if err := json.Unmarshal([]byte(r.Body), &state); err != nil || state.Authenticated != (state.User != "") {
		c.t.Errorf("%v: %s", err, r.Body)
	}
	return state.User
}

func stores(t *testing.T, test func(*testing.T, string)) {
	for _, store := range []string{"token", "memory"} {
		t.Run(store, func(t *testing.T) { test(t, store) })
	}
}

func parse(t *testing.T, address string) *url.URL {
	t.Helper()
	return must.Get(url.Parse(address))(t)
}
