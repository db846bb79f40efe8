package web_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestLoginAndLogout(t *testing.T) {
	f, c := oneServer(t)
	c.post("/api/visits", "")
	before := c.Cookies()["session"]
	c.post("/login", "user=++ann+lee+").expect(t, 200).contains(t,
		`"authenticated":true,"user":"ann lee","visits":1,"cart":{}`)
	after := c.Cookies()["session"]
	if before == after {
		t.Error("the session id is the same after login")
	}
	thief := newClient(t, c.server)
	thief.get("/api/session", "Cookie: session="+before).expect(t, 200, noSession)

	c.post("/logout", "").expect(t, 200, noSession)
	if c.Cookies()["session"] != "" {
		t.Error("the cookie is kept after logout, want it deleted")
	}
	thief.get("/api/session", "Cookie: session="+after).expect(t, 200, noSession)
	thief.post("/api/visits", "", "Cookie: session="+after).problem(t, 409, "The session has ended")
	c.get("/api/session").expect(t, 200, noSession)
	f.operations.since()
	c.post("/logout", "").expect(t, 200, noSession) // no user is logged in
	if got := f.operations.since(); got != "" {
		t.Errorf("a logout without a session called the store: %q, want no call", got)
	}
}

func TestRememberedLogin(t *testing.T) {
	_, c := oneServer(t)
	lifetime := func(form string) time.Duration {
		var got struct{ Created, Expires time.Time }
		r := c.post("/login", form).expect(t, 200)
		if err := json.Unmarshal([]byte(r.Body), &got); err != nil {
			t.Fatal(err)
		}
		return got.Expires.Sub(got.Created)
	}
	if plain, remembered := lifetime("user=ann"), lifetime("user=ann&remember=on"); plain > time.Hour || remembered < 6*24*time.Hour {
		t.Errorf("unused, a login lasts %v and a remembered one %v; want 45 minutes and 10.5 days", plain, remembered)
	}
}

// Another client ended the session. Each write responds with 409 until the visitor logs out, which allows a new session.
func TestEndedSessionNeedsLogout(t *testing.T) {
	_, c := oneServer(t)
	c.post("/login", "user=ann").expect(t, 200)
	c.post("/api/visits", "").expect(t, 200)
	cookie := c.Cookies()["session"]
	newClient(t, c.server).post("/logout", "", "Cookie: session="+cookie).expect(t, 200)

	for _, path := range []string{"/", "/api/session"} {
		if r := c.get(path).expect(t, 200); strings.Contains(r.cookies(), "session") {
			t.Errorf("GET %s sets the session cookie, which could replace that of a concurrent login; want no cookie", path)
		}
	}
	for path, form := range map[string]string{
		"/api/visits": "", "/api/cart/coffee": "quantity=1", "/api/scores": "score=1",
	} {
		c.post(path, form).problem(t, 409, "Log out to start afresh, or log in.")
		r := c.post(path, form, html).page(t, 409, "The session has ended").
			contains(t, `<form method="post" action="/logout"><button>Start afresh</button>`, `href="/"`)
		if r.cookies() != "" {
			t.Errorf("POST %s sets cookies %s, want none", path, r.cookies())
		}
	}
	if got := c.Cookies()["session"]; got != cookie {
		t.Fatalf("the cookie changed to %q, want it unchanged", got)
	}

	r := c.post("/logout", "", html, "Sec-Fetch-Site: same-origin").expect(t, 303)
	if r.Header.Get("Location") != "/" || c.Cookies()["session"] != "" {
		t.Errorf("the logout redirects to %q with the cookie %q, want / and none", r.Header.Get("Location"), c.Cookies()["session"])
	}
	c.post("/api/visits", "").expect(t, 200, `{"visits":1,"server":"server-1"}`)
	c.post("/api/cart/coffee", "quantity=x", html).page(t, 422, "a whole number").lacks(t, "Start afresh")
}

// A login of another user starts with an empty session.
func TestLoginOfAnotherUserStartsEmpty(t *testing.T) {
	_, c := oneServer(t)
	c.post("/api/visits", "").expect(t, 200)
	c.post("/login", "user=ann").expect(t, 200).contains(t, `"user":"ann","visits":1`)
	c.post("/api/cart/coffee", "quantity=2").expect(t, 200)
	before := c.Cookies()["session"]
	c.post("/login", "user=ann").expect(t, 200).contains(t, `"user":"ann","visits":1,"cart":{"coffee":2}`)
	c.post("/login", "user=bob").expect(t, 200).contains(t, `"user":"bob","visits":0,"cart":{}`)
	newClient(t, c.server).post("/login", "user=bob", "Cookie: session="+before).expect(t, 200).
		contains(t, `"user":"bob","visits":0,"cart":{}`)
}

