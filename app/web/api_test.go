package web_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

const noSession = `{"server":"server-1","zone":"zone-a","store":"memory","authenticated":false,"user":"","visits":0,` +
	`"cart":{},"created":null,"expires":null}`

func TestReadsCreateNothing(t *testing.T) {
	f, c := oneServer(t)
	c.get("/api/session").expect(t, 200, noSession)
	c.get("/api/leaderboard").expect(t, 200, `{"leaderboard":[],"server":"server-1"}`)
	c.get("/api/sessions").problem(t, 401, "Nobody is logged in")
	for _, path := range []string{"/api/session", "/api/leaderboard", "/api/sessions", "/none", "/healthz", "/readyz"} {
		if got := c.get(path).cookies(); got != "" {
			t.Errorf("GET %s sets cookies %s, want none", path, got)
		}
	}
	if got := c.get("/").cookies(); got != "served" {
		t.Errorf("GET / sets cookies: %s, want only served", got)
	}
	if got := f.operations.since(); got != "" {
		t.Errorf("requests without a session called the store: %s, want no call", got)
	}

	c.post("/api/visits", "")
	f.operations.since()
	for path, want := range map[string]string{
		"/api/session": "load", "/": "load", "/api/leaderboard": "", "/none": "", "/healthz": "", "/static/style.css": "",
	} {
		c.get(path).expect(t, 200)
		if got := f.operations.since(); got != want {
			t.Errorf("GET %s called the store: %q, want %q", path, got, want)
		}
	}
	c.get("/none").expect(t, 200, `{"server":"server-1"}`)
	c.get("/healthz").expect(t, 200, `{"server":"server-1"}`)
}

func TestSessionIsShown(t *testing.T) {
	_, c := oneServer(t)
	c.post("/login", "user=ann")
	c.post("/api/visits", "")
	c.post("/api/cart/coffee", "quantity=2")
	var got struct {
		Authenticated bool
		User          string
		Visits        int64
		Cart          map[string]int64
		Created       time.Time
		Expires       time.Time
	}
	r := c.get("/api/session").expect(t, 200)
	if err := json.Unmarshal([]byte(r.Body), &got); err != nil {
		t.Fatal(err)
	}
	if !got.Authenticated || got.User != "ann" || got.Visits != 1 || len(got.Cart) != 1 || got.Cart["coffee"] != 2 {
		t.Errorf("got %s", r.Body)
	}
	idle := got.Expires.Sub(got.Created).Round(time.Minute)
	if since := time.Since(got.Created); since < 0 || since > time.Minute || idle != 45*time.Minute {
		t.Errorf("created %v, expires %v", got.Created, got.Expires)
	}
	if r.Header.Get("Cache-Control") != "no-store" || r.Header.Get("Content-Type") != "application/json" {
		t.Errorf("headers %v", r.Header)
	}
}

func TestVisitsTakeOneStoreOperation(t *testing.T) {
	f, c := oneServer(t)
	r := c.post("/api/visits", "").expect(t, 200, `{"visits":1,"server":"server-1"}`)
	if got := f.operations.since(); got != "create" || r.cookies() != "session" {
		t.Errorf("the first visit called %q and set cookies %q, want create and session", got, r.cookies())
	}
	r = c.post("/api/visits", "").expect(t, 200, `{"visits":2,"server":"server-1"}`)
	if got := f.operations.since(); got != "update" || r.cookies() != "" {
		t.Errorf("the second visit called %q and set cookies %q, want update and none", got, r.cookies())
	}
}

func TestConcurrentVisitsOnSeveralServersAllCount(t *testing.T) {
	f := newFleet(t)
	c := newClient(t, f.start(t, "server-1"))
	c.post("/api/visits", "").expect(t, 200)
	other := c.on(f.start(t, "server-2")) // cookies are shared between ports
	var requests sync.WaitGroup
	for i := range 60 {
		requests.Go(func() { []*client{c, other}[i%2].post("/api/visits", "").expect(t, 200) })
	}
	requests.Wait()
	other.post("/api/visits", "").expect(t, 200, `{"visits":62,"server":"server-2"}`)
}

