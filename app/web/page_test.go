package web_test

import (
	"context"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"stateless-servers/app/leaderboard"
	"stateless-servers/session"
)

func TestPage(t *testing.T) {
	f, c := oneServer(t)
	r := c.get("/").expect(t, 200).contains(t, "<!doctype html>", `<html lang="en">`, "server-1", "zone-a",
		"Server memory", "You have no session yet. It starts with the first thing that you do here",
		`id="board-fails" hidden>`, `id="board-empty">`,
		`action="/login"`, `action="/api/visits"`, `action="/api/cart/coffee"`, `action="/api/scores"`, "Skip to the content")
	forbidden := regexp.MustCompile(`(?i) style=| on[a-z]+=|<style|javascript:|<script>|(src|href)="(https?:)?//`)
	if inline := forbidden.FindString(r.Body); inline != "" {
		t.Errorf("the page contains %q, which its policy forbids", inline)
	}
	c.post("/api/visits", "")
	c.post("/api/cart/coffee", "quantity=2")
	c.post("/api/scores", "score=77")
	c.post("/login", "user=ann")
	c.get("/").expect(t, 200).contains(t, "Logged in as <b>ann</b>", `data-quantity>2<`, `<span id="total">6.40</span>`,
		"Your last score: 77", `<p class="figure" id="visits">1</p>`, "Log out everywhere", "<dt>Ends if unused</dt>")
	if f.log.Len() > 0 {
		t.Errorf("logged: %s", f.log)
	}
}

func TestNamesAreEscaped(t *testing.T) {
	_, c := oneServer(t)
	c.post("/login", `user=%3Cscript%3Ealert(1)%3C/script%3E"'`, `User-Agent: <img src=x onerror=alert(2)>`).expect(t, 200)
	c.post("/api/scores", "score=1").expect(t, 200)
	r := c.get("/").expect(t, 200).lacks(t, "<script>alert", "<img src=x")
	if n := strings.Count(r.Body, "&lt;script&gt;alert(1)&lt;/script&gt;&#34;&#39;"); n != 3 {
		t.Errorf("the page contains the name %d times, want 3: login, leaderboard, attribute", n)
	}
	c.get("/api/session").contains(t, `\u003cscript\u003e`)
	c.get("/%3Cb%3E").page(t, 404, "nothing at this address").lacks(t, "<b>")
}

func TestRecentServersAreInACookie(t *testing.T) {
	f := newFleet(t)
	f.store.promise = func(p *session.Promises) { p.Shared = true }
	c := newClient(t, f.start(t, "server-1"))
	other := c.on(f.start(t, "server-2"))
	for range 15 {
		c.get("/")
	}
	for range 8 {
		other.get("/")
	}
	r := other.get("/").expect(t, 200)
	if got, want := strings.Count(r.Body, `data-server="server-1"`), 11; got != want {
		t.Errorf("%d tiles of server-1, want %d", got, want)
	}
	if got, want := strings.Count(r.Body, `data-server="server-2"`), 9; got != want {
		t.Errorf("%d tiles of server-2, want %d", got, want)
	}
	want := strings.Repeat("server-1~", 11) + strings.Repeat("server-2~", 8) + "server-2"
	if got := c.Cookies()["served"]; got != want {
		t.Errorf("the cookie is %s, want %s", got, want)
	}

	// The client may send any cookie.
	for cookie, want := range map[string]string{
		"":                        "server-1",
		"~~~":                     "server-1",
		"ok~<i>~server-9":         "ok~server-9~server-1",
		"a b~c;d":                 "c~server-1",
		strings.Repeat("x", 65):   "server-1",
		strings.Repeat("a~", 999): strings.Repeat("a~", 19) + "server-1",
	} {
		stranger := newClient(t, c.server)
		r := stranger.get("/", "Cookie: served="+cookie).expect(t, 200)
		if n := strings.Count(r.Body, `data-server="`); n != strings.Count(want, "~")+1 {
			t.Errorf("%.20s: %d tiles, want %d", cookie, n, strings.Count(want, "~")+1)
		}
		if got := stranger.Cookies()["served"]; got != want {
			t.Errorf("%.20s: the cookie became %s, want %s", cookie, got, want)
		}
	}
}

