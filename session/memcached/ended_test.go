package memcached

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"stateless-servers/session"
	"stateless-servers/session/sessiontest"
	"stateless-servers/session/sessiontest/must"
	"stateless-servers/session/sessiontest/storeserver"
)

// A fixture is two nodes, one of them behind a Forwarder. Both nodes are the same server, so that direct
// finds every session.
type fixture struct {
	forwarder     *storeserver.Forwarder
	nodes         nodes
	store, direct *Store
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	server := storeserver.ForTest(t, storeserver.Memcached)
	forwarder := storeserver.Forward(t, server.Addr)
	f := &fixture{forwarder: forwarder, nodes: nodes{node(forwarder.Addr), node(server.Addr)}}
	var err error
	f.store, err = New(Options{Addresses: []string{forwarder.Addr, server.Addr}, Timeout: 2 * time.Second})
	must.Succeed(t, err)
	t.Cleanup(func() { f.store.Close() })
	f.direct, err = New(Options{Addresses: []string{server.Addr}, Timeout: 5 * time.Second})
	must.Succeed(t, err)
	t.Cleanup(func() { f.direct.Close() })
	return f
}

// id returns a new id on the node behind the Forwarder, or on the other.
func (f *fixture) id(forwarded bool) (id session.ID) {
	for {
		rand.Read(id[:])
		if at, _ := f.nodes.PickServer(f.store.key(id)); (at.String() == f.forwarder.Addr) == forwarded {
			return id
		}
	}
}

// create stores a session with a counter n of 7.
func (f *fixture) create(t *testing.T, id session.ID) session.Record {
	t.Helper()
	now := time.Now().Truncate(time.Second)
	record := session.Record{Values: map[string]string{"n": "7"}, Created: now, Expires: now.Add(time.Hour), IdleExpires: now.Add(time.Hour)}
	must.Succeed(t, f.direct.Create(t.Context(), id, record))
	return record
}

func (f *fixture) add(t *testing.T, id session.ID, record session.Record) {
	t.Helper()
	_, err := f.direct.Update(t.Context(), id, session.Update{Now: record.Created, IdleExpires: record.IdleExpires,
		Changes: []session.Change{{Op: session.OpAdd, Key: "n", N: 1}}})
	must.Succeed(t, err)
}

func renewal(old, fresh session.ID, record session.Record) session.Renewal {
	record.User, record.Values = "ada", nil
	return session.Renewal{Old: old, New: fresh, Now: record.Created, Record: record}
}

