package postgres_test

import (
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"stateless-servers/session"
	"stateless-servers/session/postgres"
	"stateless-servers/session/sessiontest"
	"stateless-servers/session/sessiontest/must"
	"stateless-servers/session/sessiontest/storeserver"
)

// Statements of the version before Renew, which runs together with newer servers during a deployment.
const (
	earlierOutcome = `CASE WHEN least(expires_at, idle_expires_at) <= $2 THEN 'missing' WHEN ended THEN 'ended' ELSE 'live' END`
	earlierLocked  = `locked AS MATERIALIZED (SELECT *, ` + earlierOutcome + ` AS outcome FROM sessions WHERE id = $1 FOR UPDATE)`

	earlierCreate = `
INSERT INTO sessions (id, created_at, expires_at, idle_expires_at, user_name, user_agent, contents)
VALUES ($1, $2, $3, $4, $5, $6, jsonb_object($7::text[], $8::text[]))
ON CONFLICT DO NOTHING`
	earlierLoad   = `SELECT outcome, contents FROM (SELECT *, ` + earlierOutcome + ` AS outcome FROM sessions WHERE id = $1) AS session`
	earlierUpdate = `
WITH ` + earlierLocked + `,
written AS (
    UPDATE sessions SET contents = locked.contents || '{"n": "1"}', idle_expires_at = $3
    FROM locked WHERE sessions.id = $1 AND outcome = 'live'
)
SELECT outcome, contents FROM locked`
	earlierEnd = `
WITH ` + earlierLocked + `,
written AS (
    UPDATE sessions SET ended = true, expires_at = $3, idle_expires_at = $3, user_name = '', user_agent = '', contents = '{}'
    FROM locked WHERE sessions.id = $1 AND outcome = 'live'
)
SELECT outcome, contents FROM locked`
	earlierUserSessions = `
SELECT id FROM sessions
WHERE sha256(user_name) = sha256($1) AND user_name <> '' AND user_name = $1 AND least(expires_at, idle_expires_at) > $2
ORDER BY created_at DESC, id LIMIT $3`
)

// earlier runs a statement of an earlier server, and returns its outcome.
func earlier(t *testing.T, store *postgres.Store, statement string, args ...any) string {
	t.Helper()
	var outcome string
	var contents map[string]string
	must.Succeed(t, store.Pool().QueryRow(t.Context(), statement, args...).Scan(&outcome, &contents))
	return outcome
}

func TestTombstonesOnEarlierServers(t *testing.T) {
	store := open(t, storeserver.ForTest(t, storeserver.Postgres))
	end := func(moving bool) func(id session.ID, record session.Record) session.ID {
		return func(id session.ID, record session.Record) session.ID {
			must.Get(store.End(t.Context(), id, session.EndOptions{Now: record.Created, Moving: moving}))(t)
			return id
		}
	}
	for name, bury := range map[string]func(session.ID, session.Record) session.ID{
		"ended": end(false), "moving": end(true),
		"renewed": func(id session.ID, record session.Record) session.ID {
			r := renewal(id, record)
			must.Get(store.Renew(t.Context(), r))(t)
			return r.New
		},
	} {
		id, record := sessiontest.NewID(), sessiontest.NewRecord(nil)
		record.User, record.Values = "ada "+name, map[string]string{"n": "7"}
		must.Succeed(t, store.Create(t.Context(), id, record))
		live := bury(id, record)
		for after, want := range map[time.Duration]string{
			0: "ended", session.EndedFor - time.Second: "ended", session.EndedFor + time.Second: "missing", time.Hour / 2: "missing",
		} {
			now := record.Created.Add(after)
			for call, got := range map[string]string{
				"load":   earlier(t, store, earlierLoad, id[:], now),
				"update": earlier(t, store, earlierUpdate, id[:], now, now.Add(time.Minute)),
				"end":    earlier(t, store, earlierEnd, id[:], now, now.Add(time.Minute)),
			} {
				if got != want {
					t.Errorf("%s, %v later: %s of an earlier server returns %q, want %q", name, after, call, got, want)
				}
			}
		}
		rows, err := store.Pool().Query(t.Context(), earlierUserSessions, []byte(record.User), record.Created, 10)
		must.Succeed(t, err)
		ids, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
		must.Succeed(t, err)
		if len(ids) > 1 || (len(ids) == 1) != (live != id) || len(ids) == 1 && string(ids[0]) != string(live[:]) {
			t.Errorf("%s: an earlier server lists %x, want nothing", name, ids)
		}
		// The tombstone still keeps the state.
		again := renewal(id, record)
		again.AllowRenewed = true
		got, err := store.Renew(t.Context(), again)
		if renewed := err == nil && got.Values["n"] == "7"; renewed != (name == "renewed") {
			t.Errorf("%s: a login with the old id got %v, %v", name, got.Values, err)
		}
		got, err = store.End(t.Context(), id, session.EndOptions{Now: record.Created, Moving: true})
		if moved := err == nil && got.Values["n"] == "7"; moved != (name == "moving") {
			t.Errorf("%s: a move got %v, %v", name, got.Values, err)
		}
	}
}