func TestLeaderboardOutage(t *testing.T) {
	f, c := oneServer(t, func(f *fleet) {
		f.options.BoardTimeout = 20 * time.Millisecond
		f.board.top = func(ctx context.Context) ([]leaderboard.Entry, error) {
			<-ctx.Done() // it hangs until the timeout
			return nil, ctx.Err()
		}
	})
	c.get("/").expect(t, 200).contains(t, `id="board-fails">`, `id="board-empty" hidden>`, "Count a visit")
	r := c.get("/api/leaderboard").problem(t, 503, "The leaderboard doesn't answer")
	if r.Header.Get("Retry-After") != "1" {
		t.Error("the response lacks Retry-After: 1")
	}
	if n := strings.Count(f.log.String(), "\n"); n != 2 {
		t.Errorf("%d lines in the log, want 2:\n%s", n, f.log)
	}
}

func TestStoreOutage(t *testing.T) {
	f, c := oneServer(t)
	c.post("/login", "user=ann").expect(t, 200)
	f.store.down.Store(true)
	responses := []response{
		c.get("/api/session").problem(t, 503, "The session store doesn't answer"),
		c.get("/api/sessions").problem(t, 503, "The session store"),
		c.post("/api/visits", "").problem(t, 503, "The session store"),
		c.post("/api/visits", "", html).page(t, 503, "The session store"),
		c.post("/api/cart/coffee", "quantity=1").problem(t, 503, "The session store"),
		c.post("/api/scores", "score=1").problem(t, 503, "The session store"),
		c.post("/login", "user=bob").page(t, 503, "The session store"),
		c.post("/logout", "").page(t, 503, "The session store"),
		c.get("/").page(t, 503, "The session store"),
		c.get("/readyz").page(t, 503, "The session store"),
	}
	for _, r := range responses {
		if r.Header.Get("Retry-After") != "1" || r.Header.Get("X-Served-By") != "server-1" {
			t.Errorf("%s %s: headers %v", r.Request.Method, r.Request.URL.Path, r.Header)
		}
	}
	if got := strings.Count(f.log.String(), `"error":`); got != len(responses) {
		t.Errorf("%d errors in the log, want %d:\n%s", got, len(responses), f.log)
	}
	for _, path := range []string{"/none", "/healthz", "/api/leaderboard", "/static/style.css"} {
		c.get(path).expect(t, 200)
	}
	f.store.down.Store(false)
	c.get("/").expect(t, 200).contains(t, "Logged in as <b>ann</b>")
	c.get("/readyz").expect(t, 200)
}

func TestAssets(t *testing.T) {
	_, c := oneServer(t)
	page := c.get("/").Body
	contentTypes := map[string]string{
		"style.css": "text/css; charset=utf-8", "script.js": "text/javascript; charset=utf-8", "icon.svg": "image/svg+xml",
	}
	for name, contentType := range contentTypes {
		path := regexp.MustCompile(`/static/` + regexp.QuoteMeta(name) + `\?v=[0-9a-f]{16}`).FindString(page)
		if path == "" {
			t.Fatalf("the page doesn't link %s", name)
		}
		r := c.get(path).expect(t, 200)
		if r.Header.Get("Content-Type") != contentType || !strings.Contains(r.Header.Get("Cache-Control"), "immutable") {
			t.Errorf("%s: headers %v", name, r.Header)
		}
		c.get(path, "If-None-Match: "+r.Header.Get("Etag")).expect(t, http.StatusNotModified)
		// A page of another version gets this version, which must not be cached.
		if r := c.get("/static/"+name+"?v=0").expect(t, 200); r.Header.Get("Cache-Control") != "no-cache" {
			t.Errorf("%s of another version: %v", name, r.Header)
		}
	}
	c.get("/static/nosuch.css").page(t, 404, "nothing at this address")
	c.get("/static/").page(t, 404, "nothing at this address")
}
