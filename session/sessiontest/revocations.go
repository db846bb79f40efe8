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
		{"an entry is returned as it was added", verifyEntry},
		{"a session is revoked once", verifyRevokedOnce},
		{"every cut-off is later than the one before", verifyCutOffs},
		{"a new server reads every page", verifyListPages},
		{"a poll finds entries of servers whose clocks are behind", verifyClocksBehind},
		{"a cut-off ends the sessions that started before it", verifyCutOffOfUser},
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
	return revocation.Entry{CutOff: cutOff, ID: newID(), At: at, Expires: at.Truncate(time.Second).Add(time.Hour)}
}

func listNow() time.Time { return time.Now().Truncate(time.Microsecond) }

// find returns the entry of an id on the list.
func find(ctx context.Context, list revocation.List, since time.Time, id session.ID) (found revocation.Entry, err error) {
	for cursor := ""; ; {
		page, next, err := list.Page(ctx, since, cursor)
		if err != nil {
			return found, fmt.Errorf("page: %w", err)
		}
		for _, entry := range page {
			if entry.ID == id {
				return entry, nil
			}
		}
		if next == "" {
			return found, errors.New("the entry is not on the list")
		}
		cursor = next
	}
}

func verifyEntry(ctx context.Context, list revocation.List) error {
	now := listNow()
	for _, cutOff := range []bool{false, true} {
		want := newEntry(cutOff, now)
		if _, err := list.Add(ctx, want); err != nil {
			return fmt.Errorf("add: %w", err)
		}
		for _, since := range []time.Time{{}, now} {
			got, err := find(ctx, list, since, want.ID)
			if err != nil {
				return err
			}
			if got.CutOff != want.CutOff || !got.At.Equal(want.At) || !got.Expires.Equal(want.Expires) {
				return fmt.Errorf("got the entry %+v, want %+v", got, want)
			}
		}
		if _, err := find(ctx, list, now.Add(time.Microsecond), want.ID); err == nil {
			return errors.New("an entry is on a page that begins after it")
		}
	}
	if at, err := list.CutOff(ctx, newID()); err != nil || !at.IsZero() {
		return fmt.Errorf("the cut-off of a user who has none: got %v, %v", at, err)
	}
	_, _, err := list.Page(ctx, now, "no cursor")
	return expectError("a page with a malformed cursor", err, session.ErrInvalid)
}