func TestRenewalThatFails(t *testing.T) {
	const live = "live"
	for _, test := range []struct {
		name         string
		fails        string // old: the reply to the write of the old session is lost; new: the reply to the write of the new session
		again        bool
		between      func(t *testing.T, f *fixture, old session.ID, r session.Renewal)
		want         string // result of the second Renew: the counter, or an error
		old, renewed string // states of the sessions afterwards
	}{
		{"the old session's end", "old", false, nil, "7", "ended", live},
		{"the old session's end, then the new one is used", "old", false, func(t *testing.T, f *fixture, _ session.ID, r session.Renewal) {
			f.add(t, r.New, r.Record)
		}, "8", "ended", live},
		{"the old session's end, then a second login", "old", false, func(t *testing.T, f *fixture, old session.ID, r session.Renewal) {
			other := renewal(old, f.id(false), r.Record)
			other.AllowRenewed = true
			must.Get(f.direct.Renew(t.Context(), other))(t)
		}, "7", "ended", live},
		{"the new session's start", "new", false, nil, "7", "ended", live},
		{"the new session's start, then the old one changes", "new", false, func(t *testing.T, f *fixture, old session.ID, r session.Renewal) {
			f.add(t, old, r.Record)
		}, "8", "ended", live},
		{"the new session's start, then the old one ends", "new", false, func(t *testing.T, f *fixture, old session.ID, r session.Renewal) {
			must.Get(f.direct.End(t.Context(), old, session.EndOptions{Now: r.Now}))(t)
		}, "ended", "ended", "missing"},
		{"the new session's start, then the old one moves", "new", true, func(t *testing.T, f *fixture, old session.ID, r session.Renewal) {
			must.Get(f.direct.End(t.Context(), old, session.EndOptions{Now: r.Now, Moving: true}))(t)
		}, "ended", "ended", "missing"},
		{"the new session's start, then another renewal wins", "new", false, func(t *testing.T, f *fixture, old session.ID, r session.Renewal) {
			must.Get(f.direct.Renew(t.Context(), renewal(old, f.id(false), r.Record)))(t)
		}, "ended", "ended", "missing"},
		{"the new session's start, then another login wins", "new", true, func(t *testing.T, f *fixture, old session.ID, r session.Renewal) {
			must.Get(f.direct.Renew(t.Context(), renewal(old, f.id(false), r.Record)))(t)
		}, "7", "ended", live},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t)
			old, fresh := f.id(test.fails == "old"), f.id(test.fails == "new")
			record := f.create(t, old)
			r := renewal(old, fresh, record)
			r.AllowRenewed = test.again
			f.forwarder.CloseAfter("STORED")
			if got, err := f.store.Renew(t.Context(), r); err == nil {
				t.Fatalf("acknowledged without a reply: %v", got)
			}
			f.forwarder.Mute(false)
			if test.fails == "new" {
				if got := state(f.direct.Load(t.Context(), old, r.Now)); got != live {
					t.Fatalf("the old session is %s", got)
				}
			}
			if test.between != nil {
				test.between(t, f, old, r)
			}
			got, err := f.store.Renew(t.Context(), r)
			if said := state(got, err); said != test.want && (said != live || got.Values["n"] != test.want || got.User != "ada") {
				t.Errorf("the second Renew: %v, %v, want %s", got, err, test.want)
			}
			if got := state(f.direct.Load(t.Context(), old, r.Now)); got != test.old {
				t.Errorf("the old session is %s, want %s", got, test.old)
			}
			if got := state(f.direct.Load(t.Context(), fresh, r.Now)); got != test.renewed {
				t.Errorf("the new session is %s, want %s", got, test.renewed)
			}
		})
	}
}

func TestRenewalToANodeThatIsDown(t *testing.T) {
	f := newFixture(t)
	old := f.id(false)
	record := f.create(t, old)
	r := renewal(old, f.id(true), record)
	f.forwarder.Refuse()
	if _, err := f.store.Renew(t.Context(), r); err == nil {
		t.Error("a renewal to a node that is down succeeded, want an error")
	}
	if got := state(f.store.Load(t.Context(), old, r.Now)); got != "live" {
		t.Errorf("the old session is %s", got)
	}
}

// A delayed write of an earlier attempt, which arrives when the visitor already uses the new session, changes nothing.
func TestDelayedAttemptChangesNothing(t *testing.T) {
	f := newFixture(t)
	old := f.id(false)
	record := f.create(t, old)
	r := renewal(old, f.id(false), record)
	oldItem, oldFound, err := f.direct.read(r.Old, r.Now)
	must.Succeed(t, err)
	_, err = f.direct.Renew(t.Context(), r)
	must.Succeed(t, err)
	f.add(t, r.New, record)
	wrote := false
	if _, done, err := f.direct.move(r, nil, oldItem, oldFound, &wrote); done || wrote || err != nil {
		t.Errorf("the delayed attempt: done %v, wrote %v, %v", done, wrote, err)
	}
	if got, err := f.direct.Load(t.Context(), r.New, r.Now); err != nil || got.Values["n"] != "8" {
		t.Errorf("the new session: %v, %v", got, err)
	}
}

