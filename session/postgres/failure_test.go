package postgres_test

import (
	"context"
	"errors"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"stateless-servers/session"
	"stateless-servers/session/postgres"
	"stateless-servers/session/sessiontest"
	"stateless-servers/session/sessiontest/must"
	"stateless-servers/session/sessiontest/storeserver"
)

func TestOutage(t *testing.T) {
	server := storeserver.OwnForTest(t, storeserver.Postgres)
	must.Succeed(t, server.Kill())
	store := newStore(t, postgres.Options{URL: server.Endpoint})
	if _, err := store.Load(sessiontest.Short(t), sessiontest.NewID(), time.Now()); err == nil || errors.Is(err, session.ErrNotFound) {
		t.Fatalf("without a server: got %v, want an error", err)
	}
	must.Succeed(t, server.Restart(t.Context()))
	must.Succeed(t, postgres.CreateTable(t.Context(), store.Pool()))
	id, record := sessiontest.Create(t, store)

	must.Succeed(t, server.Pause())
	ctx := sessiontest.Short(t)
	_, err := store.Update(ctx, id, add(record, 1))
	if err == nil || ctx.Err() == nil {
		t.Errorf("paused server: %v, error of the context %v", err, ctx.Err())
	}
	must.Succeed(t, server.Resume())
	sessiontest.Eventually(t, func() error {
		_, err := store.Load(sessiontest.Short(t), id, record.Created)
		return err
	})
}

// A statement without a reply may have been executed, so it is not retried.
func TestWriteIsNotRetriedAfterALostReply(t *testing.T) {
	server := storeserver.ForTest(t, storeserver.Postgres)
	forwarder := storeserver.Forward(t, server.Addr)
	store := newStore(t, postgres.Options{URL: strings.Replace(server.Endpoint, server.Addr, forwarder.Addr, 1)})
	sessiontest.RunLostReply(t, forwarder, open(t, server), store)
}

// A locked row delays only requests of its own session, and no addition is lost.
func TestLockedRow(t *testing.T) {
	server := storeserver.ForTest(t, storeserver.Postgres)
	store := open(t, server)
	id, record := sessiontest.Create(t, store)
	tx := must.Get(store.Pool().Begin(t.Context()))(t)
	must.Get(tx.Exec(t.Context(), "UPDATE sessions SET contents = contents || '{\"n\": \"40\"}' WHERE id = $1", id[:]))(t)
	if _, err := store.Update(sessiontest.Short(t), id, add(record, 1)); err == nil {
		t.Error("an update of a locked row succeeded, want a timeout")
	}
	replies := make(chan string)
	for range 2 {
		go func() {
			got, err := store.Update(t.Context(), id, add(record, 1))
			if err != nil {
				t.Error(err)
			}
			replies <- got.Values["n"]
		}()
	}
	expectWaiting(t, store, 2)
	must.Succeed(t, tx.Commit(t.Context()))
	if a, b := <-replies, <-replies; a+b != "4142" && a+b != "4241" {
		t.Errorf("got %s and %s, want 41 and 42", a, b)
	}
}

func TestPasswordOfEachConnection(t *testing.T) {
	server := storeserver.OwnForTest(t, storeserver.Postgres)
	admin := open(t, server)
	exec(t, admin, "CREATE ROLE web LOGIN PASSWORD 'first'; GRANT ALL ON sessions TO web;")
	// Make the server reload its authentication rules.
	exec(t, admin, `DO $$ BEGIN EXECUTE format('COPY (SELECT ''host all postgres 127.0.0.1/32 trust'' UNION ALL
		SELECT ''host all web 127.0.0.1/32 scram-sha-256'') TO %L', current_setting('hba_file')); END $$; SELECT pg_reload_conf()`)

	var mu sync.Mutex
	password, asked := "wrong", 0
	var failure error
	set := func(p string, err error) { mu.Lock(); password, failure, asked = p, err, 0; mu.Unlock() }
	asks := func() int { mu.Lock(); defer mu.Unlock(); return asked }
	store := newStore(t, postgres.Options{
		URL: strings.Replace(server.Endpoint, "//postgres@", "//web@", 1),
		Password: func(context.Context) (string, error) {
			mu.Lock()
			defer mu.Unlock()
			asked++
			return password, failure
		},
	})
	sessiontest.Eventually(t, func() error {
		if err := store.Ping(t.Context()); err == nil || !strings.Contains(err.Error(), "password authentication failed") {
			return errors.Join(errors.New("a wrong password was taken"), err)
		}
		return nil
	})
	set("", errors.New("no credentials"))
	if err := store.Ping(t.Context()); err == nil || !strings.Contains(err.Error(), "no credentials") {
		t.Errorf("without a password: %v", err)
	}
	set("first", nil)
	must.Succeed(t, store.Ping(t.Context()))
	exec(t, admin, "ALTER ROLE web PASSWORD 'second'")
	set("second", nil)
	must.Succeed(t, store.Ping(t.Context())) // the open connection stays valid
	if n := asks(); n != 0 {
		t.Errorf("asked for %d passwords, want none for an open connection", n)
	}
	store.Pool().Reset()
	id, record := sessiontest.Create(t, store)
	if _, err := store.Update(t.Context(), id, add(record, 1)); err != nil || asks() != 1 {
		t.Errorf("after the rotation: %v, asked %d times, want once for one new connection", err, asks())
	}
}

