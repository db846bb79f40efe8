package memcached_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"stateless-servers/session"
	"stateless-servers/session/memcached"
	"stateless-servers/session/sessiontest"
	"stateless-servers/session/sessiontest/must"
	"stateless-servers/session/sessiontest/process"
	"stateless-servers/session/sessiontest/storeserver"
)

// TestFaults makes every message between a server and Memcached fail in every way.
func TestFaults(t *testing.T) {
	sessiontest.RunFaults(t, storeserver.ForTest(t, storeserver.Memcached).Addr, func(t *testing.T, address string) session.Store {
		return open(t, address)
	})
}

func TestStore(t *testing.T) {
	sessiontest.Run(t, open(t, storeserver.ForTest(t, storeserver.Memcached).Addr))
}

// A store works with the caller's client, and leaves it open.
func TestCallersClient(t *testing.T) {
	server := storeserver.ForTest(t, storeserver.Memcached)
	client := memcache.New(server.Addr)
	client.MaxIdleConns = 64
	t.Cleanup(func() { client.Close() })
	dials := 0
	client.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		dials++
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	store := memcached.NewFromClient(client, "mine:")
	id, _ := sessiontest.Create(t, store)
	must.Succeed(t, store.Close())
	if _, err := client.Get("mine:" + id.String()); err != nil {
		t.Errorf("the session in the caller's client: %v", err)
	}
	if dials != 1 {
		t.Errorf("%d connections, want the caller's one, which Close leaves open", dials)
	}
	sessiontest.Run(t, memcached.NewFromClient(memcacheClient(t, server.Addr), ""))
}

// A write without a reply is not repeated on the caller's client either.
func TestCallersClientRepeatsNothing(t *testing.T) {
	server := storeserver.ForTest(t, storeserver.Memcached)
	sessiontest.RunFaults(t, server.Addr, func(t *testing.T, address string) session.Store {
		return memcached.NewFromClient(memcacheClient(t, address), "")
	})
}

func memcacheClient(t *testing.T, address string) *memcache.Client {
	client := memcache.New(address)
	client.Timeout, client.MaxIdleConns = time.Second, 64
	t.Cleanup(func() { client.Close() })
	return client
}

func TestSeveralNodes(t *testing.T) {
	sessiontest.Long(t)
	a, b := storeserver.OwnForTest(t, storeserver.Memcached), storeserver.OwnForTest(t, storeserver.Memcached)
	sessiontest.Run(t, open(t, a.Addr, b.Addr))

	// Another server has the same list in another order.
	one, other := open(t, a.Addr, b.Addr), open(t, b.Addr, a.Addr)
	var ids []session.ID
	for range 50 {
		id, record := sessiontest.Create(t, one)
		if _, err := other.Load(t.Context(), id, record.Created); err != nil {
			t.Fatalf("the other server: %v", err)
		}
		ids = append(ids, id)
	}
	// If a node is down, only its own sessions are lost.
	must.Succeed(t, b.Kill())
	var reached int
	for _, id := range ids {
		_, err := one.Load(t.Context(), id, time.Now())
		if errors.Is(err, session.ErrNotFound) {
			t.Error("a session of a node that is down was found on another node")
		}
		if err == nil {
			reached++
		}
	}
	if reached < 10 || reached > 40 {
		t.Errorf("%d of 50 sessions are on one of two nodes", reached)
	}
	if err := one.Ping(t.Context()); err == nil {
		t.Error("a node is down, but Ping succeeded")
	}
	// Without one of the nodes, only its sessions are lost.
	alone := open(t, a.Addr)
	for _, id := range ids {
		if _, err := alone.Load(t.Context(), id, time.Now()); err == nil {
			reached--
		}
	}
	if reached != 0 {
		t.Errorf("%d sessions of the remaining node were assigned to another", reached)
	}
}

