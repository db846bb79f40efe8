package web_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"stateless-servers/app/session"
)

func TestLoginAndLogout(t *testing.T) {
	f, v := oneServer(t)
	v.post("/api/visits", "")
	before := v.cookie("session")
	v.post("/login", "user=++ann+lee+").expect(t, 200).contains(t,
		`"authenticated":true,"user":"ann lee","visits":1,"cart":{}`)
	after := v.cookie("session")
	if before == after {
		t.Error("the session id is the same after login")
	}
	thief := newVisitor(t, v.server)
	thief.get("/api/session", "Cookie: session="+before).expect(t, 200, noSession)

	v.post("/logout", "").expect(t, 200, noSession)
	if v.cookie("session") != "" {
		t.Error("the cookie is still there after logout")
	}
	thief.get("/api/session", "Cookie: session="+after).expect(t, 200, noSession)
	thief.post("/api/visits", "", "Cookie: session="+after).problem(t, 409, "The session has ended")
	v.get("/api/session").expect(t, 200, noSession)
	f.operations.since()
	v.post("/logout", "").expect(t, 200, noSession) // of nobody
	if got := f.operations.since(); got != "" {
		t.Errorf("a logout without a session cost %q", got)
	}
}

func TestNames(t *testing.T) {
	_, v := oneServer(t)
	for _, name := range []string{"a", "Zoë", "李", "ann+lee", strings.Repeat("é", 64)} {
		v.post("/login", "user="+name).expect(t, 200)
	}
	for _, name := range []string{"", "+++", strings.Repeat("x", 65), "a%00b", "a%0Ab", "%FF", "a%E2%80%AEb"} {
		v.post("/login", "user="+name).page(t, 422, "1 to 64 printable characters")
	}
	v.post("/login", "").page(t, 422, "form field user")
	v.post("/login", "user=%zz").page(t, 400, "be read")
}

func TestSessionsOfAUser(t *testing.T) {
	f := newFleet(t)
	server := f.start(t, "server-1")
	phone, desk, other := newVisitor(t, server), newVisitor(t, server), newVisitor(t, server)
	phone.post("/login", "user=ann", "User-Agent: Phone").expect(t, 200)
	desk.post("/login", "user=ann", "User-Agent: Desk").expect(t, 200)
	other.post("/login", "user=bob").expect(t, 200)

	a := desk.get("/api/sessions").expect(t, 200)
	var list struct {
		Sessions []map[string]any
	}
	if err := json.Unmarshal([]byte(a.body), &list); err != nil {
		t.Fatal(err)
	}
	if len(list.Sessions) != 2 {
		t.Fatalf("got %s", a.body)
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
				t.Errorf("the current one is %v", s)
			}
		}
	}
	if current != 1 {
		t.Errorf("%d are current: %s", current, a.body)
	}
	desk.get("/").expect(t, 200).contains(t, "Where you are logged in", "Desk", "Phone", "this one")

	desk.post("/logout/everywhere", "").expect(t, 200, noSession)
	phone.get("/api/session").expect(t, 200, noSession)
	other.get("/api/session").expect(t, 200).contains(t, `"user":"bob"`)
}

func TestStoreThatCannotTellSessions(t *testing.T) {
	f, v := oneServer(t, func(f *fleet) {
		f.store.promise = func(p *session.Promises) { p.ByUser, p.LogoutIsFinal, p.Changes = false, false, false }
	})
	v.post("/login", "user=ann").expect(t, 200)
	v.get("/api/sessions").problem(t, 501, "not supported by this session store (memory)")
	v.post("/logout/everywhere", "").page(t, 501, "not supported by this session store (memory)")
	v.get("/").expect(t, 200).contains(t, "Logged in as", "This store can’t tell which sessions a user has",
		"let another server go on with your session; make sure that a session is over after logout; "+
			"list or end all sessions of a user; change a session after its start.").
		lacks(t, "Log out everywhere")
	if f.log.Len() > 0 {
		t.Errorf("logged: %s", f.log)
	}
}