func TestCart(t *testing.T) {
	f, c := oneServer(t)
	for _, step := range []struct{ sku, quantity, cart, operations string }{
		{"coffee", "3", `{"coffee":3}`, "create"},
		{"pager", "+1", `{"coffee":3,"pager":1}`, "update"},
		{"coffee", "-1", `{"coffee":2,"pager":1}`, "update"},
		{"coffee", "-1000", `{"pager":1}`, "update update"}, // clamped at 0
		{"coffee", "1000", `{"coffee":1000,"pager":1}`, "update"},
		{"socks", "0", `{"coffee":1000,"pager":1}`, "update"},
		{"pager", "-1", `{"coffee":1000}`, "update"},
	} {
		c.post("/api/cart/"+step.sku, "quantity="+strings.Replace(step.quantity, "+", "%2B", 1)).
			expect(t, 200, `{"cart":`+step.cart+`,"server":"server-1"}`)
		if got := f.operations.since(); got != step.operations {
			t.Errorf("%s %s called %q, want %q", step.sku, step.quantity, got, step.operations)
		}
	}
}

func TestCartRefusesBadValues(t *testing.T) {
	f, c := oneServer(t)
	c.post("/api/cart/gold", "quantity=1").problem(t, 404, `"gold": allowed is one of rubber-duck, coffee, `)
	c.post("/api/cart/a%2Fb", "quantity=1").problem(t, 404, "a/b")
	for _, form := range []string{"", "quantity=", "quantity=x", "quantity=1.5", "quantity=1001", "quantity=-1001",
		"quantity=99999999999999999999", "amount=1"} {
		c.post("/api/cart/coffee", form).problem(t, 422, "a whole number from -1000 to 1000")
	}
	c.post("/api/cart/coffee?quantity=1", "").problem(t, 422, "quantity")
	c.post("/api/cart/coffee", "quantity=%zz").problem(t, 400, "can't be read")
	c.post("/api/cart/coffee", "quantity=1&x="+strings.Repeat("x", 65<<10)).problem(t, 413, "4096 bytes")
	if got := f.operations.since(); got != "" {
		t.Errorf("bad requests called the store: %s, want no call", got)
	}
	c.get("/api/session").expect(t, 200, noSession)
}

// A request removes five items from an empty line. Before it adds them back, another change runs completely.
func TestChangeWhileALineIsBelowZero(t *testing.T) {
	for _, test := range []struct{ other, cart string }{
		{"-5", `{}`},
		{"-2", `{}`},
		{"3", `{"socks":3}`},
		{"9", `{"socks":9}`},
	} {
		f, c := oneServer(t)
		c.post("/api/visits", "").expect(t, 200)
		other := func() { c.post("/api/cart/socks", "quantity="+test.other).expect(t, 200) }
		f.store.updated.Store(&other)
		c.post("/api/cart/socks", "quantity=-5").expect(t, 200, `{"cart":`+test.cart+`,"server":"server-1"}`)
		c.post("/api/cart/socks", "quantity=1").expect(t, 200) // the line is neither below nor above the expected value
		var before, after struct{ Cart map[string]int64 }
		if err := json.Unmarshal([]byte(`{"cart":`+test.cart+`}`), &before); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(c.get("/api/session").Body), &after); err != nil {
			t.Fatal(err)
		}
		if after.Cart["socks"] != before.Cart["socks"]+1 {
			t.Errorf("after a concurrent %s: adding one to %d makes %d", test.other, before.Cart["socks"], after.Cart["socks"])
		}
	}
}

// With concurrent changes, no line ends below 0, and added items are kept.
func TestConcurrentChangesOfOneLine(t *testing.T) {
	f := newFleet(t)
	c := newClient(t, f.start(t, "server-1"))
	other := c.on(f.start(t, "server-2"))
	overlap := func(quantities ...int) {
		var requests sync.WaitGroup
		for i, quantity := range quantities {
			requests.Go(func() {
				[]*client{c, other}[i%2].post("/api/cart/socks", fmt.Sprintf("quantity=%d", quantity)).expect(t, 200)
			})
		}
		requests.Wait()
	}
	repeat := func(n int, quantities ...int) (list []int) {
		for range n {
			list = append(list, quantities...)
		}
		return list
	}
	read := func() int64 {
		var state struct{ Cart map[string]int64 }
		if err := json.Unmarshal([]byte(c.get("/api/session").Body), &state); err != nil {
			t.Fatal(err)
		}
		return state.Cart["socks"]
	}

	c.post("/api/cart/socks", "quantity=50").expect(t, 200)
	overlap(repeat(30, -3)...)
	if got := read(); got != 0 {
		t.Errorf("removing 30 times 3 from 50 leaves %d, want 0", got)
	}
	c.post("/api/cart/socks", "quantity=7").expect(t, 200, `{"cart":{"socks":7},"server":"server-1"}`) // the line was not below 0
	overlap(repeat(20, -5, 2)...)
	if got := read(); got < 0 || got > 7+20*2 {
		t.Errorf("the line ended at %d, want 0 to %d", got, 7+20*2)
	}
	before := read()
	overlap(repeat(20, 2)...)
	if got := read(); got != before+40 {
		t.Errorf("adding 20 times 2 to %d makes %d", before, got)
	}
}

