package web_test

import (
	"slices"
	"strings"
	"testing"

	"stateless-servers/session"
	"stateless-servers/session/cookie"
	"stateless-servers/session/memory"
	"stateless-servers/session/revocation"
	"stateless-servers/session/sealing/sealingtest"
	"stateless-servers/session/token"
)

// The texts on the page about what a store can't do.
const (
	oneServerOnly = "Your session is on one server alone; the others don’t know it."
	noChange      = "This store can’t change a session after login."
	lostUpdates   = "When you change things twice at the same moment, one of the changes may be lost."
	oldReads      = "Right after a change, you may still be shown how it was before."
	softLogout    = "Logout makes this browser forget the session, but a copy of its cookie still works until it expires."
	otherRegions  = "Other regions have copies of your session. Of two changes at the same moment in different regions, one " +
		"is lost, and it may undo a logout."
	noUserSessions = "This store can’t list where you are logged in, nor log you out everywhere."
	noSessionList  = "This store can’t list where you are logged in."
	noBoard        = "There is no leaderboard with this store."
)

// A plainStore can't list a user's sessions.
type plainStore struct{ session.Store }

func (s plainStore) Promises() session.Promises {
	p := s.Store.Promises()
	p.Name, p.Shared, p.ListsByUser = "memcached", true, false
	return p
}

// onPlainStore makes the servers use a plainStore, without a leaderboard.
func onPlainStore(f *fleet) {
	f.options.Board = nil
	f.manage = func(o session.Options) (*session.Manager, error) { return session.New(plainStore{f.store}, o) }
}

func withCookies(t *testing.T) func(*fleet) {
	codec, err := cookie.New(sealingtest.Keys(t, "a"), "session")
	return withCodec(t, codec, err)
}

func withTokens(t *testing.T) func(*fleet) {
	codec, err := token.New(sealingtest.Keys(t, "a"), token.Options{Issuer: "test", Audience: "test"})
	return withCodec(t, codec, err)
}

// withRevocation is withTokens with a list of revoked tokens.
func withRevocation(t *testing.T) func(*fleet) {
	t.Helper()
	codec, err := token.New(sealingtest.Keys(t, "a"), token.Options{Issuer: "test", Audience: "test"})
	if err != nil {
		t.Fatal(err)
	}
	follower, err := revocation.New(memory.NewRevocations(), revocation.Options{})
	if err != nil {
		t.Fatal(err)
	}
	go follower.Follow(t.Context(), func(err error) { t.Error(err) })
	return withCodec(t, follower.Codec(codec), follower.Poll(t.Context()))
}

// withCodec makes the servers keep sessions on the client side, without a leaderboard.
func withCodec(t *testing.T, codec session.Codec, err error) func(*fleet) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return func(f *fleet) {
		f.options.Board = nil
		f.manage = func(o session.Options) (*session.Manager, error) { return session.NewWithCodec(codec, o) }
	}
}

