package session

import (
	"fmt"
	"strconv"
)

// An Op is the operation of a Change.
type Op uint8

// The operations that every store applies.
const (
	OpSet    Op = iota + 1 // sets the key to Value
	OpRemove               // removes the key; if Value is set, only if the key has this value, else the update fails with ErrChanged
	OpAdd                  // adds N to the integer of the key; a missing key counts as 0
)

// A Change is one operation on one key of a session. Changes of different keys may be applied in any order.
type Change struct {
	Op    Op
	Key   string
	Value string // JSON, for OpSet and a conditional OpRemove
	N     int64  // for OpAdd
}

// MaxCounter is the largest absolute value of a counter, and of a number added to it. Integers in this range are exact in
// every store and in JSON (RFC 8259, section 6). A change that would leave the range fails with ErrCounter.
const MaxCounter = 1<<53 - 1

// maxKey is the maximum length of a key in bytes. Keys that begin with "@" are reserved for the stores.
const maxKey = 128

// Apply returns a copy of values with the changes applied. It returns ErrCounter if an addition is not possible, and ErrChanged
// if the condition of a removal is false. Stores that apply changes in Go call it. Other stores must give the same result.
func Apply(values map[string]string, changes []Change) (map[string]string, error) {
	next := make(map[string]string, len(values)+len(changes))
	for key, value := range values {
		next[key] = value
	}
	for _, c := range changes {
		switch c.Op {
		case OpSet:
			next[c.Key] = c.Value
		case OpRemove:
			if c.Value != "" && next[c.Key] != c.Value {
				return nil, fmt.Errorf("remove %q: %w", c.Key, ErrChanged)
			}
			delete(next, c.Key)
		case OpAdd:
			n, err := counter(next[c.Key])
			if err == nil {
				n, err = add(n, c.N)
			}
			if err != nil {
				return nil, fmt.Errorf("add to %q: %w", c.Key, err)
			}
			next[c.Key] = strconv.FormatInt(n, 10)
		default:
			return nil, fmt.Errorf("unknown operation %d on %q", c.Op, c.Key)
		}
	}
	return next, nil
}

// counter parses the value of a counter in canonical form. The empty string is 0.
func counter(value string) (int64, error) {
	if value == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || !inCounterRange(n) || strconv.FormatInt(n, 10) != value {
		return 0, ErrCounter
	}
	return n, nil
}

func add(a, b int64) (int64, error) {
	if !inCounterRange(b) || !inCounterRange(a+b) {
		return 0, ErrCounter
	}
	return a + b, nil
}

func inCounterRange(n int64) bool { return -MaxCounter <= n && n <= MaxCounter }

// appendChange adds a change to a list. It keeps at most one change per key, so that a store may apply the list in any order
// or in one expression.
func appendChange(changes []Change, c Change) ([]Change, error) {
	if c.Op == OpAdd && !inCounterRange(c.N) {
		return changes, fmt.Errorf("add to %q: %w", c.Key, ErrCounter)
	}
	for i, earlier := range changes {
		if earlier.Key != c.Key {
			continue
		}
		merged, err := merge(earlier, c)
		if err != nil {
			return changes, err
		}
		changes[i] = merged
		return changes, nil
	}
	return append(changes, c), nil
}

// merge returns one change with the effect of earlier followed by later.
func merge(earlier, later Change) (Change, error) {
	if later.Op != OpAdd {
		return later, nil
	}
	base := ""
	switch earlier.Op {
	case OpSet:
		base = earlier.Value
	case OpAdd:
		n, err := add(earlier.N, later.N)
		return Change{Op: OpAdd, Key: later.Key, N: n}, err
	}
	n, err := counter(base)
	if err == nil {
		n, err = add(n, later.N)
	}
	return Change{Op: OpSet, Key: later.Key, Value: strconv.FormatInt(n, 10)}, err
}
