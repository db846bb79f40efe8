package valkey

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"stateless-servers/session"
	"stateless-servers/session/sessiontest"
	"stateless-servers/session/sessiontest/must"
	"stateless-servers/session/sessiontest/storeserver"
)

// createMany creates sessions of a user concurrently and returns their ids. Every liveEvery-th is live; the others
// have expired by the idle timeout. All have the same absolute expiry.
func createMany(t *testing.T, store *Store, user string, n, liveEvery int) (record session.Record, all, live []session.ID) {
	t.Helper()
	_, record = anySession()
	record.User, record.Created = user, record.Created.Add(-time.Hour)
	all = make([]session.ID, n)
	errs := make([]error, 16)
	var workers sync.WaitGroup
	for w := range errs {
		workers.Go(func() {
			for i := w; i < n && errs[w] == nil; i += len(errs) {
				r := record
				if i%liveEvery != liveEvery-1 {
					r.IdleExpires = time.Now().Add(-time.Second)
				}
				all[i] = sessiontest.NewID()
				errs[w] = store.Create(t.Context(), all[i], r)
			}
		})
	}
	workers.Wait()
	must.Succeed(t, errors.Join(errs...))
	for i := liveEvery - 1; i < n; i += liveEvery {
		live = append(live, all[i])
	}
	return record, all, live
}

// Thousands of entries with the same expiry are listed page by page, even if the entry of the cursor is removed.
func TestPagesOfOneExpiry(t *testing.T) {
	for name, server := range map[string]string{
		"server": storeserver.ForTest(t, storeserver.Valkey).Addr, "cluster": storeserver.ValkeyCluster(t, 3, 0)[1].Addr,
	} {
		t.Run(name, func(t *testing.T) {
			store := New(Options{Address: server})
			t.Cleanup(store.Close)
			_, _, live := createMany(t, store, "ada", 2500, 2)
			listed := map[session.ID]bool{}
			cursor := ""
			for pages := 0; ; pages++ {
				page := must.Get(store.UserSessions(t.Context(), "ada", session.PageQuery{Now: time.Now(), Cursor: cursor, Limit: 70}))(t)
				for i, s := range page.Sessions {
					if listed[s.ID] {
						t.Fatalf("%v is listed twice", s.ID)
					}
					listed[s.ID] = true
					if pages%2 == 0 && i%2 == 0 {
						must.Get(store.End(t.Context(), s.ID, session.EndOptions{Now: time.Now()}))(t)
					}
				}
				if cursor = page.Next; cursor == "" {
					break
				}
				if pages > 2500/70 {
					t.Fatalf("the list does not end after %d pages", pages)
				}
			}
			for _, id := range live {
				if !listed[id] {
					t.Errorf("%v is not listed, want it listed", id)
				}
			}
		})
	}
}

// A listing removes ended sessions from the list, but neither sessions that may be about to start nor renewed ones that
// another server needs to see.
func TestListingRemovesEndedSessions(t *testing.T) {
	store := New(Options{Address: storeserver.ForTest(t, storeserver.Valkey).Addr})
	t.Cleanup(store.Close)
	ctx := t.Context()
	var ids []session.ID
	var record session.Record
	for range 3 {
		var id session.ID
		id, record = anySession()
		record.User = "ada"
		must.Succeed(t, store.Create(ctx, id, record))
		ids = append(ids, id)
	}
	must.Get(store.Renew(ctx, renewed(ids[0], record)))(t)
	must.Get(store.End(ctx, ids[1], session.EndOptions{Now: record.Created}))(t)
	starting := sessiontest.NewID()
	for _, id := range []session.ID{ids[1], starting} { // ids[1] again, as if End had failed to remove it
		must.Succeed(t, store.addToUserList(ctx, id, record, record.Created))
	}
	c, err := store.Client(ctx)
	must.Succeed(t, err)
	if err := c.Do(ctx, c.B().Zadd().Key(store.userKey("ada")).ScoreMember().
		ScoreMember(float64(record.Expires.UnixMilli()), "no id").Build()).Error(); err != nil {
		t.Fatal(err)
	}
	page, err := store.UserSessions(ctx, "ada", session.PageQuery{Now: record.Created, Limit: 10})
	if err != nil || len(page.Sessions) != 2 || len(page.Renewed) != 1 || page.Renewed[0] != ids[0] {
		t.Errorf("got %+v, %v, want two sessions, and %v renewed", page, err, ids[0])
	}
	for id, want := range map[string]bool{
		ids[0].String(): true, ids[1].String(): false, ids[2].String(): true, starting.String(): true, "no id": false,
	} {
		if _, err := c.Do(ctx, c.B().Zscore().Key(store.userKey("ada")).Member(id).Build()).AsFloat64(); (err == nil) != want {
			t.Errorf("%s is on the list: %v, want %v", id, err == nil, want)
		}
	}
}

