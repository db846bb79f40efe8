package dashboard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"stateless-servers/app/config"
	"stateless-servers/lab/balancer"
	"stateless-servers/lab/fleet"
	"stateless-servers/lab/load"
)

// fake is a Fleet of two servers that records calls.
type fake struct {
	servers []fleet.Server
	errors  balancer.Errors
	calls   []string
	err     error // returned by Add, Kill and Stop, and by Pause and Resume of the store
}

func newFake() *fake {
	return &fake{servers: []fleet.Server{
		{Name: "server-1", Zone: "a", PID: 11, Address: "127.0.0.1:1001", State: balancer.StateHealthy, Requests: 7, Process: fleet.ProcessRunning},
		{Name: "server-2", Zone: "b", PID: 12, Address: "127.0.0.1:1002", State: balancer.StateUnhealthy, Process: fleet.ProcessRunning},
	}}
}

func (f *fake) Servers() []fleet.Server { return f.servers }

func (f *fake) Errors() balancer.Errors { return f.errors }

func (f *fake) Server(name string) (fleet.Server, error) {
	for _, s := range f.servers {
		if s.Name == name {
			return s, nil
		}
	}
	return fleet.Server{}, fmt.Errorf("%s: %w", name, fleet.ErrNoServer)
}

func (f *fake) Add(context.Context) (fleet.Server, error) {
	f.calls = append(f.calls, "add")
	return fleet.Server{Name: "server-3", Zone: "c", PID: 13, Address: "127.0.0.1:1003", State: balancer.StateHealthy}, f.err
}

func (f *fake) Kill(name string) error {
	f.calls = append(f.calls, "kill "+name)
	return f.err
}

func (f *fake) Pause() error { f.calls = append(f.calls, "pause"); return f.err }

func (f *fake) Resume() error { f.calls = append(f.calls, "resume"); return f.err }

func (f *fake) Stop(name string) (<-chan struct{}, error) {
	f.calls = append(f.calls, "stop "+name)
	return nil, f.err
}

const html = "text/html,application/xhtml+xml,*/*;q=0.8"

func request(t *testing.T, f *fake, method, path string, header map[string]string) *httptest.ResponseRecorder {
	t.Helper()
	return requestWithForm(t, f, method, path, header, "")
}

// newPage returns a page whose load switch runs no loads.
func newPage(t *testing.T, f *fake) *Page {
	t.Helper()
	info := Info{Store: config.StoreMemory, StoreName: "each server's own memory", Address: "127.0.0.1:8080", Sticky: true}
	page, err := New(info, f, f, NewEvents(func(string) {}))
	if err != nil {
		t.Fatal(err)
	}
	page.load.run = func(context.Context, Level, func(load.Progress)) (load.Result, error) {
		return load.Result{}, errors.New("no load in this test")
	}
	t.Cleanup(page.Close)
	return page
}

func requestWithForm(t *testing.T, f *fake, method, path string, header map[string]string, form string) *httptest.ResponseRecorder {
	t.Helper()
	handler := newPage(t, f)
	request := httptest.NewRequest(method, path, strings.NewReader(form))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Host = "127.0.0.1:8080"
	for key, value := range header {
		if key == "Host" {
			request.Host = value
		} else {
			request.Header.Set(key, value)
		}
	}
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, request)
	return recorder
}

func TestFleetAsJSON(t *testing.T) {
	got := request(t, newFake(), "GET", "/_lab/fleet", nil)
	want := `{"store":"memory","store_name":"each server's own memory","address":"127.0.0.1:8080","sticky":true,"servers":[` +
		`{"name":"server-1","zone":"a","pid":11,"address":"127.0.0.1:1001","state":"healthy","requests":7,"process":"running","rate":0,"failed":0},` +
		`{"name":"server-2","zone":"b","pid":12,"address":"127.0.0.1:1002","state":"unhealthy","requests":0,"process":"running","rate":0,"failed":0}],` +
		`"rate":0,"failed_rate":0,"p99_ms":0,"failed":0,"store_state":{"reach":"none","latency_ms":0,"detail":"","paused":false},` +
		`"load":{"level":"off","target_rate":0,"visitors":0,"phase":"","requests":0,"failed":0,"p50_ms":0,"p99_ms":0,` +
		`"sessions":{"total":0,"lost":0,"lost_updates":0,"stale_reads":0,"crossed":0,"resurrected":0}},"events":[]}`
	if body := strings.TrimSpace(got.Body.String()); got.Code != 200 || body != want {
		t.Errorf("got %d %s\nwant %s", got.Code, body, want)
	}
	if empty := request(t, &fake{servers: []fleet.Server{}}, "GET", "/_lab/fleet", nil); !strings.Contains(empty.Body.String(), `"servers":[]`) {
		t.Errorf("an empty fleet: %s", empty.Body)
	}
}

