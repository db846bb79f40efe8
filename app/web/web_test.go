package web_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"stateless-servers/app/leaderboard"
)

func TestEveryResponseHasServerAndSecurityHeaders(t *testing.T) {
	_, c := oneServer(t, func(f *fleet) { f.options.PlainHTTP = false })
	for _, request := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/", 200}, {"HEAD", "/", 200}, {"GET", "/api/session", 200}, {"HEAD", "/api/session", 200},
		{"GET", "/none", 200}, {"GET", "/healthz", 200}, {"GET", "/readyz", 200}, {"GET", "/static/script.js", 200},
		{"GET", "/nosuch", 404}, {"GET", "/api/nosuch", 404}, {"PUT", "/", 405}, {"DELETE", "/api/visits", 405},
		{"GET", "//none", 307},
	} {
		r := c.do(request.method, request.path, "").expect(t, request.status)
		for name, want := range map[string]string{
			"X-Served-By": "server-1", "X-Served-Zone": "zone-a",
			"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin",
			"Strict-Transport-Security": "max-age=31536000; includeSubDomains", "Access-Control-Allow-Origin": "",
		} {
			if got := r.Header.Get(name); got != want {
				t.Errorf("%s %s: %s is %q, want %q", request.method, request.path, name, got, want)
			}
		}
		policy := r.Header.Get("Content-Security-Policy")
		if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s %s: policy %q", request.method, request.path, policy)
		}
	}
}

// Browsers also send a cookie without Secure over plain HTTP, where others can read and change it.
func TestServedCookieIsSecureOverHTTPS(t *testing.T) {
	for _, plainHTTP := range []bool{false, true} {
		_, c := oneServer(t, func(f *fleet) { f.options.PlainHTTP = plainHTTP })
		for name, a := range map[string]response{
			"the page": c.get("/").expect(t, 200),
			"a form":   c.post("/api/visits", "", html).expect(t, 303),
		} {
			found := false
			for _, cookie := range a.Response.Cookies() {
				if cookie.Name != "served" {
					continue
				}
				if found = true; cookie.Secure == plainHTTP {
					t.Errorf("PlainHTTP %t: %s sets %v", plainHTTP, name, cookie)
				}
			}
			if !found {
				t.Errorf("PlainHTTP %t: %s sets no cookie served", plainHTTP, name)
			}
		}
	}
}

func TestUnmatchedRequests(t *testing.T) {
	_, c := oneServer(t)
	c.get("/api/nosuch").problem(t, 404, "nothing at this address")
	c.get("/api/").problem(t, 404, "nothing at this address")
	c.get("/api/sp%20ace").problem(t, 404, "nothing at this address")
	c.get("/nosuch").page(t, 404, "nothing at this address")
	for _, wrong := range []struct{ method, path, allow string }{
		{"POST", "/api/session", "GET, HEAD"}, {"GET", "/api/visits", "POST"}, {"PATCH", "/api/cart/coffee", "POST"},
		{"DELETE", "/api/leaderboard", "GET, HEAD"},
	} {
		if r := c.do(wrong.method, wrong.path, "").problem(t, 405, wrong.method); r.Header.Get("Allow") != wrong.allow {
			t.Errorf("%s %s: Allow is %q, want %q", wrong.method, wrong.path, r.Header.Get("Allow"), wrong.allow)
		}
	}
	c.get("/login").page(t, 405, "GET")
	c.do("PUT", "/", "").page(t, 405, "PUT")
}

func TestOtherSitesCannotPost(t *testing.T) {
	f, c := oneServer(t)
	for _, header := range []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site",
		"Origin: https://evil.example"} {
		c.post("/api/visits", "", header).problem(t, 403, "another site")
		c.post("/api/cart/coffee", "quantity=1", header).problem(t, 403, "another site")
		for _, path := range []string{"/login", "/logout", "/logout/everywhere"} {
			c.post(path, "user=ann", header).page(t, 403, "another site")
		}
		c.get("/", header).expect(t, 200) // links from other sites are allowed
	}
	if got := f.operations.since(); got != "" {
		t.Errorf("refused requests called the store: %s, want no call", got)
	}
	c.post("/api/visits", "", "Sec-Fetch-Site: same-origin").expect(t, 200)
	c.post("/api/visits", "", "Origin: "+c.server).expect(t, 200)
}