// A double click, or a login whose response was lost: both logins get the contents of the same session, but not each other's
// session.
func TestLoginSubmittedTwice(t *testing.T) {
	_, c := oneServer(t)
	c.post("/api/visits", "").expect(t, 200)
	before := c.Cookies()["session"]
	again := newClient(t, c.server)
	c.post("/login", "user=ann").expect(t, 200).contains(t, `"user":"ann","visits":1`)
	again.post("/login", "user=ann", "Cookie: session="+before).expect(t, 200).contains(t, `"user":"ann","visits":1`)
	c.post("/api/visits", "").expect(t, 200, `{"visits":2,"server":"server-1"}`)
	again.get("/api/session").expect(t, 200).contains(t, `"user":"ann","visits":1`)
	newClient(t, c.server).post("/api/visits", "", "Cookie: session="+before).problem(t, 409, "The session has ended")
}

// A login works without a logout after the session was ended.
func TestLoginAfterTheSessionWasEnded(t *testing.T) {
	_, c := oneServer(t)
	c.post("/api/visits", "").expect(t, 200)
	newClient(t, c.server).post("/logout", "", "Cookie: session="+c.Cookies()["session"]).expect(t, 200)
	c.post("/login", "user=ann").expect(t, 200).contains(t, `"user":"ann","visits":0`)
	c.post("/api/visits", "").expect(t, 200, `{"visits":1,"server":"server-1"}`)
}

func TestNames(t *testing.T) {
	_, c := oneServer(t)
	for _, name := range []string{"a", "Zoë", "李", "ann+lee", "🦆", "e\u0301", "(-:", strings.Repeat("é", 64)} {
		c.post("/login", "user="+name).expect(t, 200)
	}
	for _, name := range []string{"", "+++", strings.Repeat("x", 65), "a%00b", "a%0Ab", "%FF", "a%E2%80%AEb"} {
		c.post("/login", "user="+name).page(t, 422, "1 to 64 printable characters")
	}
	// Unicode classifies these as printable, but they are invisible.
	for _, invisible := range []string{
		"\u3164", "ann\u3164", "\u115f\u1160", "\uffa0", "\u034f", "\u2800", "\ufe0f", "\u0301", "\U000e0100", "\U0001d159",
	} {
		c.post("/login", "user="+url.QueryEscape(invisible)).page(t, 422, "1 to 64 printable characters")
	}
	for _, visible := range []string{"❤\ufe0f", "e\u0301", "क्षि", "!"} {
		c.post("/login", "user="+url.QueryEscape(visible)).expect(t, 200)
	}
	c.post("/login", "").page(t, 422, "form field user")
	c.post("/login", "user=%zz").page(t, 400, "be read")
}

func TestSessionsOfAUser(t *testing.T) {
	f := newFleet(t)
	server := f.start(t, "server-1")
	phone, desk, other := newClient(t, server), newClient(t, server), newClient(t, server)
	phone.post("/login", "user=ann", "User-Agent: Phone").expect(t, 200)
	desk.post("/login", "user=ann", "User-Agent: Desk").expect(t, 200)
	other.post("/login", "user=bob").expect(t, 200)

	r := desk.get("/api/sessions").expect(t, 200)
	var list struct {
		Sessions []map[string]any
	}
	if err := json.Unmarshal([]byte(r.Body), &list); err != nil {
		t.Fatal(err)
	}
	if len(list.Sessions) != 2 {
		t.Fatalf("got %s, want 2 sessions", r.Body)
	}
	current := 0
	for _, s := range list.Sessions {
		if len(s) != 5 || s["id"] == "" {
			t.Errorf("got %v", s)
		}
		for _, key := range []string{"started", "last_seen"} {
			if at, err := time.Parse(time.RFC3339, s[key].(string)); err != nil || time.Since(at) > time.Minute {
				t.Errorf("%s is %v (%v)", key, s[key], err)
			}
		}
		if s["current"] == true {
			current++
			if s["user_agent"] != "Desk" {
				t.Errorf("the current session is %v, want that of Desk", s)
			}
		}
	}
	if current != 1 {
		t.Errorf("%d sessions are current, want 1: %s", current, r.Body)
	}
	desk.get("/").expect(t, 200).contains(t, "Where you are logged in", "Desk", "Phone", "this one")

	desk.post("/logout/everywhere", "").expect(t, 200, noSession)
	phone.get("/api/session").expect(t, 200, noSession)
	other.get("/api/session").expect(t, 200).contains(t, `"user":"bob"`)
}