func TestChanges(t *testing.T) {
	tests := []struct {
		name, path, accept string
		err                error
		status             int
		asked              string
		body               string // part of it
	}{
		{"add", "/_lab/servers", "", nil, 201, "add", `"name":"server-3"`},
		{"add by a form", "/_lab/servers", html, nil, 303, "add", ""},
		{"add fails", "/_lab/servers", "", errors.New("no room"), 503, "add", `"detail":"no room"`},
		{"add to a full fleet", "/_lab/servers", "", fleet.ErrFull, 409, "add", "maximum of 50 servers"},
		{"kill", "/_lab/servers/server-1/kill", "", nil, 200, "kill server-1", `"pid":11`},
		{"kill by a form", "/_lab/servers/server-1/kill", html, nil, 303, "kill server-1", ""},
		{"kill the dead", "/_lab/servers/server-1/kill", "", fleet.ErrEnded, 409, "kill server-1", "already ended"},
		{"stop", "/_lab/servers/server-2/stop", "application/json", nil, 202, "stop server-2", `"pid":12`},
		{"stop by a form", "/_lab/servers/server-2/stop", html, nil, 303, "stop server-2", ""},
		{"stop twice", "/_lab/servers/server-2/stop", "", fleet.ErrStopping, 409, "stop server-2", "already being stopped"},
		{"kill nobody", "/_lab/servers/server-9/kill", "", nil, 404, "", `"allowed":["server-1","server-2"]`},
		{"stop nobody", "/_lab/servers/server-9/stop", "", nil, 404, "", `"allowed":["server-1","server-2"]`},
		{"stop nobody by a form", "/_lab/servers/server-9/stop", html, nil, 404, "", "<li>server-2</li>"},
		{"pause the store", "/_lab/store/pause", "", nil, 200, "pause", `"paused":true`},
		{"pause by a form", "/_lab/store/pause", html, nil, 303, "pause", ""},
		{"pause fails", "/_lab/store/pause", "", errors.New("not ours"), 409, "pause", `"detail":"not ours"`},
		{"resume the store that is not paused", "/_lab/store/resume", "", nil, 200, "", `"paused":false`},
		{"load at no level", "/_lab/load", "", nil, 422, "", `"allowed":["off","low","high"]`},
		{"something else", "/_lab/servers/server-1/promote", "", nil, 404, "", `"POST /_lab/servers"`},
		{"no server", "/_lab/nothing", "", nil, 404, "", `"GET /_lab/fleet"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := newFake()
			f.err = test.err
			got := request(t, f, "POST", test.path, map[string]string{"Accept": test.accept})
			if got.Code != test.status || !strings.Contains(got.Body.String(), test.body) {
				t.Errorf("got %d %s\nwant %d with %s", got.Code, got.Body, test.status, test.body)
			}
			if asked := strings.Join(f.calls, ", "); asked != test.asked {
				t.Errorf("the fleet got the calls %q, want %q", asked, test.asked)
			}
			if test.status == http.StatusSeeOther && got.Header().Get("Location") != "/_lab" {
				t.Errorf("redirected to %q, want /_lab", got.Header().Get("Location"))
			}
			if test.status >= 400 && test.accept != html {
				var p problem
				if err := json.Unmarshal(got.Body.Bytes(), &p); err != nil || p.Status != test.status || p.Title == "" || p.Type != "about:blank" {
					t.Errorf("not a problem document: %s, %v", got.Body, err)
				}
				if kind := got.Header().Get("Content-Type"); kind != "application/problem+json" {
					t.Errorf("Content-Type %s", kind)
				}
			}
		})
	}
}

func TestOnlyLoopbackAndSameSiteRequests(t *testing.T) {
	tests := []struct {
		name   string
		header map[string]string
		want   bool
	}{
		{"curl", nil, true},
		{"the page", map[string]string{"Sec-Fetch-Site": "same-origin", "Origin": "http://127.0.0.1:8080"}, true},
		{"another site", map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, false},
		{"another site of an old browser", map[string]string{"Origin": "https://evil.example"}, false},
		{"another port", map[string]string{"Origin": "http://127.0.0.1:9090"}, false},
		{"a foreign name for a loopback address", map[string]string{"Host": "evil.example:8080"}, false},
		{"a name that begins with localhost", map[string]string{"Host": "localhost.evil.example"}, false},
		{"an address of the network", map[string]string{"Host": "192.0.2.1:8080"}, false},
		{"no name", map[string]string{"Host": ""}, false},
		{"localhost", map[string]string{"Host": "LOCALHOST:8080"}, true},
		{"localhost without a port", map[string]string{"Host": "localhost"}, true},
		{"IPv6", map[string]string{"Host": "[::1]:8080"}, true},
		{"IPv6 without a port", map[string]string{"Host": "[::1]"}, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := newFake()
			got := request(t, f, "POST", "/_lab/servers/server-1/kill", test.header)
			if accepted := got.Code == 200 && len(f.calls) == 1; accepted != test.want {
				t.Errorf("got %d, the fleet got the calls %q", got.Code, f.calls)
			}
			if !test.want && got.Code != http.StatusForbidden {
				t.Errorf("got %d, want 403", got.Code)
			}
		})
	}
	// A foreign Host is refused for GET too.
	if got := request(t, newFake(), "GET", "/_lab/fleet", map[string]string{"Host": "evil.example"}); got.Code != http.StatusForbidden {
		t.Errorf("GET with a foreign Host: %d", got.Code)
	}
}

func TestPage(t *testing.T) {
	f := newFake()
	f.servers[1].Name = `<script>alert("1")</script>`
	got := request(t, f, "GET", "/_lab", nil)
	page := got.Body.String()
	for _, part := range []string{
		"server-1", "healthy", "unhealthy", "127.0.0.1:1001", ">memory<", "each server", "a visitor stays with one server",
		`action="/_lab/servers/server-1/kill"`, `action="/_lab/servers/server-1/stop"`, `action="/_lab/servers"`,
		`aria-label="Kill server-1"`, `<html lang="en">`, `role="status"`, `scope="row"`, "&lt;script&gt;",
	} {
		if !strings.Contains(page, part) {
			t.Errorf("the page lacks %s", part)
		}
	}
	if inline := regexp.MustCompile(`<script>|<style| style=| on[a-z]+="`).FindString(page); inline != "" {
		t.Errorf("inline code that the policy forbids: %s", inline)
	}
	policy := got.Header().Get("Content-Security-Policy")
	if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") {
		t.Errorf("Content-Security-Policy %q", policy)
	}
}

func TestEveryFileOfThePageIsServed(t *testing.T) {
	page := request(t, newFake(), "GET", "/_lab", nil).Body.String()
	kinds := map[string]string{".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
	links := regexp.MustCompile(`(?:href|src)="(/_lab/[^"]+\.[^"]+)"`).FindAllStringSubmatch(page, -1)
	if len(links) != 4 {
		t.Errorf("%d links to files, want 4", len(links))
	}
	for _, link := range links {
		got := request(t, newFake(), "GET", link[1], nil)
		want := kinds[link[1][strings.LastIndex(link[1], "."):]]
		if kind := got.Header().Get("Content-Type"); got.Code != 200 || !strings.HasPrefix(kind, want) {
			t.Errorf("%s: %d, %s, want %s", link[1], got.Code, kind, want)
		}
	}
}

func TestContains(t *testing.T) {
	for path, want := range map[string]bool{"/_lab": true, "/_lab/": true, "/_lab/fleet": true, "/_labs": false, "/": false, "//_lab": false} {
		if Contains(path) != want {
			t.Errorf("Contains(%q) is %v, want %v", path, !want, want)
		}
	}
}