func TestSessionsOfEarlierServers(t *testing.T) {
	store := open(t, storeserver.ForTest(t, storeserver.Postgres))
	createEarlier := func() (session.ID, session.Record) {
		id, record := sessiontest.NewID(), sessiontest.NewRecord(nil)
		record.User = "ada " + id.String()
		_, err := store.Pool().Exec(t.Context(), earlierCreate, id[:], record.Created, record.Expires, record.IdleExpires,
			[]byte(record.User), []byte{}, []string{"n"}, []string{"7"})
		must.Succeed(t, err)
		return id, record
	}
	id, record := createEarlier()
	got, err := store.Update(t.Context(), id, add(record, 1))
	if err != nil || got.Values["n"] != "8" || got.User != record.User {
		t.Errorf("updated: %v, %v", got, err)
	}
	r := renewal(id, record)
	if got, err := store.Renew(t.Context(), r); err != nil || got.Values["n"] != "8" {
		t.Errorf("renewed: %v, %v", got, err)
	}
	if got := earlier(t, store, earlierUpdate, r.New[:], record.Created, record.IdleExpires); got != "live" {
		t.Errorf("an earlier server reads the new session as %s", got)
	}

	ended, record := createEarlier()
	if got := earlier(t, store, earlierEnd, ended[:], record.Created, record.Created.Add(time.Minute)); got != "live" {
		t.Fatalf("an earlier server ended a session that was %s", got)
	}
	again := renewal(ended, record)
	again.AllowRenewed = true
	_, loadErr := store.Load(t.Context(), ended, record.Created)
	_, renewErr := store.Renew(t.Context(), again)
	_, endErr := store.End(t.Context(), ended, session.EndOptions{Now: record.Created, Moving: true})
	for call, err := range map[string]error{"load": loadErr, "renew": renewErr, "end": endErr} {
		if !errors.Is(err, session.ErrEnded) {
			t.Errorf("%s of a session that an earlier server ended: %v", call, err)
		}
	}
}

// A server of an earlier version extends a session with its own idle timeout by the server's, but doesn't lose the timeout.
func TestOwnIdleTimeoutOnEarlierServers(t *testing.T) {
	store := open(t, storeserver.ForTest(t, storeserver.Postgres))
	id, record := sessiontest.NewID(), sessiontest.NewRecord(nil)
	record.IdleTimeout, record.IdleExpires = 40*time.Minute, record.Created.Add(40*time.Minute)
	must.Succeed(t, store.Create(t.Context(), id, record))
	now := record.Created.Add(time.Minute).Truncate(time.Microsecond)
	if got := earlier(t, store, earlierUpdate, id[:], now, now.Add(time.Minute)); got != "live" {
		t.Fatalf("an earlier server updated a session that was %s", got)
	}
	got, err := store.Load(t.Context(), id, now)
	if err != nil || got.IdleTimeout != record.IdleTimeout || !got.IdleExpires.Equal(now.Add(time.Minute)) || got.Values["n"] != "1" {
		t.Errorf("after an update of an earlier server: %+v, %v", got, err)
	}
	got, err = store.Update(t.Context(), id, session.Update{Now: now, IdleExpires: now.Add(10 * time.Minute)})
	if late := got.IdleExpires.Sub(now.Add(40 * time.Minute)); err != nil || late < 0 || late > time.Microsecond {
		t.Errorf("after another update: %+v, %v", got, err)
	}
}
