package leaderboard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/bradfitz/gomemcache/memcache"
)

// memcachedKey is the one key of the board.
const memcachedKey = "leaderboard"

// A MemcachedAPI is what Memcached needs of a client.
type MemcachedAPI interface {
	Get(key string) (*memcache.Item, error)
	Add(*memcache.Item) error
	CompareAndSwap(*memcache.Item) error
}

// Memcached is a Board in Memcached: one item with the best Places entries, as JSON. More needn't be kept, since scores
// only rise: who falls off comes back with a better one. The board is gone when its node restarts or evicts it.
type Memcached struct{ api MemcachedAPI }

var _ Board = (*Memcached)(nil)

// NewMemcached returns a Board whose calls end with their context, though the client knows none: what a call began then
// ends by itself, within a few of the client's timeouts.
func NewMemcached(api MemcachedAPI) *Memcached { return &Memcached{api} }

// Record keeps the score unless the name has a better one.
func (m *Memcached) Record(ctx context.Context, name string, score int64) error {
	_, err := await(ctx, func() (struct{}, error) { return struct{}{}, m.record(ctx, Entry{name, score}) })
	if err != nil {
		return fmt.Errorf("record a score: %w", err)
	}
	return nil
}

// Top returns the best entries.
func (m *Memcached) Top(ctx context.Context) ([]Entry, error) {
	entries, err := await(ctx, func() ([]Entry, error) {
		_, entries, err := m.read()
		return entries, err
	})
	if err != nil {
		return nil, fmt.Errorf("read the leaderboard: %w", err)
	}
	return entries, nil
}

// record puts the entry into what it reads, and writes that if nobody wrote in between; else it begins anew. An entry
// that changes nothing is not written.
func (m *Memcached) record(ctx context.Context, entry Entry) error {
	for ctx.Err() == nil {
		item, entries, err := m.read()
		if err != nil {
			return err
		}
		better := improve(entries, entry)
		if slices.Equal(better, entries) {
			return nil
		}
		value, err := json.Marshal(better)
		if err != nil {
			return err
		}
		if item == nil {
			err = m.api.Add(&memcache.Item{Key: memcachedKey, Value: value})
		} else {
			item.Value = value
			err = m.api.CompareAndSwap(item)
		}
		overtaken := errors.Is(err, memcache.ErrCASConflict) || errors.Is(err, memcache.ErrNotStored) ||
			errors.Is(err, memcache.ErrCacheMiss)
		if !overtaken {
			return err
		}
	}
	return ctx.Err()
}

// read returns the board with the item that it is in, which is nil where there is none yet.
func (m *Memcached) read() (*memcache.Item, []Entry, error) {
	item, err := m.api.Get(memcachedKey)
	if errors.Is(err, memcache.ErrCacheMiss) {
		return nil, []Entry{}, nil
	}
	if err != nil {
		return nil, nil, err
	}
	entries := []Entry{}
	if err := json.Unmarshal(item.Value, &entries); err != nil {
		return nil, nil, fmt.Errorf("the item %s: %w", memcachedKey, err)
	}
	return item, entries, nil
}

// improve returns the best of the entries and another one, each name once.
func improve(entries []Entry, entry Entry) []Entry {
	better := slices.Clone(entries)
	i := slices.IndexFunc(better, func(e Entry) bool { return e.Name == entry.Name })
	if i < 0 {
		better = append(better, entry)
	} else {
		better[i].Score = max(better[i].Score, entry.Score)
	}
	return top(better)
}

// await returns what f does, or ctx's error when that comes first.
func await[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := f()
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		var zero T
		return zero, ctx.Err()
	}
}