// An overtaken is a store that renews a session after the first page of a list was read, once.
type overtaken struct {
	*Store
	renew func() error
}

func (s *overtaken) UserSessions(ctx context.Context, user string, query session.PageQuery) (session.Page, error) {
	page, err := s.Store.UserSessions(ctx, user, query)
	if err == nil && s.renew != nil {
		err = s.renew()
		s.renew = nil
	}
	return page, err
}

// EndUserSessions ends a session that is renewed from a later page of the list to an earlier one.
func TestRenewalToAnEarlierPage(t *testing.T) {
	store := New(Options{Address: storeserver.ForTest(t, storeserver.Valkey).Addr})
	t.Cleanup(store.Close)
	ctx := t.Context()
	record, _, _ := createMany(t, store, "ada", session.MaxPage, session.MaxPage+1) // all have expired by the idle timeout
	id := sessiontest.NewID()
	r := record
	r.Expires = r.Expires.Add(-time.Minute) // the last of the list
	must.Succeed(t, store.Create(ctx, id, r))
	renewal := renewed(id, record)
	renewal.Now, renewal.Record.Expires = time.Now(), record.Expires.Add(time.Minute)
	wrapped := &overtaken{store, func() error { _, err := store.Renew(ctx, renewal); return err }}
	manager := must.Get(session.New(wrapped, session.Options{}))(t)
	must.Succeed(t, manager.EndUserSessions(ctx, "ada"))
	if _, err := store.Load(ctx, renewal.New, time.Now()); !errors.Is(err, session.ErrEnded) {
		t.Errorf("the renewed session: %v, want %v", err, session.ErrEnded)
	}
}

// EndUserSessions ends all sessions that started before it, however many there are and whatever changes meanwhile.
func TestEndManySessions(t *testing.T) {
	for name, server := range map[string]struct {
		address   string
		liveEvery int // fewer on a cluster, because drawing ids takes time
	}{
		"server":  {storeserver.ForTest(t, storeserver.Valkey).Addr, 20},
		"cluster": {storeserver.ValkeyCluster(t, 3, 0)[1].Addr, 100},
	} {
		t.Run(name, func(t *testing.T) {
			store := New(Options{Address: server.address})
			t.Cleanup(store.Close)
			manager := must.Get(session.New(store, session.Options{StoreTimeout: 5 * time.Second}))(t)
			record, _, live := createMany(t, store, "ada", 5000, server.liveEvery)
			rand.Shuffle(len(live), func(i, j int) { live[i], live[j] = live[j], live[i] })
			var mu sync.Mutex
			started := append([]session.ID(nil), live...) // sessions before the call, and their renewals
			const workers = 4
			errs := make(chan error)
			for w := range workers {
				go func() {
					var failed error
					for i := w; i < len(live) && failed == nil; i += workers {
						var next session.ID
						if next, failed = useOnce(t.Context(), store, live[i], record, i); next != (session.ID{}) {
							mu.Lock()
							started = append(started, next)
							mu.Unlock()
						}
					}
					errs <- failed
				}()
			}
			if err := manager.EndUserSessions(t.Context(), "ada"); err != nil {
				t.Error(err)
			}
			end := time.Now()
			for range workers {
				if err := <-errs; err != nil {
					t.Error(err)
				}
			}
			t.Logf("%d of %d sessions were renewed", len(started)-len(live), len(live))
			for _, id := range started {
				if _, err := store.Load(t.Context(), id, end); !errors.Is(err, session.ErrEnded) && !errors.Is(err, session.ErrNotFound) {
					t.Errorf("session %v after EndUserSessions: %v", id, err)
				}
			}
		})
	}
}

// useOnce renews a session, logs out, or logs in, in turn. It returns the new id of a renewal.
func useOnce(ctx context.Context, store *Store, id session.ID, record session.Record, turn int) (next session.ID, err error) {
	renewal := renewed(id, record)
	renewal.Now = time.Now()
	fits, err := store.SameSlot(ctx, id)
	if err != nil {
		return next, err
	}
	renewal.New = anyIDThat(fits)
	switch turn % 4 {
	case 0:
		_, err = store.End(ctx, id, session.EndOptions{Now: renewal.Now})
	case 1:
		renewal.AllowRenewed, renewal.Record.Created = true, renewal.Now
		_, err = store.Renew(ctx, renewal)
	default:
		if _, err = store.Renew(ctx, renewal); err == nil {
			next = renewal.New
		}
	}
	if errors.Is(err, session.ErrEnded) {
		return next, nil
	}
	if err != nil {
		err = fmt.Errorf("turn %d: %w", turn, err)
	}
	return next, err
}