// With every kind of store, the page offers exactly what the routes support, and both give the same reasons for the rest.
func TestCapabilities(t *testing.T) {
	type route struct{ method, path, form string }
	var (
		list       = route{"GET", "/api/sessions", ""}
		everywhere = route{"POST", "/logout/everywhere", ""}
		visit      = route{"POST", "/api/visits", ""}
		fill       = route{"POST", "/api/cart/coffee", "quantity=1"}
		score      = route{"POST", "/api/scores", "score=1"}
		board      = route{"GET", "/api/leaderboard", ""}
	)
	for _, kind := range []struct {
		name, title string
		use         func(*fleet)
		limitations []string
		offered     string // to a visitor
		toUser      string // to one who is logged in
		off         map[route]string
	}{
		{
			name: "memory", title: "Server memory", use: func(*fleet) {}, limitations: []string{oneServerOnly},
			offered: "/api/cart/ /api/scores /api/visits /login",
			toUser:  "/api/cart/ /api/scores /api/visits /logout /logout/everywhere",
		},
		{
			name: "memcached", title: "Memcached", use: onPlainStore, limitations: []string{noUserSessions},
			offered: "/api/cart/ /api/visits /login",
			toUser:  "/api/cart/ /api/visits /logout",
			off:     map[route]string{list: noUserSessions, everywhere: noUserSessions, score: noBoard, board: noBoard},
		},
		{
			name: "cookie", title: "Your own cookie", use: withCookies(t),
			limitations: []string{lostUpdates, oldReads, softLogout, noUserSessions},
			offered:     "/api/cart/ /api/visits /login",
			toUser:      "/api/cart/ /api/visits /logout",
			off:         map[route]string{list: noUserSessions, everywhere: noUserSessions, score: noBoard, board: noBoard},
		},
		{
			name: "token", title: "A signed token", use: withTokens(t),
			limitations: []string{noChange, softLogout, noUserSessions},
			offered:     "/login",
			toUser:      "/logout",
			off: map[route]string{list: noUserSessions, everywhere: noUserSessions, visit: noChange, fill: noChange,
				score: noChange, board: noBoard},
		},
		{
			name: "token", title: "A signed token", use: withRevocation(t),
			limitations: []string{noChange, "After a logout, other servers may accept a copy of your cookie for 5s.", noSessionList},
			offered:     "/login",
			toUser:      "/logout /logout/everywhere",
			off:         map[route]string{list: noSessionList, visit: noChange, fill: noChange, score: noChange, board: noBoard},
		},
	} {
		t.Run(kind.name, func(t *testing.T) {
			f, c := oneServer(t, kind.use)
			for _, offered := range []string{kind.offered, kind.toUser} {
				page := readPage(t, c.get("/").expect(t, 200))
				if got := strings.Join(page.offered, " "); got != offered {
					t.Errorf("the page offers %s\nwant %s", got, offered)
				}
				if page.store != kind.title || !slices.Equal(page.limitations, kind.limitations) {
					t.Errorf("the page describes the store %q with %q\nwant %q, %q", page.store, page.limitations, kind.title, kind.limitations)
				}
				var reasons []string
				for r, reason := range kind.off {
					// Only users who are logged in see the list of their sessions.
					if !slices.Contains(reasons, reason) && (r != list && r != everywhere || offered == kind.toUser) {
						reasons = append(reasons, reason)
					}
				}
				slices.Sort(reasons)
				if !slices.Equal(page.reasons, reasons) {
					t.Errorf("the page gives the reasons %q, want %q", page.reasons, reasons)
				}
				if linked := strings.Contains(page.text, "the leaderboard"); linked == (kind.off[board] != "") {
					t.Errorf("the page links the leaderboard: %v, want %v", linked, !linked)
				}

				f.operations.since()
				for r, reason := range kind.off {
					a := c.do(r.method, r.path, r.form)
					if strings.HasPrefix(r.path, "/api/") {
						a.problem(t, 501, reason)
					} else {
						a.page(t, 501, reason)
					}
					if r.method == "POST" {
						c.post(r.path, r.form, html, "Sec-Fetch-Site: same-origin").page(t, 501, reason)
						c.post(r.path, r.form, "Sec-Fetch-Site: cross-site").expect(t, 403)
					}
				}
				if got := f.operations.since(); got != "" {
					t.Errorf("unsupported requests called the store: %q, want no call", got)
				}
				if offered == kind.offered {
					c.post("/login", "user=ann").expect(t, 200).contains(t, `"user":"ann"`, `"store":"`+kind.name+`"`)
				}
			}
			for _, r := range []route{list, visit, fill, score, board, everywhere} {
				if kind.off[r] == "" {
					c.do(r.method, r.path, r.form).expect(t, 200)
				}
			}
			c.post("/login", "user=bob").expect(t, 200).contains(t, `"user":"bob"`)
			c.post("/logout", "").expect(t, 200).contains(t, `"authenticated":false`)
			c.get("/readyz").expect(t, 200)
			if f.log.Len() > 0 {
				t.Errorf("logged: %s", f.log)
			}
		})
	}
}

// Client-side sessions continue on another server, and unsupported requests don't change them.
func TestClientSideSessionsOnSeveralServers(t *testing.T) {
	f := newFleet(t)
	withCookies(t)(f)
	c := newClient(t, f.start(t, "server-1"))
	other := c.on(f.start(t, "server-2"))
	c.post("/login", "user=ann").expect(t, 200)
	other.post("/api/visits", "").expect(t, 200, `{"visits":1,"server":"server-2"}`)
	c.post("/api/cart/coffee", "quantity=2").expect(t, 200)
	other.post("/api/cart/coffee", "quantity=-5").expect(t, 200, `{"cart":{},"server":"server-2"}`)
	c.post("/api/visits", "").expect(t, 200, `{"visits":2,"server":"server-1"}`)
	c.post("/api/scores", "score=1").problem(t, 501, noBoard)
	other.get("/api/session").expect(t, 200).contains(t, `"user":"ann","visits":2,"cart":{},"created":"`)
	other.get("/").expect(t, 200).contains(t, "<dt>Ends if unused</dt>")
}

