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
	"stateless-servers/session/token"
)

const redirect = "http://lab.example/login/callback"

// A fleet is two servers that share their sessions.
type fleet struct {
	servers [2]string
	log     *strings.Builder
	next    int
}

// newFleet starts servers of a store, "token" or "memory", that send visitors to the issuer.
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
			codec, failed := token.New(keys, token.Options{Issuer: "lab", Audience: "lab"})
			if failed != nil {
				t.Fatal(failed)
			}
			manager, err = session.NewWithCodec(codec, options)
		}
		if err != nil {
			t.Fatal(err)
		}
		client, err := login.New(login.Options{
			Issuer: issuer, ClientID: logintest.ClientID, RedirectURL: redirect, Keys: keys, PlainHTTP: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewServer(web.New(web.Options{
			Server: fmt.Sprintf("server-%d", i+1), Zone: "a", Sessions: manager, Board: board, Login: client, PlainHTTP: true,
			Logger: logger,
		}))
		t.Cleanup(server.Close)
		f.servers[i] = server.URL
	}
	return f
}

// A visitor is a client whose requests go to the fleet's servers in turn.
type visitor struct {
	*sessiontest.Client
	t     *testing.T
	fleet *fleet
}

func (f *fleet) visitor(t *testing.T) *visitor { return &visitor{sessiontest.NewClient(), t, f} }

type answer sessiontest.Response

func (v *visitor) do(method, path string, headers ...string) answer {
	v.t.Helper()
	server := v.fleet.servers[v.fleet.next%len(v.fleet.servers)]
	v.fleet.next++
	response, err := v.Do(v.t.Context(), method, server+path, "", headers...)
	if err != nil {
		v.t.Fatal(err)
	}
	return answer(response)
}

func (a answer) expect(t *testing.T, status int, text string) answer {
	t.Helper()
	if a.StatusCode != status || !strings.Contains(a.Body, text) {
		t.Errorf("%s %s: %s, want %d with %q\n%s", a.Request.Method, a.Request.URL, a.Status, status, text, a.Body)
	}
	return a
}

// begin returns where a login leads.
func (v *visitor) begin() string {
	v.t.Helper()
	return v.do(http.MethodPost, "/login").expect(v.t, http.StatusSeeOther, "").Header.Get("Location")
}

// user is who is logged in.
func (v *visitor) user() string {
	v.t.Helper()
	var state struct {
		Authenticated bool
		User          string
	}
	a := v.do(http.MethodGet, "/api/session").expect(v.t, http.StatusOK, "")
	if err := json.Unmarshal([]byte(a.Body), &state); err != nil || state.Authenticated != (state.User != "") {
		v.t.Errorf("%v: %s", err, a.Body)
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
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
