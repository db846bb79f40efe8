package sessiontest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"stateless-servers/session"
	"stateless-servers/session/revocation"
)

// A ListCase is one test of a revocation.List.
type ListCase struct {
	Name string
	// Run returns an error that describes how the list fails, or nil. The list may hold other entries.
	Run func(ctx context.Context, list revocation.List) error
}

// ListCases returns all cases for a revocation.List.
func ListCases() []ListCase {
	return []ListCase{
		{"an entry is returned as it was added", tryList(verifyEntry)},
		{"a session is revoked once", tryList(verifyRevokedOnce)},
		{"every cut-off is later than the one before", tryList(verifyCutOffs)},
		{"a new server reads every page", tryList(verifyListPages)},
		{"a poll finds entries of servers whose clocks are behind", tryList(verifyClocksBehind)},
		{"a cut-off ends the sessions that started before it", tryList(verifyCutOffOfUser)},
	}
}

// RunList runs every case for a revocation.List, each as a subtest.
func RunList(t *testing.T, list revocation.List) {
	for _, c := range ListCases() {
		t.Run(c.Name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), caseTimeout)
			defer cancel()
			if err := c.Run(ctx, list); err != nil {
				t.Error(err)
			}
		})
	}
}

func newEntry(cutOff bool, at time.Time) revocation.Entry {
	return revocation.Entry{CutOff: cutOff, ID: NewID(), At: at, Expires: at.Truncate(time.Second).Add(time.Hour)}
}

func listNow() time.Time { return time.Now().Truncate(time.Microsecond) }

// A listTrial is one run of a ListCase. Like a trial, it ends at the first reply that is wrong.
type listTrial struct {
	revocation.List
	ctx context.Context
}

// tryList returns a ListCase.Run that calls f.
func tryList(f func(listTrial)) func(context.Context, revocation.List) error {
	return func(ctx context.Context, list revocation.List) error {
		return attempt(func() { f(listTrial{list, ctx}) })
	}
}

func (t listTrial) add(entry revocation.Entry) revocation.Entry {
	stored, err := t.Add(t.ctx, entry)
	check("add", err)
	return stored
}

// find returns the entry of an id on the list, and reports whether there is one.
func (t listTrial) find(since time.Time, id session.ID) (found revocation.Entry, ok bool) {
	for cursor := ""; ; {
		page, next, err := t.Page(t.ctx, since, cursor)
		check("page", err)
		for _, entry := range page {
			if entry.ID == id {
				return entry, true
			}
		}
		if next == "" {
			return found, false
		}
		cursor = next
	}
}

func verifyEntry(t listTrial) {
	now := listNow()
	for _, cutOff := range []bool{false, true} {
		want := newEntry(cutOff, now)
		t.add(want)
		for _, since := range []time.Time{{}, now} {
			got, ok := t.find(since, want.ID)
			if !ok || got.CutOff != want.CutOff || !got.At.Equal(want.At) || !got.Expires.Equal(want.Expires) {
				fail("got the entry %+v, on the list: %v, want %+v", got, ok, want)
			}
		}
		if _, ok := t.find(now.Add(time.Microsecond), want.ID); ok {
			fail("an entry is on a page that begins after it")
		}
	}
	if at, err := t.CutOff(t.ctx, NewID()); err != nil || !at.IsZero() {
		fail("the cut-off of a user who has none: got %v, %v", at, err)
	}
	_, _, err := t.Page(t.ctx, now, "no cursor")
	outcome{err: err}.fails("a page with a malformed cursor", session.ErrInvalid)
}

func verifyRevokedOnce(t listTrial) {
	entry := newEntry(false, listNow())
	var mu sync.Mutex
	first := map[time.Time]int{}
	var own int
	check("add", concurrently(8, 8, func(i int) error {
		mine := entry
		mine.At = entry.At.Add(time.Duration(i) * time.Microsecond)
		stored, err := t.Add(t.ctx, mine)
		mu.Lock()
		defer mu.Unlock()
		first[stored.At.UTC()]++
		if stored.At.Equal(mine.At) {
			own++
		}
		return err
	}))
	if len(first) != 1 || own != 1 {
		fail("8 requests revoked one session: %d were told that they did, and %d entries were returned, want 1", own, len(first))
	}
}

func verifyCutOffs(t listTrial) {
	entry := newEntry(true, listNow())
	first := t.add(entry)
	behind := entry
	behind.At = entry.At.Add(-session.MaxClockSkew / 2)
	second := t.add(behind)
	if !second.At.After(first.At) {
		fail("a cut-off on a clock that is behind is at %v, not after the one before it, at %v", second.At, first.At)
	}
	var mu sync.Mutex
	latest, times := second.At, map[time.Time]bool{}
	check("add", concurrently(8, 8, func(i int) error {
		mine := entry
		mine.At = entry.At.Add(-time.Duration(i) * time.Second) // the clocks of servers differ
		mine.Expires = entry.Expires.Add(-time.Duration(i) * time.Second)
		stored, err := t.Add(t.ctx, mine)
		mu.Lock()
		defer mu.Unlock()
		times[stored.At.UTC()] = true
		if stored.At.After(latest) {
			latest = stored.At
		}
		return err
	}))
	if len(times) != 8 {
		fail("8 cut-offs of a user have %d different times", len(times))
	}
	if at, err := t.CutOff(t.ctx, entry.ID); err != nil || !at.Equal(latest) {
		fail("the latest cut-off: got %v, %v, want %v", at, err, latest)
	}
	got, ok := t.find(entry.At.Add(-time.Minute), entry.ID)
	if !ok || !got.At.Equal(latest) || !got.Expires.Equal(entry.Expires) {
		fail("got the entry %+v, want the time %v and the latest expiry %v", got, latest, entry.Expires)
	}
}

