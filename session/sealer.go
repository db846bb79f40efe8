package session

import "time"

// A Sealer keeps sessions with their visitors: the whole state is in the cookie, and no store is asked. Its methods are
// safe for concurrent use and take no longer than the computation. See NewSealed.
type Sealer interface {
	// Seal returns the cookie's value for a session; ErrTooLarge when that exceeds what browsers keep.
	Seal(id ID, record Record) (string, error)
	// Open returns the session in a cookie that Seal made. What is forged, damaged, sealed with an unknown key, or no longer
	// live, is ErrNotFound.
	Open(value string, now time.Time) (ID, Record, error)
	// Promises tells what the answer keeps. No Sealer can keep NoLostUpdate or LogoutIsFinal.
	Promises() Promises
}