func verifyRevokedOnce(ctx context.Context, list revocation.List) error {
	entry := newEntry(false, listNow())
	var mu sync.Mutex
	first := map[time.Time]int{}
	var own int
	err := concurrently(8, 8, func(i int) error {
		mine := entry
		mine.At = entry.At.Add(time.Duration(i) * time.Microsecond)
		stored, err := list.Add(ctx, mine)
		mu.Lock()
		defer mu.Unlock()
		first[stored.At.UTC()]++
		if stored.At.Equal(mine.At) {
			own++
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("add: %w", err)
	}
	if len(first) != 1 || own != 1 {
		return fmt.Errorf("8 requests revoked one session: %d were told that they did, and %d entries were returned, want 1", own, len(first))
	}
	return nil
}

func verifyCutOffs(ctx context.Context, list revocation.List) error {
	entry := newEntry(true, listNow())
	first, err := list.Add(ctx, entry)
	if err != nil {
		return fmt.Errorf("add: %w", err)
	}
	behind := entry
	behind.At = entry.At.Add(-session.MaxClockSkew / 2)
	second, err := list.Add(ctx, behind)
	if err != nil {
		return fmt.Errorf("add: %w", err)
	}
	if !second.At.After(first.At) {
		return fmt.Errorf("a cut-off on a clock that is behind is at %v, not after the one before it, at %v", second.At, first.At)
	}
	var mu sync.Mutex
	latest, times := second.At, map[time.Time]bool{}
	err = concurrently(8, 8, func(i int) error {
		mine := entry
		mine.At = entry.At.Add(-time.Duration(i) * time.Second) // the clocks of servers differ
		mine.Expires = entry.Expires.Add(-time.Duration(i) * time.Second)
		stored, err := list.Add(ctx, mine)
		mu.Lock()
		defer mu.Unlock()
		times[stored.At.UTC()] = true
		if stored.At.After(latest) {
			latest = stored.At
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("add: %w", err)
	}
	if len(times) != 8 {
		return fmt.Errorf("8 cut-offs of a user have %d different times", len(times))
	}
	if at, err := list.CutOff(ctx, entry.ID); err != nil || !at.Equal(latest) {
		return fmt.Errorf("the latest cut-off: got %v, %v, want %v", at, err, latest)
	}
	got, err := find(ctx, list, entry.At.Add(-time.Minute), entry.ID)
	if err == nil && (!got.At.Equal(latest) || !got.Expires.Equal(entry.Expires)) {
		err = fmt.Errorf("got the entry %+v, want the time %v and the latest expiry %v", got, latest, entry.Expires)
	}
	return err
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

// newFollower returns a follower that has read the list, and sets its clock.
func newFollower(ctx context.Context, list revocation.List, now *time.Time) (*revocation.Follower, error) {
	// A list on a slow machine needs time for a page.
	follower, err := revocation.New(list, revocation.Options{Within: time.Minute, Now: func() time.Time { return *now }})
	if err != nil {
		return nil, err
	}
	return follower, follower.Poll(ctx)
}

func refused(follower *revocation.Follower, id session.ID, record session.Record, now time.Time) error {
	_, _, err := follower.Codec(fixedCodec{record: record}).Decode(id.String(), now)
	return err
}

func verifyListPages(ctx context.Context, list revocation.List) error {
	const entries = 2*session.MaxPage + 500
	now := listNow()
	id := func(i int) (id session.ID) {
		return session.ID(sha256.Sum256([]byte(fmt.Sprint(now.UnixNano(), i))))
	}
	err := concurrently(entries, 8, func(i int) error {
		entry := newEntry(false, now.Add(time.Duration(i/3)*time.Microsecond)) // three have the same time
		entry.ID = id(i)
		_, err := list.Add(ctx, entry)
		return err
	})
	if err != nil {
		return fmt.Errorf("add: %w", err)
	}
	follower, err := newFollower(ctx, list, &now)
	if err != nil {
		return err
	}
	for i := range entries {
		if err := refused(follower, id(i), session.Record{}, now); !errors.Is(err, session.ErrEnded) {
			return fmt.Errorf("a new server accepts revoked session %d of %d: got %v", i+1, entries, err)
		}
	}
	return nil
}

func verifyClocksBehind(ctx context.Context, list revocation.List) error {
	now := listNow()
	follower, err := newFollower(ctx, list, &now)
	if err != nil {
		return err
	}
	for _, behind := range []time.Duration{0, session.MaxClockSkew, session.EndedFor - time.Second} { // the last was also sent late
		now = now.Add(time.Second)
		if err := follower.Poll(ctx); err != nil {
			return err
		}
		for _, cutOff := range []bool{false, true} {
			user := fmt.Sprint("user ", newID())
			entry := newEntry(cutOff, now.Add(-behind))
			entry.Expires = now.Truncate(time.Second).Add(time.Hour)
			record := session.Record{User: user, Created: now.Add(-time.Hour)}
			if cutOff {
				entry.ID = revocation.UserID(user)
			}
			if _, err := list.Add(ctx, entry); err != nil {
				return fmt.Errorf("add: %w", err)
			}
			if err := follower.Poll(ctx); err != nil {
				return err
			}
			if err := refused(follower, entry.ID, record, now); err == nil {
				return fmt.Errorf("the entry of a server whose clock is %v behind is missed (cut-off: %v)", behind, cutOff)
			}
		}
	}
	return nil
}

func verifyCutOffOfUser(ctx context.Context, list revocation.List) error {
	now := listNow()
	follower, err := newFollower(ctx, list, &now)
	if err != nil {
		return err
	}
	user := fmt.Sprint("user ", newID())
	codec := follower.Codec(fixedCodec{})
	login := func(created time.Time) (session.Record, error) {
		record, err := codec.Start(ctx, session.Record{User: user, Created: created, Expires: created.Add(time.Hour)})
		if err != nil {
			return record, fmt.Errorf("start: %w", err)
		}
		return record, nil
	}
	logoutEverywhere := func(at time.Time) error {
		if err := codec.EndUser(ctx, user, at, now.Add(time.Hour)); err != nil {
			return fmt.Errorf("end the sessions of a user: %w", err)
		}
		return follower.Poll(ctx)
	}
	const skew = session.MaxClockSkew - time.Second
	var earlier []session.Record
	// The second logout comes from a server whose clock is behind.
	for i, at := range []time.Time{now, now.Add(-skew)} {
		for _, created := range []time.Time{now, now.Add(-skew), now.Add(skew)} {
			record, err := login(created)
			if err != nil {
				return err
			}
			if err := refused(follower, newID(), record, now); err != nil {
				return fmt.Errorf("a login after logout everywhere %d, on a clock off by %v: %w", i, created.Sub(now), err)
			}
			earlier = append(earlier, record)
		}
		if err := logoutEverywhere(at); err != nil {
			return err
		}
		for _, record := range earlier {
			if err := refused(follower, newID(), record, now); err == nil {
				return fmt.Errorf("a session that started on a clock off by %v is accepted after logout everywhere %d",
					record.Created.Sub(now), i+1)
			}
		}
	}
	unmarked := session.Record{User: user, Created: now.Add(2 * session.MaxClockSkew)}
	if err := refused(follower, newID(), unmarked, now); err != nil {
		return fmt.Errorf("a later session of a server without revocation: %w", err)
	}
	other := session.Record{User: user + "'s friend", Created: now}
	if err := refused(follower, newID(), other, now); err != nil {
		return fmt.Errorf("a session of another user: %w", err)
	}
	return nil
}
