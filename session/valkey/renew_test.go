package valkey

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"testing"
	"time"

	"stateless-servers/session"
	"stateless-servers/session/sessiontest"
	"stateless-servers/session/sessiontest/must"
	"stateless-servers/session/sessiontest/storeserver"
)

// A renewal runs one script, and another one that adds the session to its user's list.
func TestScriptsOfARenewal(t *testing.T) {
	b := newBefore(t)
	scripts := func() (n int) {
		text := must.Get(b.client.Do(t.Context(), b.client.B().Info().Section("commandstats").Build()).ToString())(t)
		for _, found := range regexp.MustCompile(`cmdstat_eval\w*:calls=(\d+)`).FindAllStringSubmatch(text, -1) {
			calls, _ := strconv.Atoi(found[1])
			n += calls
		}
		return n
	}
	renew := func(user string) {
		t.Helper()
		id, record := anySession()
		record.User = ""
		must.Succeed(t, b.store.Create(t.Context(), id, record))
		renewal := renewed(id, record)
		renewal.Record.User = user
		before := scripts()
		must.Get(b.store.Renew(t.Context(), renewal))(t)
		if got, want := scripts()-before, min(2, 1+len(user)); got != want {
			t.Errorf("a renewal for the user %q ran %d scripts, want %d", user, got, want)
		}
	}
	if _, err := b.store.Renew(t.Context(), renewed(sessiontest.NewID(), session.Record{User: "ada"})); !errors.Is(err, session.ErrNotFound) {
		t.Fatal(err) // loads the scripts
	}
	renew("ada")
	renew("")
}

// On a cluster, the client would panic for a script with keys in different slots.
func TestRenewalToAnotherSlot(t *testing.T) {
	store := New(Options{Address: storeserver.ValkeyCluster(t, 1, 0)[0].Addr})
	t.Cleanup(store.Close)
	id, record := anySession()
	must.Succeed(t, store.Create(t.Context(), id, record))
	renewal := renewed(id, record)
	for same := sameSlot(store.prefix, id); same(renewal.New); {
		renewal.New = sessiontest.NewID()
	}
	if _, err := store.Renew(t.Context(), renewal); !errors.Is(err, errCrossSlot) {
		t.Errorf("got %v, want %v", err, errCrossSlot)
	}
	if got, err := store.Load(t.Context(), id, record.Created); err != nil || got.Values["n"] != "7" {
		t.Errorf("the old session: %+v, %v", got, err)
	}
}

// A full server with noeviction refuses to start, change and renew sessions. They stay unchanged, and reads and logouts work.
func TestFullServer(t *testing.T) {
	server := storeserver.ForTest(t, storeserver.Valkey)
	store := New(Options{Address: server.Addr})
	t.Cleanup(store.Close)
	ctx := t.Context()
	var ids [2]session.ID
	var record session.Record
	for i := range ids {
		ids[i], record = anySession()
		record.User = "ada"
		must.Succeed(t, store.Create(ctx, ids[i], record))
	}
	for _, command := range []string{"CONFIG SET maxmemory-policy noeviction", "CONFIG SET maxmemory 1"} {
		must.Succeed(t, storeserver.Exec(ctx, server, command))
	}
	renewal := renewed(ids[0], record)
	_, renewErr := store.Renew(ctx, renewal)
	_, anonymousErr := store.Renew(ctx, session.Renewal{Old: ids[0], New: sessiontest.NewID(), Now: record.Created,
		Record: session.Record{Created: record.Created, Expires: record.Expires, IdleExpires: record.IdleExpires}})
	_, updateErr := store.Update(ctx, ids[0], session.Update{Now: record.Created, IdleExpires: record.IdleExpires,
		Changes: []session.Change{{Op: session.OpAdd, Key: "n", N: 1}, {Op: session.OpRemove, Key: "a"}}})
	for call, err := range map[string]error{
		"renew": renewErr, "renew without a user": anonymousErr, "update": updateErr, "create": store.Create(ctx, sessiontest.NewID(), record),
	} {
		if err == nil || errors.Is(err, session.ErrNotFound) || errors.Is(err, session.ErrEnded) {
			t.Errorf("%s: got %v, want an error that the server is out of memory", call, err)
		}
	}
	for _, id := range ids {
		if got, err := store.Load(ctx, id, record.Created); err != nil || len(got.Values) != 2 || got.Values["n"] != "7" {
			t.Errorf("load: %+v, %v", got, err)
		}
	}
	page, err := store.UserSessions(ctx, "ada", session.PageQuery{Now: record.Created, Limit: 3})
	if err != nil || len(page.Sessions) != 2 || page.Next != "" {
		t.Errorf("the list: %+v, %v, want two sessions and no other entry", page, err)
	}
	for i, id := range ids {
		if _, err := store.End(ctx, id, session.EndOptions{Now: record.Created, Moving: i > 0}); err != nil {
			t.Errorf("end: %v", err)
		}
		if _, err := store.Load(ctx, id, record.Created); !errors.Is(err, session.ErrEnded) {
			t.Errorf("load after the end: %v", err)
		}
	}
}

// Nothing is deleted before it has expired for servers whose clocks are behind.
func TestPhysicalExpiry(t *testing.T) {
	b := newBefore(t)
	ctx := t.Context()
	expect := func(what, key string, want time.Time) {
		t.Helper()
		at, err := b.client.Do(ctx, b.client.B().Pexpiretime().Key(key).Build()).AsInt64()
		if want = want.Add(session.MaxClockSkew); err != nil || at != want.UnixMilli() {
			t.Errorf("%s expires at %v, %v, want %v", what, time.UnixMilli(at), err, want)
		}
	}
	id, record := anySession()
	must.Succeed(t, b.store.Create(ctx, id, record))
	expect("a session", b.store.key(id), record.IdleExpires)
	expect("a list", b.store.userKey(record.User), record.Expires)
	for _, idle := range []time.Duration{20 * time.Minute, 2 * time.Hour} {
		must.Get(b.store.Update(ctx, id, session.Update{Now: record.Created, IdleExpires: record.Created.Add(idle)}))(t)
		expect(fmt.Sprintf("a session, extended by %v", idle), b.store.key(id), record.Created.Add(min(idle, time.Hour)))
	}
	renewal := renewed(id, record)
	renewal.Record.IdleExpires = record.Created.Add(30 * time.Minute)
	must.Get(b.store.Renew(ctx, renewal))(t)
	expect("a renewed session", b.store.key(renewal.New), renewal.Record.IdleExpires)
	expect("the note that it was renewed", b.store.key(id), record.Created.Add(session.EndedFor))
	must.Get(b.store.End(ctx, renewal.New, session.EndOptions{Now: record.Created, Moving: true}))(t)
	expect("the note that it moves", b.store.key(renewal.New), record.Created.Add(session.EndedFor))

	// An entry stays on the list for EndedFor after its expiry.
	for after, want := range map[time.Duration]int64{session.EndedFor - time.Second: 2, session.EndedFor + time.Second: 1} {
		user := "ada " + sessiontest.NewID().String()
		for _, created := range []time.Time{record.Created, record.Expires.Add(after)} {
			r := record
			r.User, r.Created, r.Expires, r.IdleExpires = user, created, created.Add(time.Hour), created.Add(time.Hour)
			must.Succeed(t, b.store.Create(ctx, sessiontest.NewID(), r))
		}
		n, err := b.client.Do(ctx, b.client.B().Zcard().Key(b.store.userKey(user)).Build()).AsInt64()
		if err != nil || n != want {
			t.Errorf("%v after the first session expired the list has %d entries, %v, want %d", after, n, err, want)
		}
	}
}