func TestScores(t *testing.T) {
	f, c := oneServer(t)
	r := c.post("/api/scores", "score=40").expect(t, 200)
	if got := f.operations.since(); got != "create" || r.cookies() != "session" {
		t.Errorf("the first score called %q and set cookies %q, want create and session", got, r.cookies())
	}
	var scored struct {
		Name   string
		Score  int64
		Server string
	}
	if err := json.Unmarshal([]byte(r.Body), &scored); err != nil {
		t.Fatal(err)
	}
	guest := regexp.MustCompile("^guest-[0-9a-f]{6}$")
	if !guest.MatchString(scored.Name) || scored.Score != 40 || scored.Server != "server-1" {
		t.Errorf("got %s", r.Body)
	}
	c.post("/api/scores", "score=30").expect(t, 200) // worse than 40: ignored
	c.post("/login", "user=ann")
	c.post("/api/scores", "score=1000000000").expect(t, 200, `{"name":"ann","score":1000000000,"server":"server-1"}`)
	c.get("/api/leaderboard").expect(t, 200,
		`{"leaderboard":[{"name":"ann","score":1000000000},{"name":"`+scored.Name+`","score":40}],"server":"server-1"}`)
	for _, form := range []string{"", "score=-1", "score=1000000001", "score=x"} {
		c.post("/api/scores", form).problem(t, 422, "a whole number from 0 to 1000000000")
	}
}

// The page's forms work without JavaScript: each redirects to the page.
func TestFormsRedirectToThePage(t *testing.T) {
	_, c := oneServer(t)
	for _, form := range []struct{ path, body string }{
		{"/api/visits", ""}, {"/api/cart/coffee", "quantity=1"}, {"/api/scores", "score=12"},
		{"/login", "user=ann"}, {"/logout/everywhere", ""}, {"/logout", ""},
	} {
		r := c.post(form.path, form.body, html, "Sec-Fetch-Site: same-origin").expect(t, http.StatusSeeOther)
		if got := r.Header.Get("Location"); got != "/" {
			t.Errorf("%s redirects to %q, want /", form.path, got)
		}
	}
	if got := c.Cookies()["served"]; got != "server-1~server-1~server-1~server-1~server-1~server-1" {
		t.Errorf("the cookie served is %s, want server-1 six times", got)
	}
	// A form that fails gets a page, and a program a problem document.
	c.post("/api/cart/coffee", "quantity=x", html).page(t, 422, "a whole number")
	c.post("/api/cart/coffee", "quantity=x", "Accept: application/json").problem(t, 422, "a whole number")
}

// A client must be able to send a form that is somewhat too large to its end: it gets the response only then. Of a form without
// end the server reads a part.
func TestTooLargeFormIsReadToABound(t *testing.T) {
	f := newFleet(t)
	handler := f.handler(t, "server-1")
	for _, test := range []struct{ size, least, most int }{{65 << 10, 65 << 10, 65 << 10}, {10 << 20, 256 << 10, 300 << 10}} {
		form := strings.NewReader("quantity=" + strings.Repeat("1", test.size))
		r := httptest.NewRequest(http.MethodPost, "/api/cart/coffee", io.NopCloser(form))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		response := httptest.NewRecorder()
		handler.ServeHTTP(response, r)
		if read := int(form.Size()) - form.Len(); response.Code != 413 || read < test.least || read > test.most+len("quantity=") {
			t.Errorf("a form of %d bytes: %d, %d bytes were read; want 413 and %d to %d", form.Size(), response.Code, read, test.least, test.most)
		}
	}
}
