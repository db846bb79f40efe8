package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"stateless-servers/session"
	"stateless-servers/session/postgres"
	"stateless-servers/session/sessiontest"
	"stateless-servers/session/sessiontest/must"
	"stateless-servers/session/sessiontest/storeserver"
)

func TestConcurrentCreateTable(t *testing.T) {
	server := storeserver.ForTest(t, storeserver.Postgres)
	errs := make(chan error)
	const servers = 8
	for range servers {
		store := newStore(t, postgres.Options{URL: server.Endpoint})
		go func() { errs <- postgres.CreateTable(t.Context(), store.Pool()) }()
	}
	for range servers {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	sessiontest.Create(t, open(t, server))
}

func TestCreateTableNeedsNoPrivilegeIfTheTableExists(t *testing.T) {
	server := storeserver.OwnForTest(t, storeserver.Postgres)
	admin := open(t, server)
	exec(t, admin, "CREATE ROLE web LOGIN; GRANT SELECT, INSERT, UPDATE, DELETE ON sessions TO web")
	config := admin.Pool().Config().ConnConfig
	store := newStore(t, postgres.Options{URL: "postgres://web@" + server.Addr + "/" + config.Database + "?sslmode=disable"})
	must.Succeed(t, postgres.CreateTable(t.Context(), store.Pool()))
	sessiontest.Create(t, store)
	if _, err := store.Sweep(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestCreateTableRefusesAnUnsuitableDatabase(t *testing.T) {
	server := storeserver.OwnForTest(t, storeserver.Postgres)
	admin := newStore(t, postgres.Options{URL: server.Endpoint})
	exec(t, admin, "CREATE TABLE sessions (id bytea, data text)")
	if err := postgres.CreateTable(t.Context(), admin.Pool()); err == nil {
		t.Error("CreateTable accepted another table of the same name, want an error")
	}
	exec(t, admin, "DROP TABLE sessions")
	exec(t, admin, "CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0")
	latin := newStore(t, postgres.Options{URL: "postgres://postgres@" + server.Addr + "/latin?sslmode=disable"})
	if err := postgres.CreateTable(t.Context(), latin.Pool()); err == nil {
		t.Error("CreateTable accepted a database that can't hold every character, want an error")
	}
}

func TestSweep(t *testing.T) {
	store := open(t, storeserver.ForTest(t, storeserver.Postgres))
	now := time.Now()
	at := func(expires, idle time.Duration) session.ID {
		id, record := sessiontest.NewID(), sessiontest.NewRecord(nil)
		record.Created, record.Expires, record.IdleExpires = now.Add(-1000*time.Hour), now.Add(expires), now.Add(idle)
		must.Succeed(t, store.Create(t.Context(), id, record))
		return id
	}
	live, justExpired := at(time.Hour, time.Minute), at(-59*time.Minute, time.Hour)
	ended := at(time.Hour, time.Hour)
	must.Get(store.End(t.Context(), ended, session.EndOptions{Now: now}))(t)
	idle, absolute, longEnded := at(time.Hour, -3*time.Hour), at(-3*time.Hour, time.Hour), at(time.Hour, time.Hour)
	must.Get(store.End(t.Context(), longEnded, session.EndOptions{Now: now.Add(-4 * time.Hour)}))(t)
	// More sessions than one batch.
	exec(t, store, `INSERT INTO sessions (id, created_at, expires_at, idle_expires_at, user_name, user_agent, contents)
		SELECT int8send(n), now(), now() - interval '4 hours', now(), '', '', '{}' FROM generate_series(1, 2500) AS n`)

	// While another server sweeps, Sweep deletes nothing.
	tx := must.Get(store.Pool().Begin(t.Context()))(t)
	must.Get(tx.Exec(t.Context(), "SELECT pg_advisory_xact_lock(hashtextextended('sessions sweep', 0))"))(t)
	if n, err := store.Sweep(t.Context()); n != 0 || err != nil {
		t.Errorf("while another server sweeps: swept %d, %v, want 0", n, err)
	}
	must.Succeed(t, tx.Rollback(t.Context()))

	if n, err := store.Sweep(t.Context()); n != 2503 || err != nil {
		t.Errorf("swept %d, %v, want 2503", n, err)
	}
	for id, want := range map[session.ID]bool{
		live: true, justExpired: true, ended: true, idle: false, absolute: false, longEnded: false,
	} {
		var there bool
		must.Succeed(t, store.Pool().QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM sessions WHERE id = $1)", id[:]).Scan(&there))
		if there != want {
			t.Errorf("session %v: exists %v, want %v", id, there, want)
		}
	}
}

// A server whose clock is ahead deletes no session that is live for another server, at any minute of the hour.
func TestSweepOfAServerWithAnotherClock(t *testing.T) {
	store := open(t, storeserver.ForTest(t, storeserver.Postgres))
	const ahead = 5 * time.Minute
	id, record := sessiontest.NewID(), sessiontest.NewRecord(nil)
	record.Expires = record.Created.Truncate(time.Hour).Add(2*time.Hour - time.Second) // the last second of an hour
	record.IdleExpires = record.Expires
	must.Succeed(t, store.Create(t.Context(), id, record))
	now := record.Expires.Add(-time.Second)
	must.Get(postgres.SweepAt(store, t.Context(), now.Add(ahead)))(t)
	if _, err := store.Load(t.Context(), id, now); err != nil {
		t.Errorf("a live session after a sweep with a clock %v ahead: %v", ahead, err)
	}
	for _, test := range []struct {
		after time.Duration
		want  int64
	}{{time.Hour, 0}, {2*time.Hour + time.Second, 1}} {
		n, err := postgres.SweepAt(store, t.Context(), record.Expires.Add(test.after))
		if err != nil || n != test.want {
			t.Errorf("%v after the expiry: swept %d, %v, want %d", test.after, n, err, test.want)
		}
	}
}

func TestMaintain(t *testing.T) {
	server := storeserver.OwnForTest(t, storeserver.Postgres)
	must.Succeed(t, server.Kill())
	store := newStore(t, postgres.Options{URL: server.Endpoint})
	ctx, stop := context.WithCancel(t.Context())
	var failures atomic.Int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		store.Maintain(ctx, 20*time.Millisecond, func(error) { failures.Add(1) })
	}()
	sessiontest.Eventually(t, func() error {
		if failures.Load() == 0 {
			return errors.New("no failure was reported")
		}
		return nil
	})
	must.Succeed(t, server.Restart(t.Context()))
	id, record := sessiontest.NewID(), sessiontest.NewRecord(nil)
	record.Expires = record.Created.Add(-4 * time.Hour)
	sessiontest.Eventually(t, func() error { return store.Create(t.Context(), id, record) })
	sessiontest.Eventually(t, func() error {
		var left int
		err := store.Pool().QueryRow(t.Context(), "SELECT count(*) FROM sessions").Scan(&left)
		if err == nil && left != 0 {
			err = errors.New("what has expired is still there")
		}
		return err
	})
	stop()
	<-done
}

// Writing index entries with every request would bloat the indexes of a busy table.
func TestUpdatesWriteNoIndex(t *testing.T) {
	store := open(t, storeserver.ForTest(t, storeserver.Postgres))
	id, record := sessiontest.Create(t, store)
	hour := record.Created.Truncate(time.Hour).Add(5 * time.Minute)
	const updates = 50
	for i := range updates {
		u := add(record, 1)
		u.IdleExpires = hour.Add(time.Hour + time.Duration(i)*time.Second)
		must.Get(store.Update(t.Context(), id, u))(t)
	}
	store.Pool().Reset() // connections report their statistics when they close
	sessiontest.Eventually(t, func() error {
		var all, hot int
		err := store.Pool().QueryRow(t.Context(),
			"SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'sessions'").Scan(&all, &hot)
		if err == nil && (all != updates || hot < updates-10) {
			err = fmt.Errorf("%d updates, %d of them in place, want %d", all, hot, updates)
		}
		return err
	})
}
