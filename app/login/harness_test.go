package login_test

import (
	"encoding/json"
	"fmt"
	"io"
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
			sealer, failed := token.New(keys, token.Options{Issuer: "lab", Audience: "lab"})
			if failed != nil {
				t.Fatal(failed)
			}
			manager, err = session.NewSealed(sealer, options)
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

// A visitor is a browser whose cookies the test sees. Each of its requests goes to the fleet's next server.
type visitor struct {
	t       *testing.T
	fleet   *fleet
	cookies map[string]string
}

func (f *fleet) visitor(t *testing.T) *visitor { return &visitor{t, f, map[string]string{}} }

type answer struct {
	*http.Response
	body string
}

func (v *visitor) do(method, path string, headers ...string) answer {
	v.t.Helper()
	server := v.fleet.servers[v.fleet.next%len(v.fleet.servers)]
	v.fleet.next++
	request, err := http.NewRequestWithContext(v.t.Context(), method, server+path, nil)
	if err != nil {
		v.t.Fatal(err)
	}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		request.Header.Set(name, value)
	}
	for name, value := range v.cookies {
		request.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		v.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	for _, cookie := range response.Cookies() {
		v.cookies[cookie.Name] = cookie.Value
		if cookie.MaxAge < 0 {
			delete(v.cookies, cookie.Name)
		}
	}
	return answer{response, string(body)}
}

func (a answer) expect(t *testing.T, status int, text string) answer {
	t.Helper()
	if a.StatusCode != status || !strings.Contains(a.body, text) {
		t.Errorf("%s %s: %s, want %d with %q\n%s", a.Request.Method, a.Request.URL, a.Status, status, text, a.body)
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
	if err := json.Unmarshal([]byte(a.body), &state); err != nil || state.Authenticated != (state.User != "") {
		v.t.Errorf("%v: %s", err, a.body)
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
