package valkey_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"stateless-servers/session/sessiontest"
	"stateless-servers/session/sessiontest/must"
	"stateless-servers/session/sessiontest/storeserver"
	"stateless-servers/session/valkey"
)

// The error of the credentials reaches the caller.
func TestWithoutCredentials(t *testing.T) {
	store := newStore(t, valkey.Options{
		Address:     storeserver.ForTest(t, storeserver.Valkey).Addr,
		Credentials: func(context.Context) (string, string, error) { return "", "", errors.New("no role") },
	})
	if err := store.Ping(t.Context()); err == nil || !strings.Contains(err.Error(), "no role") {
		t.Errorf("got %v", err)
	}
}

// A rotating provides Credentials with a password for one connection. Each call changes the password of the server.
type rotating struct {
	server *storeserver.Server
	mu     sync.Mutex
	asked  int
}

func (r *rotating) credentials(ctx context.Context) (user, password string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked++
	password = sessiontest.NewID().String()
	return "web", password, storeserver.Exec(ctx, r.server, "ACL SETUSER web on resetpass >"+password+" ~session:* +@all")
}

func (r *rotating) times() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked
}

func TestEachConnectionHasItsCredentials(t *testing.T) {
	server := storeserver.ForTest(t, storeserver.Valkey)
	r := &rotating{server: server}
	forwarder := storeserver.Forward(t, server.Addr)
	store := newStore(t, valkey.Options{Address: forwarder.Addr, Credentials: r.credentials})
	id, record := sessiontest.Create(t, store)
	for i := range 5 {
		if asked, connections := r.times(), forwarder.Accepted(); asked != connections || asked < i {
			t.Errorf("asked for credentials %d times for %d connections", asked, connections)
		}
		before := r.times()
		forwarder.CloseConnections()
		sessiontest.Eventually(t, func() error {
			_, err := store.Update(t.Context(), id, add(record))
			return err
		})
		if r.times() <= before {
			t.Error("a new connection did not ask for credentials")
		}
	}
}

// ElastiCache closes IAM connections after twelve hours. The store replaces them before, and no operation fails.
func TestConnectionsAreReplacedInTime(t *testing.T) {
	server := storeserver.ForTest(t, storeserver.Valkey)
	r := &rotating{server: server}
	store := valkey.NewWithLifetime(valkey.Options{Address: server.Addr, Credentials: r.credentials}, 50*time.Millisecond)
	t.Cleanup(store.Close)
	id, record := sessiontest.Create(t, store)
	const requests, each = 4, 200
	errs := make(chan error)
	for range requests {
		go func() {
			var failed error
			for range each {
				if _, err := store.Update(t.Context(), id, add(record)); err != nil {
					failed = err
				}
				time.Sleep(time.Millisecond)
			}
			errs <- failed
		}()
	}
	for range requests {
		must.Succeed(t, <-errs)
	}
	got, err := store.Load(t.Context(), id, record.Created)
	if err != nil || atoi(got.Values["n"]) != requests*each {
		t.Errorf("got %v, %v, want %d", got.Values, err, requests*each)
	}
	if r.times() < 4 {
		t.Errorf("asked for credentials %d times, want one for every 50 ms", r.times())
	}
}

// A command in flight when its connection is replaced is not retried, however late the reply.
func TestReplacedConnectionRetriesNothing(t *testing.T) {
	const lifetime = 5 * time.Second // enough for a busy machine to start the updates
	server := storeserver.ForTest(t, storeserver.Valkey)
	r := &rotating{server: server}
	forwarder := storeserver.Forward(t, server.Addr)
	store := valkey.NewWithLifetime(valkey.Options{Address: forwarder.Addr, Credentials: r.credentials}, lifetime)
	t.Cleanup(store.Close)
	id, record := sessiontest.Create(t, store)
	if _, err := store.Update(t.Context(), id, add(record)); err != nil { // loads the script
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	forwarder.Mute(true)
	const updates = 3
	failed := make(chan error)
	for range updates {
		go func() {
			_, err := store.Update(ctx, id, add(record))
			failed <- err
		}()
	}
	direct := open(t, server.Addr)
	sessiontest.Eventually(t, func() error {
		got, err := direct.Load(t.Context(), id, record.Created)
		if err == nil && got.Values["n"] != "4" {
			err = errors.New("the scripts have not run yet")
		}
		return err
	})
	// The replies are lost. After ConnLifetime, valkey-go would wait for one more second, then reconnect and retry.
	time.Sleep(lifetime + 500*time.Millisecond)
	forwarder.Mute(false)
	time.AfterFunc(1500*time.Millisecond, cancel)
	for range updates {
		if err := <-failed; err == nil {
			t.Error("acknowledged without a reply")
		}
	}
	got, err := direct.Load(t.Context(), id, record.Created)
	if err != nil || got.Values["n"] != "4" {
		t.Errorf("got %v, %v, want 4, each addition once", got.Values, err)
	}
}
