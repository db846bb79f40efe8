package valkey

import "time"

// NewWithLifetime returns a Store that replaces connections after the lifetime instead of 11 hours.
func NewWithLifetime(o Options, lifetime time.Duration) *Store { return newStore(o, lifetime) }
