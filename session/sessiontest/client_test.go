package sessiontest_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"testing"

	"stateless-servers/session/sessiontest"
	"stateless-servers/session/sessiontest/must"
)

// A Client sends the cookies of all servers to each server. Clones don't share cookies that they get later.
func TestClientKeepsCookies(t *testing.T) {
	var servers [2]string
	for i := range servers {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/set":
				http.SetCookie(w, &http.Cookie{Name: r.FormValue("name"), Value: r.FormValue("value"), MaxAge: 60})
			case "/delete":
				http.SetCookie(w, &http.Cookie{Name: r.FormValue("name"), MaxAge: -1})
			}
			got := map[string]string{}
			for _, cookie := range r.Cookies() {
				got[cookie.Name] = cookie.Value
			}
			fmt.Fprint(w, got) // in the order of the names
		}))
		defer server.Close()
		servers[i] = server.URL
	}
	client := sessiontest.NewClient()
	ask := func(c *sessiontest.Client, server int, path, form, want string) {
		t.Helper()
		got := must.Get(c.Do(t.Context(), http.MethodPost, servers[server]+path, form))(t)
		if got.Body != want {
			t.Errorf("POST %s %s: sent %s, want %s", path, form, got.Body, want)
		}
	}
	ask(client, 0, "/set", "name=a&value=1", "map[]")
	ask(client, 1, "/set", "name=b&value=2", "map[a:1]")
	clone := client.Clone()
	ask(client, 0, "/delete", "name=a", "map[a:1 b:2]")
	client.SetCookie("c", "3")
	ask(client, 1, "/", "", "map[b:2 c:3]")
	client.SetCookie("b", "")
	ask(client, 1, "/", "", "map[c:3]")
	ask(clone, 0, "/", "", "map[a:1 b:2]")
	client.Cookies()["d"] = "4" // changes only a copy
	if got, want := client.Cookies(), map[string]string{"c": "3"}; !maps.Equal(got, want) {
		t.Errorf("the client has %v, want %v", got, want)
	}
}

func TestClientFollowsNoRedirects(t *testing.T) {
	server := httptest.NewServer(http.RedirectHandler("/elsewhere", http.StatusSeeOther))
	defer server.Close()
	got := must.Get(sessiontest.NewClient().Do(t.Context(), http.MethodGet, server.URL, ""))(t)
	if got.StatusCode != http.StatusSeeOther || got.Header.Get("Location") != "/elsewhere" {
		t.Errorf("got %s to %q", got.Status, got.Header.Get("Location"))
	}
}