// A renewal may exceed the limit of updates by the length of the new user.
func TestTheLargestSessionIsRenewed(t *testing.T) {
	sessiontest.Long(t)
	f := newFixture(t)
	id := f.id(false)
	record := f.create(t, id)
	for i := range 1300 {
		record.Values[strings.Repeat("\x01", 120)+fmt.Sprint(i)] = "1"
	}
	update := session.Update{Now: record.Created, IdleExpires: record.IdleExpires}
	for key, value := range record.Values {
		update.Changes = append(update.Changes, session.Change{Op: session.OpSet, Key: key, Value: value})
	}
	_, err := f.direct.Update(t.Context(), id, update)
	must.Succeed(t, err)
	for size := 1 << 16; size > 0; size /= 2 {
		update.Changes = []session.Change{{Op: session.OpSet, Key: fmt.Sprint(size), Value: `"` + strings.Repeat("x", size) + `"`}}
		if _, err := f.direct.Update(t.Context(), id, update); err != nil && !errors.Is(err, session.ErrTooLarge) {
			t.Fatal(err)
		}
	}
	r := renewal(id, f.id(false), record)
	r.Record.User, r.Record.UserAgent = strings.Repeat("a", 256), strings.Repeat("b", 200)
	_, err = f.direct.Renew(t.Context(), r)
	must.Succeed(t, err)
	again := renewal(id, f.id(false), record)
	again.AllowRenewed = true
	got, err := f.direct.Renew(t.Context(), again)
	if err != nil || len(got.Values) < 1301 {
		t.Errorf("renewal from the tombstone: %d values, %v", len(got.Values), err)
	}
}

// Servers of the version before Renew treat newer tombstones as ended sessions, and the reverse.
func TestEarlierServers(t *testing.T) {
	f := newFixture(t)
	moved, renewed := f.id(false), f.id(false)
	record := f.create(t, moved)
	f.create(t, renewed)
	must.Get(f.direct.End(t.Context(), moved, session.EndOptions{Now: record.Created, Moving: true}))(t)
	must.Get(f.direct.Renew(t.Context(), renewal(renewed, f.id(false), record)))(t)
	for _, id := range []session.ID{moved, renewed} {
		item := must.Get(f.direct.client.Get(f.direct.key(id)))(t)
		for after, want := range map[time.Duration]error{
			0: session.ErrEnded, session.EndedFor - time.Second: session.ErrEnded,
			session.EndedFor: session.ErrNotFound, time.Hour / 2: session.ErrNotFound,
		} {
			if err := decodeEarlier(item.Value, record.Created.Add(after)); !errors.Is(err, want) {
				t.Errorf("%v after the end, an earlier server returns %v, want %v", after, err, want)
			}
		}
	}

	text := func(at time.Time) string { return at.Format(time.RFC3339Nano) }
	live, ended := f.id(false), f.id(false)
	for id, value := range map[session.ID]string{
		live: fmt.Sprintf(`{"created":%q,"expires":%q,"idle":%q,"user":"YWRh","agent":"","values":{"n":"7"}}`,
			text(record.Created), text(record.Expires), text(record.IdleExpires)),
		ended: fmt.Sprintf(`{"ended":%q}`, text(record.Created.Add(time.Minute))),
	} {
		must.Succeed(t, f.direct.client.Set(&memcache.Item{Key: f.direct.key(id), Value: []byte(value), Expiration: 3600}))
	}
	f.add(t, live, record)
	r := renewal(live, f.id(false), record)
	if got, err := f.direct.Renew(t.Context(), r); err != nil || got.Values["n"] != "8" || got.User != "ada" {
		t.Errorf("renewal of an earlier server's session: %v, %v", got, err)
	}
	item := must.Get(f.direct.client.Get(f.direct.key(r.New)))(t)
	if err := decodeEarlier(item.Value, record.Created); err != nil {
		t.Errorf("an earlier server reads the new session as %v", err)
	}
	r = renewal(ended, f.id(false), record)
	r.AllowRenewed = true
	_, renewErr := f.direct.Renew(t.Context(), r)
	_, endErr := f.direct.End(t.Context(), ended, session.EndOptions{Now: record.Created, Moving: true})
	for call, err := range map[string]error{"renew": renewErr, "end": endErr} {
		if !errors.Is(err, session.ErrEnded) {
			t.Errorf("%s of a session that an earlier server ended: %v", call, err)
		}
	}
}

// state describes the state of a session.
func state(_ session.Record, err error) string {
	switch {
	case err == nil:
		return "live"
	case errors.Is(err, session.ErrEnded):
		return "ended"
	case errors.Is(err, session.ErrNotFound):
		return "missing"
	default:
		return err.Error()
	}
}
