package postgres_test

import (
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"stateless-servers/session"
	"stateless-servers/session/sessiontest"
	"stateless-servers/session/sessiontest/must"
	"stateless-servers/session/sessiontest/storeserver"
)

// EndUserSessions ends every session of a user among thousands of expired ones, while the user logs in, renews and logs out.
func TestEndingManySessions(t *testing.T) {
	const expired, live, workers, renewals = 4500, 500, 4, 3
	store := openWide(t)
	start := time.Now()
	_, err := store.Pool().Exec(t.Context(), `
		INSERT INTO sessions (id, created_at, expires_at, idle_expires_at, user_name, user_agent, contents)
		SELECT sha256(int8send(n)), $1::timestamptz - n * interval '1 second', $1::timestamptz + interval '1 hour',
			$1::timestamptz - interval '1 second', 'ada', '', '{}'
		FROM generate_series(1, $2::int8) AS n`, start, expired)
	must.Succeed(t, err)
	record := func(created time.Time) session.Record {
		return session.Record{User: "ada", Created: created, Expires: created.Add(3 * time.Hour), IdleExpires: created.Add(3 * time.Hour)}
	}
	ids := make([]session.ID, live)
	for i := range ids {
		ids[i] = sessiontest.NewID()
		must.Succeed(t, store.Create(t.Context(), ids[i], record(start.Add(-time.Duration(i)*9*time.Second))))
	}
	manager, err := session.New(store, session.Options{Logger: slog.New(slog.DiscardHandler), StoreTimeout: 10 * time.Second})
	must.Succeed(t, err)

	// Each worker has a share of the sessions. It renews each some times, which keeps the session's start, ends some, and
	// starts others.
	var work sync.WaitGroup
	for worker := range workers {
		work.Go(func() {
			for i := worker; i < live; i += workers {
				for range renewals {
					r := renewal(ids[i], record(start.Add(-time.Duration(i)*9*time.Second)))
					r.Now = start
					if _, err := store.Renew(t.Context(), r); err == nil {
						ids[i] = r.New
					} else if !errors.Is(err, session.ErrEnded) {
						t.Errorf("renew: %v", err)
					}
				}
				if i%10 < workers {
					if _, err := store.End(t.Context(), ids[i], session.EndOptions{Now: start}); err != nil && !errors.Is(err, session.ErrEnded) {
						t.Errorf("end: %v", err)
					}
				}
				if i%10 == 9 {
					if err := store.Create(t.Context(), sessiontest.NewID(), record(start.Add(time.Hour))); err != nil {
						t.Errorf("create: %v", err)
					}
				}
			}
		})
	}
	err = manager.EndUserSessions(t.Context(), "ada")
	work.Wait()
	must.Succeed(t, err)
	for i, id := range ids {
		if _, err := store.Load(t.Context(), id, start); !errors.Is(err, session.ErrEnded) {
			t.Errorf("session %d: %v, want ErrEnded", i, err)
		}
	}
	var started int
	for cursor, pages := "", 0; ; pages++ {
		page := must.Get(store.UserSessions(t.Context(), "ada", session.PageQuery{Now: start, Cursor: cursor, Limit: session.MaxPage}))(t)
		for _, s := range page.Sessions {
			if started++; !s.Record.Created.After(start) {
				t.Errorf("session %v, which started at %v, is live, want it ended", s.ID, s.Record.Created)
			}
		}
		if cursor = page.Next; cursor == "" {
			if pages < expired/session.MaxPage {
				t.Errorf("the list ended after %d pages", pages+1)
			}
			break
		}
	}
	if want := live / 10; started != want {
		t.Errorf("%d later sessions are live, want %d", started, want)
	}
}

// A page of a long list is read from the index at the end of the previous page.
func TestPageReadsPartOfTheIndex(t *testing.T) {
	store := open(t, storeserver.ForTest(t, storeserver.Postgres))
	exec(t, store, `INSERT INTO sessions (id, created_at, expires_at, idle_expires_at, user_name, user_agent, contents)
		SELECT sha256(int8send(n)), now() - n * interval '1 second', now(), now(), 'ada', '', '{}' FROM generate_series(1, 20000) AS n;
		ANALYZE sessions`)
	cursor, now := "", time.Now()
	for range 10 {
		page := must.Get(store.UserSessions(t.Context(), "ada", session.PageQuery{Now: now, Cursor: cursor, Limit: 100}))(t)
		cursor = page.Next
	}
	store.Pool().Reset() // connections report their statistics when they close
	sessiontest.Eventually(t, func() error {
		var read, scans int
		err := store.Pool().QueryRow(t.Context(), `SELECT idx_tup_read, idx_scan FROM pg_stat_user_indexes
			WHERE indexrelname = 'sessions_user_name'`).Scan(&read, &scans)
		if err == nil && scans < 10 {
			err = errors.New("the statistics are not there yet")
		}
		if err == nil && read > 2000 {
			t.Errorf("10 pages of 100 read %d entries of the index, want at most 2000", read)
		}
		return err
	})
}
