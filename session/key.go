package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"unicode/utf8"
)

// A Key is the name of a value of type T in a session. It is 1 to 128 bytes of UTF-8 and does not begin with "@":
//
//	const theme = session.Key[string]("theme")
//
// Each value is stored as JSON of its own. A server neither reads nor writes keys that it doesn't know, so older and newer
// servers can share sessions.
type Key[T any] string

// Get returns the value. It reports false if the session does not have the key. If the stored value can't be decoded as a
// T, Get returns an error and leaves the value as it is.
func (k Key[T]) Get(ctx context.Context) (value T, found bool, err error) {
	text, err := From(ctx).value(ctx, string(k))
	if err != nil {
		return value, false, err
	}
	return k.decode(text)
}

// decode decodes the JSON text of a value. It reports false if the text is empty.
func (k Key[T]) decode(text string) (value T, found bool, err error) {
	if text == "" {
		return value, false, nil
	}
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		var zero T
		return zero, false, fmt.Errorf("decode session key %q: %w", string(k), err)
	}
	return value, true, nil
}

// Pop removes the key and returns the value that it had, for what is used once, such as a flash message or a one-time token. It
// reports false if the session does not have the key. Overlapping requests never get the same value twice if the store promises
// NoLostUpdate: the store removes the key only if it still has the value that Pop returns. If another request has removed or
// replaced the value meanwhile, Pop reports false, and a new value stays for the next Pop.
//
// A value is returned at most once. If the store's reply is lost, Pop returns ErrUnavailable, and the value may be gone; the same
// is true if the client doesn't get the response. If the stored value can't be decoded as a T, Pop returns an error and leaves the
// value as it is. Pop makes no change, and so no store operation besides the read of the request, if the key is missing.
func (k Key[T]) Pop(ctx context.Context) (value T, found bool, err error) {
	s := From(ctx)
	text, err := s.value(ctx, string(k))
	if err != nil {
		return value, false, err
	}
	if value, found, err = k.decode(text); err == nil && found {
		found, err = s.removeIf(ctx, string(k), text)
	}
	if err != nil || !found {
		var zero T
		return zero, false, err
	}
	return value, true, nil
}

// Set records a change that sets the key to value. If value can't be encoded as JSON in UTF-8, every later read or change
// of the session returns the error. See Session.
func (k Key[T]) Set(ctx context.Context, value T) {
	text, err := json.Marshal(value)
	switch {
	case err != nil:
		err = fmt.Errorf("encode session key %q: %w", string(k), err)
	case !utf8.Valid(text): // from a json.RawMessage
		err = fmt.Errorf("encode session key %q: %w: the value is not UTF-8", string(k), ErrInvalid)
	}
	From(ctx).change(Change{Op: OpSet, Key: string(k), Value: string(text)}, err)
}

// Remove records a change that removes the key. It does not start a session for a visitor who has none.
func (k Key[T]) Remove(ctx context.Context) {
	From(ctx).change(Change{Op: OpRemove, Key: string(k)}, nil)
}

// removeIf removes a key in one atomic step if it still has the given value, and reports whether it did.
func (s *Session) removeIf(ctx context.Context, key, value string) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.checkChangeable(); err != nil {
		return false, err
	}
	if err := s.apply(ctx); err != nil {
		return false, err
	}
	err := s.sendChanges(ctx, []Change{{Op: OpRemove, Key: key, Value: value}})
	switch {
	case errors.Is(err, ErrChanged):
		s.record.Values = maps.Clone(s.record.Values)
		delete(s.record.Values, key) // for reads of this request
		return false, nil
	case err != nil:
		return false, s.fail(err)
	}
	return true, nil
}

// A Counter is the name of an integer in a session, within ±MaxCounter. Additions of overlapping requests all count. The
// name follows the rules of Key.
type Counter string

// Get returns the value of the counter, or 0 if the session does not have it. It returns ErrCounter if the stored value is
// not a counter.
func (c Counter) Get(ctx context.Context) (int64, error) {
	text, err := From(ctx).value(ctx, string(c))
	if err != nil {
		return 0, err
	}
	return counter(text)
}

// Add records a change that adds n to the counter. If n or the sum is outside ±MaxCounter, every later read or change of
// the session returns ErrCounter. See Session.
func (c Counter) Add(ctx context.Context, n int64) {
	From(ctx).change(Change{Op: OpAdd, Key: string(c), N: n}, nil)
}

// Remove records a change that removes the counter; it then counts from 0. It does not start a session for a visitor who has
// none.
func (c Counter) Remove(ctx context.Context) {
	From(ctx).change(Change{Op: OpRemove, Key: string(c)}, nil)
}

// Counters is the name of a group of counters, such as the quantities of a cart. The key of each counter is the name of the
// group, a slash, and the name of the counter.
type Counters string

// Counter returns the counter with the given name in the group.
func (c Counters) Counter(name string) Counter { return Counter(string(c) + "/" + name) }

// All returns the values of all counters in the group, by name.
func (c Counters) All(ctx context.Context) (map[string]int64, error) {
	values, err := From(ctx).values(ctx)
	if err != nil {
		return nil, err
	}
	all := map[string]int64{}
	for key, text := range values {
		name, ok := strings.CutPrefix(key, string(c)+"/")
		if !ok {
			continue
		}
		if all[name], err = counter(text); err != nil {
			return nil, fmt.Errorf("read session key %q: %w", key, err)
		}
	}
	return all, nil
}

func checkKey(key string) error {
	if key == "" || len(key) > maxKey || key[0] == '@' || !utf8.ValidString(key) {
		return fmt.Errorf("session key %q: %w: allowed are 1 to %d bytes of UTF-8 that don't begin with @", key, ErrInvalid, maxKey)
	}
	return nil
}