// After a failover a host name may still resolve to a read-only server.
func TestReadOnlyServersAreRefused(t *testing.T) {
	server := storeserver.ForTest(t, storeserver.Postgres)
	open(t, server)
	admin := newStore(t, postgres.Options{URL: server.Endpoint + "&target_session_attrs=any"})
	database := "ALTER DATABASE " + admin.Pool().Config().ConnConfig.Database
	exec(t, admin, database+" SET default_transaction_read_only = on")
	store := newStore(t, postgres.Options{URL: server.Endpoint})
	if _, err := store.Load(t.Context(), sessiontest.NewID(), time.Now()); err == nil || !strings.Contains(err.Error(), "read only") {
		t.Errorf("read-only server: got %v, want an error", err)
	}
	exec(t, admin, database+" SET default_transaction_read_only = off")
	sessiontest.Create(t, store)
}

func TestMalformedURL(t *testing.T) {
	store, err := postgres.New(postgres.Options{URL: "postgres://web:secret@host:port/"})
	if err == nil {
		store.Close()
		t.Fatal("New accepted a malformed URL, want an error")
	}
	if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %q", err)
	}
}

// Sessions may contain bytes that PostgreSQL's text type can't hold.
func TestAnyBytes(t *testing.T) {
	store := open(t, storeserver.ForTest(t, storeserver.Postgres))
	id, record := sessiontest.NewID(), sessiontest.NewRecord(nil)
	record.User, record.UserAgent = "a\x00\xff", "\xfe\x00"
	record.Values = map[string]string{"\x01": "1", "\x010": "2", "\x00": "3", "\x011": "4", "\x00\x01": "5", `\0`: "6"}
	must.Succeed(t, store.Create(t.Context(), id, record))
	changes := []session.Change{
		{Op: session.OpAdd, Key: "\x010", N: 1}, {Op: session.OpRemove, Key: "\x00"},
		{Op: session.OpSet, Key: "\x01", Value: `"x"`},
	}
	got, err := store.Update(t.Context(), id, sessiontest.Change(record, changes...))
	must.Succeed(t, err)
	want, err := session.Apply(record.Values, changes)
	must.Succeed(t, err)
	if !maps.Equal(got.Values, want) || got.User != record.User || got.UserAgent != record.UserAgent {
		t.Errorf("got %q, want %q with values %q", got, record, want)
	}
	page, err := store.UserSessions(t.Context(), record.User, session.PageQuery{Now: record.Created, Limit: 10})
	if err != nil || len(page.Sessions) != 1 {
		t.Errorf("sessions of the user: %v, %v", page, err)
	}
	renewed, err := store.Renew(t.Context(), renewal(id, record))
	must.Succeed(t, err)
	if !maps.Equal(renewed.Values, want) || renewed.User != record.User || renewed.UserAgent != record.UserAgent {
		t.Errorf("renewed as %q, want %q with values %q", renewed, record, want)
	}
}

// A value that PostgreSQL rejects is not a failure of the store, because a retry would not help.
func TestRejectedValue(t *testing.T) {
	store := open(t, storeserver.ForTest(t, storeserver.Postgres))
	id, record := sessiontest.Create(t, store)
	for _, value := range []string{"\"\xff\"", "\"\x00\""} {
		_, err := store.Update(t.Context(), id, sessiontest.Change(record, session.Change{Op: session.OpSet, Key: "k", Value: value}))
		if !errors.Is(err, session.ErrInvalid) {
			t.Errorf("set %q: %v, want ErrInvalid", value, err)
		}
		moved := record
		moved.Values = map[string]string{"k": value}
		if err := store.Create(t.Context(), sessiontest.NewID(), moved); !errors.Is(err, session.ErrInvalid) {
			t.Errorf("create with %q: %v, want ErrInvalid", value, err)
		}
	}
	got, err := store.Load(t.Context(), id, record.Created)
	if err != nil || len(got.Values) != 0 {
		t.Errorf("afterwards: %v, %v, want no values", got.Values, err)
	}
}

func TestTheLimitIsExact(t *testing.T) {
	store := open(t, storeserver.ForTest(t, storeserver.Postgres))
	for over, want := range map[int]error{0: nil, 1: session.ErrTooLarge} {
		id, record := sessiontest.NewID(), sessiontest.NewRecord(nil)
		record.User, record.UserAgent = "ünï", "agent"
		record.Values = map[string]string{"\x00\x01": `"ü"`}
		must.Succeed(t, store.Create(t.Context(), id, record))
		rest := store.Promises().MaxBytes - record.Size() - len("k") + over
		large := session.Change{Op: session.OpSet, Key: "k", Value: `"` + strings.Repeat("x", rest-2) + `"`}
		_, err := store.Update(t.Context(), id, sessiontest.Change(record, large))
		if !errors.Is(err, want) {
			t.Errorf("%d bytes over the limit: got %v, want %v", over, err, want)
		}
	}
}

func newStore(t *testing.T, o postgres.Options) *postgres.Store {
	t.Helper()
	store := must.Get(postgres.New(o))(t)
	t.Cleanup(store.Close)
	return store
}

// renewal returns a renewal that changes only the id.
func renewal(old session.ID, record session.Record) session.Renewal {
	return session.Renewal{Old: old, New: sessiontest.NewID(), Now: record.Created, Record: record}
}

func add(record session.Record, n int64) session.Update {
	return sessiontest.Change(record, session.Change{Op: session.OpAdd, Key: "n", N: n})
}

func exec(t *testing.T, store *postgres.Store, sql string) {
	t.Helper()
	must.Get(store.Pool().Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol))(t)
}