// A fixedCodec is a codec whose values are the ids of sessions, each with the same record.
type fixedCodec struct {
	session.Codec
	record session.Record
}

func (c fixedCodec) Decode(value string, _ time.Time) (session.ID, session.Record, error) {
	id, ok := session.ParseID(value)
	if !ok {
		return id, session.Record{}, session.ErrNotFound
	}
	return id, c.record, nil
}

// follower returns a follower that has read the list, and sets its clock.
func (t listTrial) follower(now *time.Time) *revocation.Follower {
	// A list on a slow machine needs time for a page.
	follower, err := revocation.New(t.List, revocation.Options{Within: time.Minute, Now: func() time.Time { return *now }})
	check("new follower", err)
	check("poll", follower.Poll(t.ctx))
	return follower
}

func refused(follower *revocation.Follower, id session.ID, record session.Record, now time.Time) error {
	_, _, err := follower.Codec(fixedCodec{record: record}).Decode(id.String(), now)
	return err
}

func verifyListPages(t listTrial) {
	const entries = 2*session.MaxPage + 10 // three pages
	now := listNow()
	id := func(i int) (id session.ID) {
		return session.ID(sha256.Sum256([]byte(fmt.Sprint(now.UnixNano(), i))))
	}
	check("add", concurrently(entries, 8, func(i int) error {
		entry := newEntry(false, now.Add(time.Duration(i/3)*time.Microsecond)) // three have the same time
		entry.ID = id(i)
		_, err := t.Add(t.ctx, entry)
		return err
	}))
	follower := t.follower(&now)
	for i := range entries {
		if err := refused(follower, id(i), session.Record{}, now); !errors.Is(err, session.ErrEnded) {
			fail("a new server accepts revoked session %d of %d: got %v", i+1, entries, err)
		}
	}
}

func verifyClocksBehind(t listTrial) {
	now := listNow()
	follower := t.follower(&now)
	for _, behind := range []time.Duration{0, session.MaxClockSkew, session.EndedFor - time.Second} { // the last was also sent late
		now = now.Add(time.Second)
		check("poll", follower.Poll(t.ctx))
		for _, cutOff := range []bool{false, true} {
			user := fmt.Sprint("user ", NewID())
			entry := newEntry(cutOff, now.Add(-behind))
			entry.Expires = now.Truncate(time.Second).Add(time.Hour)
			record := session.Record{User: user, Created: now.Add(-time.Hour)}
			if cutOff {
				entry.ID = revocation.UserID(user)
			}
			t.add(entry)
			check("poll", follower.Poll(t.ctx))
			if err := refused(follower, entry.ID, record, now); err == nil {
				fail("the entry of a server whose clock is %v behind is missed (cut-off: %v)", behind, cutOff)
			}
		}
	}
}

func verifyCutOffOfUser(t listTrial) {
	now := listNow()
	follower := t.follower(&now)
	user := fmt.Sprint("user ", NewID())
	codec := follower.Codec(fixedCodec{})
	const skew = session.MaxClockSkew - time.Second
	var earlier []session.Record
	// The second logout comes from a server whose clock is behind.
	for i, at := range []time.Time{now, now.Add(-skew)} {
		for _, created := range []time.Time{now, now.Add(-skew), now.Add(skew)} {
			record, err := codec.Start(t.ctx, session.Record{User: user, Created: created, Expires: created.Add(time.Hour)})
			check("start", err)
			check(fmt.Sprintf("a login after logout everywhere %d, on a clock off by %v", i, created.Sub(now)),
				refused(follower, NewID(), record, now))
			earlier = append(earlier, record)
		}
		check("end the sessions of a user", codec.EndUser(t.ctx, user, at, now.Add(time.Hour)))
		check("poll", follower.Poll(t.ctx))
		for _, record := range earlier {
			if err := refused(follower, NewID(), record, now); err == nil {
				fail("a session that started on a clock off by %v is accepted after logout everywhere %d",
					record.Created.Sub(now), i+1)
			}
		}
	}
	unmarked := session.Record{User: user, Created: now.Add(2 * session.MaxClockSkew)}
	check("a later session of a server without revocation", refused(follower, NewID(), unmarked, now))
	other := session.Record{User: user + "'s friend", Created: now}
	check("a session of another user", refused(follower, NewID(), other, now))
}
