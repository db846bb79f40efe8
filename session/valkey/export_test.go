package valkey

import "time"

// NewWithLifetime returns a Store whose connections are replaced after that time instead of 11 hours.
func NewWithLifetime(o Options, lifetime time.Duration) *Store { return newStore(o, lifetime) }
