package session

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// A Key is the name of a value of type T in a session, at most 128 bytes of UTF-8 that don't begin with "@":
//
//	const theme = session.Key[string]("theme")
//
// Values are stored as JSON, each for itself: keys that this server doesn't know are neither read nor written by it, so
// that older and newer servers can share sessions.
type Key[T any] string

// Get returns the value, and false when there is none. A stored value that isn't a T is an error, and stays.
func (k Key[T]) Get(ctx context.Context) (value T, found bool, err error) {
	text, err := From(ctx).value(ctx, string(k))
	if err != nil || text == "" {
		return value, false, err
	}
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		var zero T
		return zero, false, fmt.Errorf("decode session key %q: %w", string(k), err)
	}
	return value, true, nil
}

// Set records that the key gets the value. A value that JSON can't encode, or whose JSON is not UTF-8, is refused: the
// error sticks to the session, see Session.
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

// Remove records that the key goes. It starts no session for a visitor who has none.
func (k Key[T]) Remove(ctx context.Context) {
	From(ctx).change(Change{Op: OpRemove, Key: string(k)}, nil)
}

// A Counter is the name of an integer in a session, within ±MaxCounter. Additions of overlapping requests all count.
type Counter string

// Get returns the counter's value; a counter that isn't there is 0. ErrCounter: it holds something else.
func (c Counter) Get(ctx context.Context) (int64, error) {
	text, err := From(ctx).value(ctx, string(c))
	if err != nil {
		return 0, err
	}
	return counter(text)
}

// Add records that the counter grows by n. ErrCounter, which sticks to the session, means that n or the sum is out of
// ±MaxCounter.
func (c Counter) Add(ctx context.Context, n int64) {
	From(ctx).change(Change{Op: OpAdd, Key: string(c), N: n}, nil)
}

// Remove records that the counter goes, and counts from 0 again. It starts no session for a visitor who has none.
func (c Counter) Remove(ctx context.Context) {
	From(ctx).change(Change{Op: OpRemove, Key: string(c)}, nil)
}

// Counters is the common name of a family of counters, such as the lines of a cart. Each is the key "family/name".
type Counters string

// Counter returns the family's counter of that name.
func (c Counters) Counter(name string) Counter { return Counter(string(c) + "/" + name) }

// All returns the family's counters by name.
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
