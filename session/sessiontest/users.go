package sessiontest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"stateless-servers/session"
)

// userCases are the cases from the comments of session.UserStore.
func userCases() []Case {
	byUser := func(p session.Promises) bool { return p.ListsByUser }
	return []Case{
		{Name: "sessions of a user", Promised: byUser, Run: verifyUser},
		{Name: "sessions of a user, page by page", Promised: byUser, Run: verifyPages},
		{Name: "the list has a renewed session under its new id", Promised: byUser, Run: verifyUserRenewed},
		{Name: "a malformed cursor", Promised: byUser, Run: verifyCursors},
	}
}

var errNoUserStore = errors.New("it promises ListsByUser and is no session.UserStore")

// list returns all sessions of a user, in pages of at most limit.
func list(ctx context.Context, store session.Store, user string, now time.Time, limit int) (all []session.UserSession, err error) {
	users, ok := store.(session.UserStore)
	if !ok {
		return nil, errNoUserStore
	}
	const maxPages = 100_000
	cursor := ""
	for range maxPages {
		page, err := users.UserSessions(ctx, user, session.PageQuery{Now: now, Cursor: cursor, Limit: limit})
		if err != nil {
			return nil, err
		}
		if len(page.Sessions) > limit {
			return nil, fmt.Errorf("a page of at most %d has %d sessions", limit, len(page.Sessions))
		}
		all = append(all, page.Sessions...)
		if page.Next == "" {
			return all, nil
		}
		cursor = page.Next
	}
	return nil, fmt.Errorf("the list of a user has no end after %d pages", maxPages)
}

func verifyUser(ctx context.Context, store session.Store) error {
	ada, other := "ada "+newID().String(), "bob "+newID().String()
	var ids []session.ID
	base := newRecord(map[string]string{"n": "1"})
	for i, user := range []string{ada, ada, ada, other, ""} {
		id, record := newID(), base
		record.User, record.Created, record.Expires = user, base.Created.Add(time.Duration(i)*time.Second), base.Expires.Add(time.Duration(i)*time.Second)
		if err := store.Create(ctx, id, record); err != nil {
			return fmt.Errorf("create: %w", err)
		}
		ids = append(ids, id)
	}
	expect := func(when, user string, now time.Time, want ...session.ID) error {
		found, err := list(ctx, store, user, now, 100)
		if err != nil {
			return fmt.Errorf("%s: %w", when, err)
		}
		if len(found) != len(want) {
			return fmt.Errorf("%s: got %d sessions, want %d", when, len(found), len(want))
		}
		for i, s := range found {
			if s.ID != want[i] || s.Record.User != user || s.Record.UserAgent != base.UserAgent || s.Record.Values != nil {
				return fmt.Errorf("%s: session %d is %v %+v, want %v", when, i, s.ID, s.Record, want[i])
			}
		}
		return nil
	}
	now := base.Created.Add(10 * time.Second)
	if err := expect("list", ada, now, ids[2], ids[1], ids[0]); err != nil {
		return err
	}
	if _, err := store.End(ctx, ids[1], session.EndOptions{Now: now}); err != nil {
		return fmt.Errorf("end: %w", err)
	}
	if err := expect("list after one ended", ada, now, ids[2], ids[0]); err != nil {
		return err
	}
	if err := expect("list of another user", other, now, ids[3]); err != nil {
		return err
	}
	return expect("list when all have expired", ada, base.Expires.Add(time.Minute))
}

// verifyPages lists sessions most of which have expired. Many have the same age.
func verifyPages(ctx context.Context, store session.Store) error {
	const sessions, liveEvery = 250, 10
	user := "ada " + newID().String()
	now := time.Now().Truncate(time.Second)
	want := map[session.ID]bool{}
	var mu sync.Mutex
	err := concurrently(sessions, 8, func(i int) error {
		id, record := newID(), newRecord(nil)
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
		return store.Create(ctx, id, record)
	})
	if err != nil {
		return fmt.Errorf("create: %w", err)
	}
	for _, limit := range []int{1, 7, 100, session.MaxPage} {
		found, err := list(ctx, store, user, now, limit)
		if err != nil {
			return fmt.Errorf("list by %d: %w", limit, err)
		}
		seen := map[session.ID]bool{}
		for _, s := range found {
			if !want[s.ID] || seen[s.ID] {
				return fmt.Errorf("list by %d: session %v is there twice, or has expired", limit, s.ID)
			}
			seen[s.ID] = true
		}
		if len(seen) != len(want) {
			return fmt.Errorf("list by %d: got %d live sessions, want %d", limit, len(seen), len(want))
		}
	}
	return nil
}

func verifyUserRenewed(ctx context.Context, store session.Store) error {
	id, record := newID(), newRecord(map[string]string{"n": "1"})
	record.User = "ada " + id.String()
	if err := store.Create(ctx, id, record); err != nil {
		return fmt.Errorf("create: %w", err)
	}
	r, err := renewal(store, id, record, record.User)
	if err != nil {
		return err
	}
	if _, err := store.Renew(ctx, r); err != nil {
		return fmt.Errorf("renew: %w", err)
	}
	found, err := list(ctx, store, record.User, r.Now, 10)
	if err != nil {
		return fmt.Errorf("list: %w", err)
	}
	if len(found) != 1 || found[0].ID != r.New {
		return fmt.Errorf("the list has %v, want the new session alone", found)
	}
	return nil
}

func verifyCursors(ctx context.Context, store session.Store) error {
	users, ok := store.(session.UserStore)
	if !ok {
		return errNoUserStore
	}
	for _, cursor := range []string{"x", "-1", "\x00", "9999999999999999999999 x", "1 2 3", `{"a":`} {
		_, err := users.UserSessions(ctx, "ada", session.PageQuery{Now: time.Now(), Cursor: cursor, Limit: 10})
		if err := expectError(fmt.Sprintf("cursor %q", cursor), err, session.ErrInvalid); err != nil {
			return err
		}
	}
	return nil
}