func TestTLS(t *testing.T) {
	server := storeserver.ForTest(t, storeserver.MemcachedTLS)
	roots := must.Get(server.RootCAs())(t)
	sessiontest.Create(t, newStore(t, memcached.Options{Addresses: []string{server.Addr}, TLS: true, RootCAs: roots}))
	for name, o := range map[string]memcached.Options{"with other authorities": {TLS: true}, "without TLS": {}} {
		o.Addresses = []string{server.Addr}
		if err := newStore(t, o).Ping(t.Context()); err == nil {
			t.Errorf("connected %s", name)
		}
	}
}

func TestOutage(t *testing.T) {
	server := storeserver.OwnForTest(t, storeserver.Memcached)
	must.Succeed(t, server.Kill())
	store := open(t, server.Addr)
	if _, err := store.Load(sessiontest.Short(t), sessiontest.NewID(), time.Now()); err == nil || errors.Is(err, session.ErrNotFound) {
		t.Errorf("without a server: got %v, want an error", err)
	}
	must.Succeed(t, server.Restart(t.Context()))
	id, record := sessiontest.Create(t, store)

	must.Succeed(t, server.Pause())
	ctx := sessiontest.Short(t)
	if _, err := store.Update(ctx, id, add(record)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("paused server: %v", err)
	}
	must.Succeed(t, server.Resume())
	if _, err := store.Load(t.Context(), id, record.Created); err != nil {
		t.Errorf("after a pause: %v", err)
	}

	must.Succeed(t, server.Restart(t.Context()))
	var err error
	for range 10 { // each old connection fails once
		if _, err = store.Load(t.Context(), id, record.Created); errors.Is(err, session.ErrNotFound) {
			break
		}
	}
	if !errors.Is(err, session.ErrNotFound) {
		t.Errorf("after a restart, which loses sessions: %v", err)
	}
}

// A cas without a reply may have been executed, so it is not retried.
func TestWriteIsNotRetriedAfterALostReply(t *testing.T) {
	server := storeserver.ForTest(t, storeserver.Memcached)
	direct := open(t, server.Addr)
	forwarder := storeserver.Forward(t, server.Addr)
	store := open(t, forwarder.Addr)
	id, record := sessiontest.Create(t, store)
	forwarder.MuteAfter("STORED") // drops the reply to cas, not the reply to gets
	if got, err := store.Update(t.Context(), id, add(record)); err == nil {
		t.Errorf("acknowledged without a reply: %v", got)
	}
	got, err := direct.Load(t.Context(), id, record.Created)
	if err != nil || got.Values["n"] != "1" || store.Conflicts() != 0 {
		t.Errorf("got %v, %v, want the addition once", got.Values, err)
	}
}

func TestConflictsAreCounted(t *testing.T) {
	store := open(t, storeserver.ForTest(t, storeserver.Memcached).Addr)
	id, record := sessiontest.Create(t, store)
	errs := make(chan error)
	for range 8 {
		go func() {
			var err error
			for range 25 {
				if _, failed := store.Update(t.Context(), id, add(record)); failed != nil {
					err = failed
				}
			}
			errs <- err
		}()
	}
	for range 8 {
		must.Succeed(t, <-errs)
	}
	got, err := store.Load(t.Context(), id, record.Created)
	if err != nil || got.Values["n"] != "200" || store.Conflicts() == 0 {
		t.Errorf("got %v, %v after %d conflicts, want 200 after some", got.Values, err, store.Conflicts())
	}
}

// Fields of a newer version are kept.
func TestFieldsOfOtherVersionsStay(t *testing.T) {
	server := storeserver.ForTest(t, storeserver.Memcached)
	store, client := open(t, server.Addr), memcache.New(server.Addr)
	id, record := sessiontest.Create(t, store)
	item := must.Get(client.Get("session:" + id.String()))(t)
	var fields map[string]json.RawMessage
	must.Succeed(t, json.Unmarshal(item.Value, &fields))
	fields["region"] = json.RawMessage(`{"name":"<eu>","n":1.0}`)
	item.Value = must.Get(json.Marshal(fields))(t)
	must.Succeed(t, client.Set(item))
	must.Get(store.Update(t.Context(), id, add(record)))(t)
	item = must.Get(client.Get(item.Key))(t)
	must.Succeed(t, json.Unmarshal(item.Value, &fields))
	var region struct{ Name string }
	must.Succeed(t, json.Unmarshal(fields["region"], &region))
	if region.Name != "<eu>" {
		t.Errorf("got %s", item.Value)
	}
}