func TestTokensBeginWithALogin(t *testing.T) {
	f := newFleet(t)
	withTokens(t)(f)
	c := newClient(t, f.start(t, "server-1"))
	other := c.on(f.start(t, "server-2"))
	c.get("/").expect(t, 200).contains(t, "You have no session yet. It starts when you log in.")
	if c.post("/api/visits", ""); c.Cookies()["session"] != "" {
		t.Error("a refused visit created a session, want none")
	}
	c.post("/login", "user=ann").expect(t, 200)
	token := c.Cookies()["session"]
	other.get("/").expect(t, 200).contains(t, "Logged in as <b>ann</b>", "<dt>Ends</dt>")
	if got := c.Cookies()["session"]; got != token {
		t.Error("viewing the page changed the token, want it unchanged")
	}
}

// The page has one line for each promise that the store doesn't keep.
func TestLimitations(t *testing.T) {
	for _, test := range []struct {
		lacks string
		lack  func(*session.Promises)
		want  []string
	}{
		{"nothing", func(*session.Promises) {}, nil},
		{"Shared", func(p *session.Promises) { p.Shared = false }, []string{oneServerOnly}},
		{"NoLostUpdate", func(p *session.Promises) { p.NoLostUpdate = false }, []string{lostUpdates}},
		{"LogoutIsFinal", func(p *session.Promises) { p.LogoutIsFinal = false }, []string{softLogout}},
		{"ReadYourWrites", func(p *session.Promises) { p.ReadYourWrites = false }, []string{oldReads}},
		{"more than OneRegion", func(p *session.Promises) { p.OneRegion = true }, []string{otherRegions}},
		{"ListsByUser", func(p *session.Promises) { p.ListsByUser = false }, []string{noUserSessions}},
		{"Mutable", func(p *session.Promises) { p.Mutable = false }, []string{noChange}},
		// Without changes, promises about changes don't matter.
		{"Changes and all about them", func(p *session.Promises) {
			p.Mutable, p.NoLostUpdate, p.ReadYourWrites = false, false, false
		}, []string{noChange}},
		{"everything", func(p *session.Promises) { *p = session.Promises{Name: p.Name} },
			[]string{oneServerOnly, noChange, softLogout, noUserSessions}},
	} {
		t.Run(test.lacks, func(t *testing.T) {
			_, c := oneServer(t, func(f *fleet) {
				f.store.promise = func(p *session.Promises) { p.Shared = true; test.lack(p) }
			})
			page := readPage(t, c.get("/").expect(t, 200))
			if !slices.Equal(page.limitations, test.want) {
				t.Errorf("the page says %q, want %q", page.limitations, test.want)
			}
			if kept := strings.Contains(page.text, "It loses no update"); kept != (test.want == nil) {
				t.Errorf("the page says that all promises are kept: %v, want %v", kept, !kept)
			}
		})
	}
}

func TestStoresHaveNames(t *testing.T) {
	for name, title := range map[string]string{
		"memory": "Server memory", "valkey": "Valkey", "redis": "Redis", "dynamodb": "Amazon DynamoDB",
		"memcached": "Memcached", "postgres": "PostgreSQL", "cookie": "Your own cookie", "token": "A signed token",
		"another": "another",
	} {
		_, c := oneServer(t, func(f *fleet) { f.store.promise = func(p *session.Promises) { p.Name = name } })
		page := readPage(t, c.get("/").expect(t, 200))
		if page.store != title || !strings.HasSuffix(page.meaning, ".") {
			t.Errorf("%s has the name %q and the meaning %q, want the name %q", name, page.store, page.meaning, title)
		}
		c.get("/api/session").contains(t, `"store":"`+name+`"`)
	}
}

// If a store doesn't support what it promises, the routes respond with its error.
func TestStoreThatPromisesTooMuch(t *testing.T) {
	_, c := oneServer(t, func(f *fleet) {
		f.manage = func(o session.Options) (*session.Manager, error) {
			return session.New(struct{ session.Store }{f.store}, o)
		}
	})
	c.post("/login", "user=ann").expect(t, 200)
	c.get("/api/sessions").problem(t, 501, "not supported by this session store (memory)")
	c.post("/logout/everywhere", "").page(t, 501, "not supported by this session store (memory)")
	c.get("/").expect(t, 200).contains(t, "The list can’t be read right now.", "Logged in as <b>ann</b>")
}
