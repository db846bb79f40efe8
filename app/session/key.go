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
func (k Key[T]) Get(ctx context.Context, s *Session) (value T, found bool, err error) {
	text, err := s.value(ctx, string(k))
	if err != nil || text == "" {
		return value, false, err
	}
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		var zero T
		return zero, false, fmt.Errorf("decode session key %q: %w", string(k), err)
	}
	return value, true, nil
}

// Set records that the key gets the value.
func (k Key[T]) Set(s *Session, value T) error {
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("encode session key %q: %w", string(k), err)
	}
	return s.change(Change{Op: OpSet, Key: string(k), Value: string(text)})
}

// Remove records that the key goes.
func (k Key[T]) Remove(s *Session) error {
	return s.change(Change{Op: OpRemove, Key: string(k)})
}

// A Counter is the name of an integer in a session, within ±MaxCounter. Additions of overlapping requests all count.
type Counter string

// Get returns the counter's value; a counter that isn't there is 0. ErrCounter: it holds something else.
func (c Counter) Get(ctx context.Context, s *Session) (int64, error) {
	text, err := s.value(ctx, string(c))
	if err != nil {
		return 0, err
	}
	return counter(text)
}

// Add records that the counter grows by n.
func (c Counter) Add(s *Session, n int64) error {
	return s.change(Change{Op: OpAdd, Key: string(c), N: n})
}

// Remove records that the counter goes, and counts from 0 again.
func (c Counter) Remove(s *Session) error {
	return s.change(Change{Op: OpRemove, Key: string(c)})
}

// Counters is the common name of a family of counters, such as the lines of a cart. Each is the key "family/name".
type Counters string

// Counter returns the family's counter of that name.
func (c Counters) Counter(name string) Counter { return Counter(string(c) + "/" + name) }

// All returns the family's counters by name.
func (c Counters) All(ctx context.Context, s *Session) (map[string]int64, error) {
	values, err := s.values(ctx)
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
		return fmt.Errorf("session key %q: allowed are 1 to %d bytes of UTF-8 that don't begin with @", key, maxKey)
	}
	return nil
}
