package valkey_test

import (
	"context"
	"errors"
	"net"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"stateless-servers/session"
	"stateless-servers/session/sessiontest"
	"stateless-servers/session/sessiontest/must"
	"stateless-servers/session/sessiontest/storeserver"
	"stateless-servers/session/valkey"
)

// TestFaults makes every message between a server and Valkey fail in every way.
func TestFaults(t *testing.T) {
	sessiontest.RunFaults(t, storeserver.ForTest(t, storeserver.Valkey).Addr, func(t *testing.T, address string) session.Store {
		return open(t, address)
	})
}

func TestStore(t *testing.T) {
	sessiontest.Run(t, open(t, storeserver.ForTest(t, storeserver.Valkey).Addr))
}

// TestEmbedded runs the suite on miniredis, which the lab uses if there is no real server.
func TestEmbedded(t *testing.T) {
	sessiontest.Long(t)
	sessiontest.Run(t, open(t, miniredis.RunT(t).Addr()))
}

func TestTLS(t *testing.T) {
	server := storeserver.ForTest(t, storeserver.ValkeyTLS)
	roots := must.Get(server.RootCAs())(t)
	sessiontest.Create(t, newStore(t, valkey.Options{Address: server.Addr, TLS: true, RootCAs: roots}))
	for name, o := range map[string]valkey.Options{"with other authorities": {TLS: true}, "without TLS": {}} {
		o.Address = server.Addr
		if err := newStore(t, o).Ping(sessiontest.Short(t)); err == nil {
			t.Errorf("connected %s", name)
		}
	}
}

func TestCluster(t *testing.T) {
	nodes := storeserver.ValkeyCluster(t, 3, 0)
	store := open(t, nodes[1].Addr)
	sessiontest.Run(t, store)
	// The sessions must be distributed over all nodes.
	for range 64 {
		sessiontest.Create(t, store)
	}
	for _, node := range nodes {
		keys, err := storeserver.Query(t.Context(), node, "DBSIZE")
		if err != nil || keys[0] == ":0" {
			t.Errorf("the node %s holds %v keys, %v", node.Addr, keys, err)
		}
	}
}

// An addition beyond the range is refused, even where the sum would be within it.
func TestAdditionBeyondTheRange(t *testing.T) {
	store := open(t, storeserver.ForTest(t, storeserver.Valkey).Addr)
	for before, n := range map[string]int64{"-5": session.MaxCounter + 2, "5": -session.MaxCounter - 2} {
		now := time.Now()
		id, record := sessiontest.NewID(), session.Record{Values: map[string]string{"n": before}, Created: now, Expires: now.Add(time.Hour), IdleExpires: now.Add(time.Hour)}
		must.Succeed(t, store.Create(t.Context(), id, record))
		update := add(record)
		update.Changes[0].N = n
		if got, err := store.Update(t.Context(), id, update); !errors.Is(err, session.ErrCounter) {
			t.Errorf("%s and %d: got %v, %v, want %v", before, n, got.Values, err, session.ErrCounter)
		}
		if got, err := store.Load(t.Context(), id, now); err != nil || got.Values["n"] != before {
			t.Errorf("after that: got %v, %v, want %s", got.Values, err, before)
		}
	}
}

// When a replica takes over, requests go on, and what was acknowledged is there.
func TestClusterFailover(t *testing.T) {
	nodes := storeserver.ValkeyCluster(t, 3, 1)
	replica := nodes[3]
	store := open(t, nodes[1].Addr)
	type known struct {
		id     session.ID
		record session.Record
		adds   atomic.Int64 // acknowledged
		maybe  atomic.Int64 // failed, perhaps done
	}
	sessions := make([]known, 24) // on all nodes
	for i := range sessions {
		sessions[i].id, sessions[i].record = sessiontest.Create(t, store)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ctx.Err() == nil; i++ {
			s := &sessions[i%len(sessions)]
			bounded, cancel := context.WithTimeout(t.Context(), time.Second)
			if _, err := store.Update(bounded, s.id, add(s.record)); err != nil {
				s.maybe.Add(1)
			} else {
				s.adds.Add(1)
			}
			cancel()
		}
	}()
	must.Succeed(t, storeserver.Exec(t.Context(), replica, "CLUSTER FAILOVER"))
	sessiontest.Eventually(t, func() error {
		role, err := storeserver.Query(t.Context(), replica, "ROLE")
		if err == nil && role[0] != "master" {
			err = errors.New("the replica has not taken over")
		}
		return err
	})
	before := sessions[0].adds.Load()
	sessiontest.Eventually(t, func() error {
		if sessions[0].adds.Load() < before+5 {
			return errors.New("nothing is acknowledged after the failover")
		}
		return nil
	})
	stop()
	<-done
	for i := range sessions {
		s := &sessions[i]
		got := must.Get(store.Load(t.Context(), s.id, s.record.Created))(t)
		if n := atoi(got.Values["n"]); n < s.adds.Load() || n > s.adds.Load()+s.maybe.Load() {
			t.Errorf("%d additions were acknowledged and %d failed, the counter says %d", s.adds.Load(), s.maybe.Load(), n)
		}
	}
}

