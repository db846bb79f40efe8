package postgres_test

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"stateless-servers/session"
	"stateless-servers/session/postgres"
	"stateless-servers/session/sessiontest"
	"stateless-servers/session/sessiontest/must"
	"stateless-servers/session/sessiontest/storeserver"
)

// Calls that wait for a row see the state that the previous call has left, although it is newer than their statements.
func TestRenewalOfALockedRow(t *testing.T) {
	store := openWide(t)
	id, record := sessiontest.Create(t, store)
	tx := must.Get(store.Pool().Begin(t.Context()))(t)
	must.Get(tx.Exec(t.Context(), "UPDATE sessions SET contents = contents || '{\"n\": \"40\"}' WHERE id = $1", id[:]))(t)

	type reply struct {
		r      session.Renewal
		record session.Record
		err    error
	}
	twice, other, login := renewal(id, record), renewal(id, record), renewal(id, record)
	login.AllowRenewed = true
	replies := make(chan reply)
	for _, r := range []session.Renewal{twice, twice, other, login} {
		go func() {
			record, err := store.Renew(t.Context(), r)
			replies <- reply{r, record, err}
		}()
	}
	expectWaiting(t, store, 4)
	must.Succeed(t, tx.Commit(t.Context()))

	renewed := map[session.ID]int{}
	for range 4 {
		a := <-replies
		switch {
		case a.err == nil && a.record.Values["n"] == "40":
			renewed[a.r.New]++
		case a.r.AllowRenewed || !errors.Is(a.err, session.ErrEnded):
			t.Errorf("a renewal: %v, %v", a.record.Values, a.err)
		}
	}
	// Either the repeated renewal came first or another one. The login succeeds in both cases.
	if renewed[login.New] != 1 || renewed[twice.New] == 2 && renewed[other.New] == 1 || renewed[twice.New] == 1 {
		t.Errorf("the renewals succeeded %v times", renewed)
	}
	var live int
	must.Succeed(t, store.Pool().QueryRow(t.Context(), "SELECT count(*) FROM sessions WHERE NOT ended").Scan(&live))
	if live != len(renewed) {
		t.Errorf("%d sessions are live, want the %d that Renew returned", live, len(renewed))
	}
}

// An update or an end that waits for a renewal doesn't change the tombstone.
func TestChangesWaitForARenewal(t *testing.T) {
	store := openWide(t)
	id, record := sessiontest.Create(t, store)
	must.Get(store.Update(t.Context(), id, add(record, 7)))(t)
	tx, err := store.Pool().Begin(t.Context())
	must.Succeed(t, err)
	_, err = tx.Exec(t.Context(), "SELECT FROM sessions WHERE id = $1 FOR UPDATE", id[:])
	must.Succeed(t, err)
	r := renewal(id, record)
	renewed := make(chan error)
	go func() {
		_, err := store.Renew(t.Context(), r)
		renewed <- err
	}()
	expectWaiting(t, store, 1) // before the others, because PostgreSQL queues lock requests
	refused := make(chan error)
	go func() {
		_, err := store.Update(t.Context(), id, add(record, 1))
		refused <- err
	}()
	go func() {
		_, err := store.End(t.Context(), id, session.EndOptions{Now: record.Created, Moving: true})
		refused <- err
	}()
	expectWaiting(t, store, 3)
	must.Succeed(t, tx.Commit(t.Context()))
	must.Succeed(t, <-renewed)
	for range 2 {
		if err := <-refused; !errors.Is(err, session.ErrEnded) {
			t.Errorf("after the renewal: %v, want ErrEnded", err)
		}
	}
	got, err := store.Load(t.Context(), r.New, record.Created)
	if err != nil || got.Values["n"] != "7" {
		t.Errorf("the new session has %v, %v", got.Values, err)
	}
	again := renewal(id, record)
	again.AllowRenewed = true
	if got, err := store.Renew(t.Context(), again); err != nil || got.Values["n"] != "7" {
		t.Errorf("from the tombstone: %v, %v", got.Values, err)
	}
}

// A renewal whose reply is lost is executed, and a second one returns the new session.
func TestLostReplyOfARenewal(t *testing.T) {
	server := storeserver.ForTest(t, storeserver.Postgres)
	direct := open(t, server)
	forwarder := storeserver.Forward(t, server.Addr)
	store := newStore(t, postgres.Options{URL: strings.Replace(server.Endpoint, server.Addr, forwarder.Addr, 1)})
	for _, again := range []bool{false, true} {
		first, record := sessiontest.Create(t, store)
		must.Get(store.Update(t.Context(), first, add(record, 7)))(t)
		// Once before, so that the statement is prepared.
		must.Get(store.Renew(t.Context(), renewal(first, record)))(t)
		id, record := sessiontest.Create(t, store)
		must.Get(store.Update(t.Context(), id, add(record, 7)))(t)
		if again {
			id = first
		}
		r := renewal(id, record)
		r.AllowRenewed = again
		forwarder.Mute(true)
		replied := make(chan error, 1)
		go func() {
			_, err := store.Renew(t.Context(), r)
			replied <- err
		}()
		sessiontest.Eventually(t, func() error {
			_, err := direct.Load(t.Context(), r.New, record.Created)
			return err
		})
		forwarder.CloseConnections()
		forwarder.Mute(false)
		if err := <-replied; err == nil {
			t.Error("acknowledged without a reply")
		}
		got, err := direct.Renew(t.Context(), r)
		if err != nil || !maps.Equal(got.Values, map[string]string{"n": "7"}) {
			t.Errorf("the second renewal: %v, %v", got.Values, err)
		}
		sessiontest.Eventually(t, func() error { return store.Ping(t.Context()) })
	}
}

// openWide returns a store with more connections than any test has waiting calls.
func openWide(t *testing.T) *postgres.Store {
	t.Helper()
	server := storeserver.ForTest(t, storeserver.Postgres)
	open(t, server)
	return newStore(t, postgres.Options{URL: server.Endpoint + "&pool_max_conns=16"})
}

// expectWaiting waits until the given number of statements wait for locks.
func expectWaiting(t *testing.T, store *postgres.Store, want int) {
	t.Helper()
	sessiontest.Eventually(t, func() error {
		var waiting int
		err := store.Pool().QueryRow(t.Context(),
			`SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&waiting)
		if err == nil && waiting != want {
			err = errors.New("the statements don't wait yet")
		}
		return err
	})
}
