package sessiontest

import (
	"fmt"
	"sync"
	"time"

	"stateless-servers/session"
)

// userCases are the cases from the comments of session.UserStore.
func userCases() []Case {
	byUser := func(p session.Promises) bool { return p.ListsByUser }
	return []Case{
		{Name: "sessions of a user", Promised: byUser, Run: try(verifyUser)},
		{Name: "sessions of a user, page by page", Promised: byUser, Run: try(verifyPages)},
		{Name: "the list has a renewed session under its new id", Promised: byUser, Run: try(verifyUserRenewed)},
		{Name: "a malformed cursor", Promised: byUser, Run: try(verifyCursors)},
	}
}

// users returns the store as a session.UserStore.
func (t trial) users() session.UserStore {
	users, ok := t.Store.(session.UserStore)
	if !ok {
		fail("it promises ListsByUser and is no session.UserStore")
	}
	return users
}

// list returns all sessions of a user, in pages of at most limit.
func (t trial) list(call, user string, now time.Time, limit int) (all []session.UserSession) {
	const maxPages = 100_000
	cursor := ""
	for range maxPages {
		page, err := t.users().UserSessions(t.ctx, user, session.PageQuery{Now: now, Cursor: cursor, Limit: limit})
		check(call, err)
		if len(page.Sessions) > limit {
			fail("%s: a page of at most %d has %d sessions", call, limit, len(page.Sessions))
		}
		all = append(all, page.Sessions...)
		if cursor = page.Next; cursor == "" {
			return all
		}
	}
	fail("%s: the list of a user has no end after %d pages", call, maxPages)
	return nil
}

func verifyUser(t trial) {
	ada, other := "ada "+NewID().String(), "bob "+NewID().String()
	var ids []session.ID
	base := NewRecord(map[string]string{"n": "1"})
	for i, user := range []string{ada, ada, ada, other, ""} {
		id, record := NewID(), base
		record.User, record.Created, record.Expires = user, base.Created.Add(time.Duration(i)*time.Second), base.Expires.Add(time.Duration(i)*time.Second)
		check("create", t.Create(t.ctx, id, record))
		ids = append(ids, id)
	}
	expect := func(when, user string, now time.Time, want ...session.ID) {
		found := t.list(when, user, now, 100)
		if len(found) != len(want) {
			fail("%s: got %d sessions, want %d", when, len(found), len(want))
		}
		for i, s := range found {
			if s.ID != want[i] || s.Record.User != user || s.Record.UserAgent != base.UserAgent || s.Record.Values != nil {
				fail("%s: session %d is %v %+v, want %v", when, i, s.ID, s.Record, want[i])
			}
		}
	}
	now := base.Created.Add(10 * time.Second)
	expect("list", ada, now, ids[2], ids[1], ids[0])
	t.end(ids[1], session.EndOptions{Now: now}).ok("end")
	expect("list after one ended", ada, now, ids[2], ids[0])
	expect("list of another user", other, now, ids[3])
	expect("list when all have expired", ada, base.Expires.Add(time.Minute))
}

// verifyPages lists sessions most of which have expired. Many have the same age.
func verifyPages(t trial) {
	const sessions, liveEvery = 250, 10
	user := "ada " + NewID().String()
	now := time.Now().Truncate(time.Second)
	want := map[session.ID]bool{}
	var mu sync.Mutex
	check("create", concurrently(sessions, 8, func(i int) error {
		id, record := NewID(), NewRecord(nil)
		record.User = user
		record.Created = now.Add(-time.Duration(i/50) * time.Minute) // 50 of each age
		record.Expires = record.Created.Add(time.Hour)
		record.IdleExpires = now.Add(-time.Second)
		if i%liveEvery == 0 {
			record.IdleExpires = now.Add(10 * time.Minute)
			mu.Lock()
			want[id] = true
			mu.Unlock()
		}
		return t.Create(t.ctx, id, record)
	}))
	for _, limit := range []int{1, 7, 100, session.MaxPage} {
		call, seen := fmt.Sprint("list by ", limit), map[session.ID]bool{}
		for _, s := range t.list(call, user, now, limit) {
			if !want[s.ID] || seen[s.ID] {
				fail("%s: session %v is there twice, or has expired", call, s.ID)
			}
			seen[s.ID] = true
		}
		if len(seen) != len(want) {
			fail("%s: got %d live sessions, want %d", call, len(seen), len(want))
		}
	}
}

func verifyUserRenewed(t trial) {
	id, record := NewID(), NewRecord(map[string]string{"n": "1"})
	record.User = "ada " + id.String()
	check("create", t.Create(t.ctx, id, record))
	r := t.renewal(id, record, record.User)
	t.renew(r).ok("renew")
	if found := t.list("list", record.User, r.Now, 10); len(found) != 1 || found[0].ID != r.New {
		fail("the list has %v, want the new session alone", found)
	}
}

func verifyCursors(t trial) {
	for _, cursor := range []string{"x", "-1", "\x00", "9999999999999999999999 x", "1 2 3", `{"a":`} {
		_, err := t.users().UserSessions(t.ctx, "ada", session.PageQuery{Now: time.Now(), Cursor: cursor, Limit: 10})
		outcome{err: err}.fails(fmt.Sprintf("cursor %q", cursor), session.ErrInvalid)
	}
}