// After a failover without cluster mode, the old primary keeps its connections and refuses what they write, while the
// address leads to the new one.
func TestFailover(t *testing.T) {
	old, successor := storeserver.ForTest(t, storeserver.Valkey), storeserver.ForTest(t, storeserver.Valkey)
	address := storeserver.Forward(t, old.Addr)
	store := open(t, address.Addr)
	id, record := sessiontest.Create(t, store)
	replicate(t, successor, old)
	for range 3 {
		must.Get(store.Update(t.Context(), id, add(record)))(t)
	}
	sessiontest.Eventually(t, func() error {
		got, err := open(t, successor.Addr).Load(t.Context(), id, record.Created)
		if err == nil && got.Values["n"] != "3" {
			err = errors.New("the replica lags")
		}
		return err
	})

	must.Succeed(t, storeserver.Exec(t.Context(), successor, "REPLICAOF NO ONE"))
	replicate(t, old, successor)
	// While the address still leads to the old primary, nothing is acknowledged, and connections don't pile up.
	accepted, began := address.Accepted(), time.Now()
	for range 50 {
		if _, err := store.Update(t.Context(), id, add(record)); err == nil {
			t.Fatal("an update on a read-only server was acknowledged")
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err := store.Ping(t.Context()); err == nil {
		t.Error("the ping of a read-only server succeeded, want an error")
	}
	if n, took := address.Accepted()-accepted, time.Since(began); float64(n) > 20*max(1, took.Seconds()) {
		t.Errorf("%d connections in %v, allowed are 20 in a second", n, took)
	}
	address.SetTarget(successor.Addr)
	sessiontest.Eventually(t, func() error {
		_, err := store.Update(t.Context(), id, add(record))
		return err
	})
	if got, err := store.Load(t.Context(), id, record.Created); err != nil || got.Values["n"] != "4" {
		t.Errorf("got %v, %v, want the three additions and one more", got.Values, err)
	}
	must.Succeed(t, store.Ping(t.Context()))
}

// Ping alone must detect a failover: a server that makes no writes must not continue to read from the former primary.
func TestPingFindsTheNewPrimary(t *testing.T) {
	old, successor := storeserver.ForTest(t, storeserver.Valkey), storeserver.ForTest(t, storeserver.Valkey)
	address := storeserver.Forward(t, old.Addr)
	store := open(t, address.Addr)
	must.Succeed(t, store.Ping(t.Context()))
	address.SetTarget(successor.Addr)
	replicate(t, old, successor)
	sessiontest.Eventually(t, func() error { return store.Ping(t.Context()) })
	id, record := sessiontest.Create(t, store)
	if _, err := open(t, successor.Addr).Load(t.Context(), id, record.Created); err != nil {
		t.Errorf("on the new primary: %v", err)
	}
}

func TestOutage(t *testing.T) {
	server := storeserver.OwnForTest(t, storeserver.Valkey)
	must.Succeed(t, server.Kill())
	store := open(t, server.Addr)
	if _, err := store.Load(sessiontest.Short(t), sessiontest.NewID(), time.Now()); err == nil || errors.Is(err, session.ErrNotFound) {
		t.Errorf("without a server: %v", err)
	}
	must.Succeed(t, server.Restart(t.Context()))
	id, record := sessiontest.Create(t, store)

	must.Succeed(t, server.Pause())
	if _, err := store.Update(sessiontest.Short(t), id, add(record)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("paused server: %v", err)
	}
	must.Succeed(t, server.Resume())
	sessiontest.Eventually(t, func() error {
		_, err := store.Load(sessiontest.Short(t), id, record.Created)
		return err
	})
}

// A script without a reply may have been executed, so it is not retried.
func TestWriteIsNotRetriedAfterALostReply(t *testing.T) {
	server := storeserver.ForTest(t, storeserver.Valkey)
	forwarder := storeserver.Forward(t, server.Addr)
	sessiontest.RunLostReply(t, forwarder, open(t, server.Addr), open(t, forwarder.Addr))
}

// replicate makes a server a replica of another and waits until replication works.
func replicate(t *testing.T, replica, primary *storeserver.Server) {
	t.Helper()
	host, port := split(primary.Addr)
	must.Succeed(t, storeserver.Exec(t.Context(), primary, "CONFIG SET repl-diskless-sync-delay 0"))
	must.Succeed(t, storeserver.Exec(t.Context(), replica, "REPLICAOF "+host+" "+port))
	sessiontest.Eventually(t, func() error {
		role, err := storeserver.Query(t.Context(), replica, "ROLE")
		if err == nil && role[len(role)-2] != "connected" {
			err = errors.New("the replica is not connected")
		}
		return err
	})
}

func open(t *testing.T, address string) *valkey.Store {
	return newStore(t, valkey.Options{Address: address})
}

func newStore(t *testing.T, o valkey.Options) *valkey.Store {
	store := valkey.New(o)
	t.Cleanup(store.Close)
	return store
}

func add(record session.Record) session.Update {
	return sessiontest.Change(record, sessiontest.Add("n", 1))
}

func split(address string) (host, port string) {
	host, port, _ = net.SplitHostPort(address)
	return host, port
}

func atoi(text string) int64 {
	n, _ := strconv.ParseInt(text, 10, 64)
	return n
}