// JSON may take six bytes for one. A refused item would drop the session, so it is not sent.
func TestTooLargeAsAnItem(t *testing.T) {
	store := open(t, storeserver.ForTest(t, storeserver.Memcached).Addr)
	id, record := sessiontest.Create(t, store)
	update := session.Update{Now: record.Created, IdleExpires: record.IdleExpires}
	for i := range 2000 {
		key := strings.Repeat("\x01", 120) + fmt.Sprint(i)
		update.Changes = append(update.Changes, session.Change{Op: session.OpSet, Key: key, Value: "1"})
	}
	if _, err := store.Update(t.Context(), id, update); !errors.Is(err, session.ErrTooLarge) {
		t.Errorf("got %v", err)
	}
	if got, err := store.Update(t.Context(), id, add(record)); err != nil || got.Values["n"] != "1" {
		t.Errorf("got %v, %v, want the old session", got.Values, err)
	}
}

// The server must accept the largest item of a session.
func TestTheLargestSessionFits(t *testing.T) {
	store := open(t, storeserver.ForTest(t, storeserver.Memcached).Addr)
	id, record := sessiontest.Create(t, store)
	value := `"` + strings.Repeat(`\"`, (store.Promises().MaxBytes-record.Size()-10)/2) + `"` // each byte takes two in JSON
	update := session.Update{Now: record.Created, IdleExpires: record.IdleExpires,
		Changes: []session.Change{{Op: session.OpSet, Key: "k", Value: value}}}
	must.Get(store.Update(t.Context(), id, update))(t)
	if got, err := store.Load(t.Context(), id, record.Created); err != nil || got.Values["k"] != value {
		t.Errorf("got %d bytes, %v", got.Size(), err)
	}
}

func TestNodeWithoutCAS(t *testing.T) {
	port, err := process.FreePort()
	must.Succeed(t, err)
	server, err := process.Start(process.Command{Name: "memcached -C", Path: "memcached",
		Args: []string{"-u", "root", "-l", "127.0.0.1", "-p", fmt.Sprint(port), "--disable-cas"}})
	must.Succeed(t, err)
	t.Cleanup(server.Kill)
	store := open(t, fmt.Sprint("127.0.0.1:", port))
	for range 500 {
		if err = store.Ping(t.Context()); err == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	must.Succeed(t, err)
	id, record := sessiontest.Create(t, store)
	if _, err := store.Update(t.Context(), id, add(record)); err == nil || !strings.Contains(err.Error(), "without cas") {
		t.Errorf("got %v", err)
	}
}

func TestBadAddresses(t *testing.T) {
	for _, addresses := range [][]string{nil, {"host"}, {"host:1", "host:1:2"}} {
		if _, err := memcached.New(memcached.Options{Addresses: addresses}); err == nil {
			t.Errorf("New accepted the addresses %q, want an error", addresses)
		}
	}
}

func open(t *testing.T, addresses ...string) *memcached.Store {
	t.Helper()
	return newStore(t, memcached.Options{Addresses: addresses})
}

func newStore(t *testing.T, o memcached.Options) *memcached.Store {
	t.Helper()
	o.Timeout = 5 * time.Second // TLS handshakes are slow on busy machines
	store := must.Get(memcached.New(o))(t)
	t.Cleanup(func() { must.Succeed(t, store.Close()) })
	return store
}

func add(record session.Record) session.Update {
	return sessiontest.Change(record, sessiontest.Add("n", 1))
}
