package leaderboard_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"stateless-servers/app/leaderboard"
	"stateless-servers/session/memcached"
	"stateless-servers/session/sessiontest/storeserver"
)

// Names that overlap each other on one item all keep their place.
func TestMemcachedLosesNoName(t *testing.T) {
	client := memcachedClient(t)
	for range 10 {
		if err := client.Delete("leaderboard"); err != nil && !errors.Is(err, memcache.ErrCacheMiss) {
			t.Fatal(err)
		}
		var want []leaderboard.Entry
		var players sync.WaitGroup
		for i := range leaderboard.Places {
			entry := leaderboard.Entry{Name: fmt.Sprintf("player-%d", i), Score: int64(100 - i)}
			want = append(want, entry)
			players.Go(func() {
				if err := leaderboard.NewMemcached(client).Record(t.Context(), entry.Name, entry.Score); err != nil {
					t.Error(err)
				}
			})
		}
		players.Wait()
		expect(t, leaderboard.NewMemcached(client), want)
	}
}

// Who fell off the board comes back with a better score, and the item holds no more than the board shows.
func TestMemcachedKeepsTheBestOnly(t *testing.T) {
	client := memcachedClient(t)
	board := leaderboard.NewMemcached(client)
	var want []leaderboard.Entry
	for i := range int64(30) {
		record(t, board, fmt.Sprintf("player-%02d", i), i)
	}
	record(t, board, "player-00", 100)
	want = append(want, leaderboard.Entry{Name: "player-00", Score: 100})
	for i := int64(29); i > 20; i-- {
		want = append(want, leaderboard.Entry{Name: fmt.Sprintf("player-%02d", i), Score: i})
	}
	expect(t, board, want)
	item, err := client.Get("leaderboard")
	if err != nil || len(item.Value) > 500 {
		t.Errorf("the item has %d bytes (%v)", len(item.Value), err)
	}
}

func TestMemcachedLeavesAForeignItemAlone(t *testing.T) {
	client := memcachedClient(t)
	board := leaderboard.NewMemcached(client)
	if err := client.Add(&memcache.Item{Key: "leaderboard", Value: []byte("{}")}); err != nil {
		t.Fatal(err)
	}
	if err := board.Record(t.Context(), "ann", 1); err == nil {
		t.Error("a score was recorded over an item that is no leaderboard")
	}
	if item, err := client.Get("leaderboard"); err != nil || string(item.Value) != "{}" {
		t.Errorf("the item became %s (%v)", item.Value, err)
	}
}

// A server that hangs holds nobody longer than their context.
func TestMemcachedIsBoundedByItsContext(t *testing.T) {
	server := storeserver.ForTest(t, storeserver.Memcached)
	client := memcachedStore(t, server, time.Minute).Client()
	board := leaderboard.NewMemcached(client)
	if err := server.Pause(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		if err := board.Record(ctx, "ann", 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("record: %v", err)
		}
		if _, err := board.Top(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("top: %v", err)
		}
		cancel()
	}
}

// Others who always come first must not keep a call forever.
func TestMemcachedGivesUpWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := leaderboard.NewMemcached(contended{}).Record(ctx, "ann", 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// contended is a client to whom somebody always comes first.
type contended struct{}

func (contended) Get(string) (*memcache.Item, error)  { return &memcache.Item{Value: []byte("[]")}, nil }
func (contended) Add(*memcache.Item) error            { return memcache.ErrNotStored }
func (contended) CompareAndSwap(*memcache.Item) error { return memcache.ErrCASConflict }

func memcachedClient(t *testing.T) *memcache.Client {
	t.Helper()
	client := memcachedStore(t, storeserver.ForTest(t, storeserver.Memcached), 0).Client()
	// A server that was there before the test may hold a board.
	if err := client.Delete("leaderboard"); err != nil && !errors.Is(err, memcache.ErrCacheMiss) {
		t.Fatal(err)
	}
	return client
}

func memcachedStore(t *testing.T, server *storeserver.Server, timeout time.Duration) *memcached.Store {
	t.Helper()
	store, err := memcached.New(memcached.Options{Addresses: []string{server.Addr}, Timeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}