func TestReady(t *testing.T) {
	var stopping atomic.Bool
	f, c := oneServer(t, func(f *fleet) {
		f.options.Ready = func(context.Context) error {
			if stopping.Load() {
				return errors.New("the server is shutting down")
			}
			return nil
		}
	})
	c.get("/readyz").expect(t, 200, `{"server":"server-1"}`)
	stopping.Store(true)
	c.get("/readyz").page(t, 503, "Not ready: the server is shutting down.")
	c.get("/healthz").expect(t, 200)
	c.post("/api/visits", "").expect(t, 200) // requests are served until the load balancer notices
	if f.log.Len() > 0 {
		t.Errorf("logged: %s", f.log)
	}
}

func TestDelay(t *testing.T) {
	f, c := oneServer(t, func(f *fleet) { f.options.AllowDelay = true })
	c.post("/api/visits", "").expect(t, 200)
	f.operations.since()

	start := time.Now()
	c.post("/api/visits?delay=50ms", "").expect(t, 200, `{"visits":2,"server":"server-1"}`)
	if took := time.Since(start); took < 50*time.Millisecond {
		t.Errorf("the request took %v, want at least 50 ms", took)
	}
	if got := f.operations.since(); got != "load update" {
		t.Errorf("a delayed visit called %q, want load update", got)
	}
	for _, path := range []string{"/api/session", "/api/leaderboard"} {
		start := time.Now()
		c.get(path+"?delay=50ms").expect(t, 200)
		if took := time.Since(start); took < 50*time.Millisecond {
			t.Errorf("%s took %v", path, took)
		}
	}
	for _, delay := range []string{"", "x", "200", "-1ms", "2001ms", "1h"} {
		c.post("/api/visits?delay="+delay, "").problem(t, 400, "a duration from 0s to 2s")
	}
	c.get("/api/session?delay=0s").contains(t, `"visits":2`)

	f.store.down.Store(true)
	c.get("/api/session?delay=2s").problem(t, 503, "The session store")
}

// A visit counts even if its client disconnects during the delay.
func TestVisitCountsAfterClientDisconnects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		f.options.AllowDelay = true
		server := f.handler(t, "server-1")
		first := httptest.NewRecorder()
		server.ServeHTTP(first, httptest.NewRequest(http.MethodPost, "/api/visits", nil))
		f.operations.since()

		ctx, disconnect := context.WithCancel(t.Context())
		visit := httptest.NewRequestWithContext(ctx, http.MethodPost, "/api/visits?delay=1s", nil)
		read := httptest.NewRequest(http.MethodGet, "/api/session", nil)
		for _, request := range []*http.Request{visit, read} {
			request.AddCookie(first.Result().Cookies()[0])
		}
		go server.ServeHTTP(httptest.NewRecorder(), visit)
		synctest.Wait()
		if got := f.operations.since(); got != "load" {
			t.Errorf("during the delay the request called %q, want load", got)
		}
		disconnect()
		time.Sleep(time.Second)
		synctest.Wait()
		after := httptest.NewRecorder()
		if server.ServeHTTP(after, read); !strings.Contains(after.Body.String(), `"visits":2`) {
			t.Errorf("after the visit of a disconnected client: %s, want 2 visits", after.Body)
		}
	})
}

func TestDelayIsIgnoredUnlessAllowed(t *testing.T) {
	f, c := oneServer(t)
	c.get("/api/session?delay=nonsense").expect(t, 200, noSession)
	c.post("/api/visits?delay=2s", "").expect(t, 200)
	if got := f.operations.since(); got != "create" {
		t.Errorf("the requests called %q, want create", got)
	}
}

func TestPanics(t *testing.T) {
	var cause any = "boom"
	f, c := oneServer(t, func(f *fleet) {
		f.board.top = func(context.Context) ([]leaderboard.Entry, error) { panic(cause) }
	})
	c.get("/api/leaderboard").problem(t, 500, "Something went wrong")
	c.get("/").page(t, 500, "Something went wrong").lacks(t, "boom")
	if got := f.log.String(); strings.Count(got, `"cause":"boom"`) != 2 || !strings.Contains(got, "web_test.go") {
		t.Errorf("the log lacks the cause or the stack: %s", got)
	}

	cause = http.ErrAbortHandler
	if r, err := c.Do(t.Context(), http.MethodGet, c.server+"/api/leaderboard", ""); err == nil {
		t.Errorf("an aborted handler responded with %d, want an aborted connection", r.StatusCode)
	}
}
