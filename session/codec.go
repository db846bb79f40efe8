package session

import "time"

// A Codec keeps sessions with their visitors: the whole state is in the cookie, and no store is asked. Its methods are
// safe for concurrent use and take no longer than the computation. See NewWithCodec.
type Codec interface {
	// Encode returns the cookie's value for a session; ErrTooLarge when that exceeds what browsers keep.
	Encode(id ID, record Record) (string, error)
	// Decode returns the session in a cookie that Encode made. What is forged, damaged, sealed with an unknown key, or no longer
	// live, is ErrNotFound.
	Decode(value string, now time.Time) (ID, Record, error)
	// Promises tells what the answer keeps. No Codec can keep NoLostUpdate or LogoutIsFinal.
	Promises() Promises
}
