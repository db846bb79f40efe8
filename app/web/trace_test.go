package web_test

import (
	"strings"
	"testing"

	"stateless-servers/session"
	"stateless-servers/session/memory"
)

// The page says what became of a session that the server doesn't find, and no more than it knows.
func TestPageExplainsALostSession(t *testing.T) {
	const contents = "You were logged out; 2 visits and 1 cart line are gone."
	elsewhere := func(method, path, form string, headers ...string) func(*fleet, *client) *client {
		return func(_ *fleet, c *client) *client {
			c = c.on(newFleet(t).start(t, "server-2"))
			c.do(method, path, form, headers...)
			return c
		}
	}
	here := func(path, form string) func(*fleet, *client) *client {
		return func(_ *fleet, c *client) *client {
			c.post(path, form, html).expect(t, 303)
			return c
		}
	}
	loseAll := func(f *fleet, c *client) *client {
		f.store.UserStore = memory.New()
		return c
	}
	inMemory := []string{"Session lost", "It lived only in the memory of server-1, but server-2 answered. " + contents}
	for _, test := range []struct {
		name   string
		shared bool
		lose   func(*fleet, *client) *client // returns the client that then views the page
		want   []string                      // on the page; nil for nothing about a loss
	}{
		{"nothing", false, func(_ *fleet, c *client) *client { return c }, nil},
		{"a logout", false, here("/logout", ""), nil},
		{"a login as another user", false, here("/login", "user=bob"), nil},
		{"another server", false, elsewhere("GET", "/", ""), inMemory},
		{"a form to another server", false, elsewhere("POST", "/api/visits", "", html), append(inMemory, "A new session began on")},
		{"the script on another server", false, elsewhere("POST", "/api/visits", ""), append(inMemory, "A new session began on")},
		{"a login on another server", false, elsewhere("POST", "/login", "user=ann", html), append(inMemory, "Logged in as")},
		{"another server and back", false, func(_ *fleet, c *client) *client {
			elsewhere("GET", "/", "")(nil, c)
			return c
		}, nil},
		{"a logout elsewhere", false, func(_ *fleet, c *client) *client {
			newClient(t, c.server).post("/logout", "", "Cookie: session="+c.Cookies()["session"])
			return c
		}, []string{"Session ended", "It was logged out elsewhere, or a login replaced it. You were logged out.<", "Start afresh"}},
		{"the memory of the same server", false, loseAll,
			[]string{"Session gone", "It was logged out elsewhere, or the memory of server-1 lost it. " + contents}},
		{"a shared store", true, loseAll, []string{"Session gone", "It was logged out elsewhere, or Valkey lost it. " + contents}},
		{"expiry", false, func(f *fleet, c *client) *client {
			fields := strings.Split(c.Cookies()["seen"], "~")
			fields[3] = "1000000000"
			c.SetCookie("seen", strings.Join(fields, "~"))
			return loseAll(f, c)
		}, []string{"Session expired", "Its time was over on 9 Sep, 01:46 UTC. " + contents}},
		{"malformed traces", false, func(f *fleet, c *client) *client {
			c.SetCookie("seen", "a~<b>~1~1~1~1~true~lost~server-2")
			c.SetCookie("lost", "a~b~1~1~1~x~true~lost~server-2")
			return loseAll(f, c)
		}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, c := oneServer(t, func(f *fleet) {
				f.store.promise = func(p *session.Promises) {
					if test.shared {
						p.Name, p.Shared = "valkey", true
					}
				}
			})
			c.get("/")
			c.post("/login", "user=ann", html).expect(t, 303)
			c.post("/api/visits", "").expect(t, 200)
			c.post("/api/cart/coffee", "quantity=3").expect(t, 200)
			c.post("/api/visits", "").expect(t, 200)
			c = test.lose(f, c)
			for range 2 { // it survives a reload
				if r := c.get("/").expect(t, 200); test.want == nil {
					r.lacks(t, `role="alert"`)
				} else {
					r.contains(t, append(test.want, `role="alert"`)...)
				}
			}
			if lost := c.Cookies()["lost"]; (lost == "") != (test.want == nil) { // with it, the script would reload the page
				t.Errorf("the browser keeps the trace %q", lost)
			}
		})
	}
}

// Programs that use the API get no cookies for the page.
func TestTracesAreForThePage(t *testing.T) {
	_, c := oneServer(t)
	for _, r := range []response{c.post("/api/visits", ""), c.post("/login", "user=ann")} {
		if got := r.cookies(); got != "session" {
			t.Errorf("%s sets the cookies %q, want session", r.Request.URL.Path, got)
		}
	}
}

// What the page says of the session agrees with the store and the load balancer.
func TestStory(t *testing.T) {
	plain := func(*fleet) {}
	shared := func(f *fleet) { f.store.promise = func(p *session.Promises) { p.Name, p.Shared = "valkey", true } }
	for _, test := range []struct {
		use    func(*fleet)
		sticky bool
		want   []string
	}{
		{plain, false, []string{"Any server may answer. Each knows only its own sessions.", " and lives in the memory of server-1."}},
		{plain, true, []string{"One server answers you while it runs. Your session ends with it."}},
		{shared, false, []string{"Any server may answer. The session follows.", " and lives in Valkey."}},
		{shared, true, []string{"One server answers you while it runs. The session follows."}},
		{withCookies(t), false, []string{"Any server may answer. Your browser carries the session.", " and lives in your browser."}},
		{withTokens(t), false, []string{"Any server may answer. Your browser carries the session."}},
	} {
		_, c := oneServer(t, test.use, func(f *fleet) { f.options.Sticky, f.options.FleetPage = test.sticky, "/_lab" })
		c.get("/").expect(t, 200).contains(t, append(test.want, `<a href="/_lab">The fleet</a>`)...)
	}
	_, c := oneServer(t)
	c.get("/").expect(t, 200).lacks(t, "/_lab")
}
