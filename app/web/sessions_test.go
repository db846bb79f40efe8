package web_test

import (
	"crypto/rand"
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"stateless-servers/session"
)

// list is the response of GET /api/sessions.
type list struct {
	Sessions []struct {
		ID string `json:"id"`
	} `json:"sessions"`
	Next string `json:"next"`
}

func (r response) list(t *testing.T) (l list) {
	t.Helper()
	r.expect(t, 200)
	if err := json.Unmarshal([]byte(r.Body), &l); err != nil || l.Sessions == nil {
		t.Fatalf("%v: %.300s", err, r.Body)
	}
	return l
}

// logIn creates that many sessions of a user.
func (f *fleet) logIn(t *testing.T, user string, sessions int) {
	t.Helper()
	now := time.Now()
	for range sessions {
		var id session.ID
		rand.Read(id[:])
		record := session.Record{User: user, UserAgent: "Phone", Created: now, Expires: now.Add(time.Hour), IdleExpires: now.Add(time.Hour)}
		if err := f.store.Create(t.Context(), id, record); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSessionsPageByPage(t *testing.T) {
	f, c := oneServer(t)
	f.logIn(t, "ann", 44)
	c.post("/login", "user=ann").expect(t, 200)
	for _, test := range []struct {
		limit string
		pages []int
	}{
		{"", []int{20, 20, 5}},
		{"&limit=30", []int{30, 15}},
		{"&limit=45", []int{45}},
		{"&limit=100", []int{45}},
	} {
		seen, cursor := map[string]bool{}, ""
		for i, size := range test.pages {
			l := c.get("/api/sessions?cursor=" + url.QueryEscape(cursor) + test.limit).list(t)
			if last := i == len(test.pages)-1; len(l.Sessions) != size || last != (l.Next == "") {
				t.Errorf("%q: page %d has %d sessions, want %d; the next is %q", test.limit, i, len(l.Sessions), size, l.Next)
			}
			for _, s := range l.Sessions {
				seen[s.ID] = true
			}
			cursor = l.Next
		}
		if len(seen) != 45 {
			t.Errorf("%q: %d different sessions, want 45", test.limit, len(seen))
		}
	}
	c.get("/api/sessions?limit=100").lacks(t, `"next"`)
}

func TestListRefusesBadParameters(t *testing.T) {
	_, c := oneServer(t)
	c.post("/login", "user=ann").expect(t, 200)
	for _, limit := range []string{"", "0", "-1", "101", "1.5", "x", "99999999999999999999"} {
		c.get("/api/sessions?limit="+limit).problem(t, 422, "query parameter limit is "+strconv.Quote(limit)+": allowed is a whole number from 1 to 100")
	}
	c.get("/api/sessions?cursor=x").problem(t, 422, `query parameter cursor is "x": allowed is the value of next`)
}

// Expired sessions leave gaps in a store's pages. The list reads several pages to fill such gaps, but not all of them.
func TestListFillsGaps(t *testing.T) {
	f, c := oneServer(t)
	c.post("/login", "user=ann").expect(t, 200)
	live := session.UserSession{ID: session.ID{1}, Record: session.Record{User: "ann", UserAgent: "Phone"}}
	var queries []session.PageQuery
	emptyPages := 2 // before the first session
	f.store.pages = func(query session.PageQuery) (session.Page, error) {
		queries = append(queries, query)
		n, _ := strconv.Atoi(query.Cursor)
		page := session.Page{Next: strconv.Itoa(n + 1)}
		if n >= emptyPages {
			page.Sessions = []session.UserSession{live}
		}
		if n == emptyPages+1 {
			page.Next = ""
		}
		return page, nil
	}
	if l := c.get("/api/sessions").list(t); len(l.Sessions) != 2 || l.Next != "" || len(queries) != 4 {
		t.Errorf("got %+v after %d queries", l, len(queries))
	}
	queries = nil
	if l := c.get("/api/sessions?limit=1").list(t); len(l.Sessions) != 1 || l.Next != "3" || len(queries) != 3 {
		t.Errorf("one: got %+v after %d queries", l, len(queries))
	}
	c.get("/").expect(t, 200).contains(t, "Phone").lacks(t, "The list continues")

	queries, emptyPages = nil, 1000
	if l := c.get("/api/sessions").list(t); len(l.Sessions) != 0 || l.Next != "5" || len(queries) != 5 {
		t.Errorf("a long gap: got %+v after %d queries", l, len(queries))
	}
	c.get("/").expect(t, 200).contains(t, `The list continues <a href="/api/sessions?cursor=5">as JSON</a>`).lacks(t, "None is listed yet")
}

// The page of a user with many sessions is small and takes few store operations.
func TestPageOfAUserWithManySessions(t *testing.T) {
	f, c := oneServer(t)
	f.logIn(t, "ann", 4000)
	c.post("/login", "user=ann").expect(t, 200)
	f.operations.since()
	r := c.get("/").expect(t, 200).contains(t, "Only the newest are shown.")
	if got := f.operations.since(); got != "load list" {
		t.Errorf("the page called the store: %q, want load list", got)
	}
	if shown := strings.Count(r.Body, `class="agent"`); shown != 20 || len(r.Body) > 32<<10 {
		t.Errorf("the page shows %d sessions in %d bytes, want 20 in at most 32 KiB", shown, len(r.Body))
	}
	for _, href := range strings.Split(r.Body, `href="`)[1:] {
		if href, _, _ = strings.Cut(href, `"`); strings.HasPrefix(href, "/api/sessions?") {
			if l := c.get(href).list(t); len(l.Sessions) != 20 || l.Next == "" {
				t.Errorf("%s has %d sessions, want 20 and a next page", href, len(l.Sessions))
			}
			return
		}
	}
	t.Error("the page has no link to the next page")
}

// The user has more sessions than session.MaxPage, so the logout needs several pages.
func TestLogoutEverywhereEndsAll(t *testing.T) {
	f, c := oneServer(t)
	f.logIn(t, "ann", 20_000)
	f.logIn(t, "bob", 1)
	c.post("/login", "user=ann").expect(t, 200)
	c.post("/logout/everywhere", "").expect(t, 200, noSession)
	for user, want := range map[string]int{"ann": 0, "bob": 1} {
		page, err := f.store.UserSessions(t.Context(), user, session.PageQuery{Now: time.Now(), Limit: 10})
		if err != nil || len(page.Sessions) != want {
			t.Errorf("%s has %d sessions, want %d (%v)", user, len(page.Sessions), want, err)
		}
	}
}
