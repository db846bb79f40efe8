package session

import "time"

// A Codec encodes whole sessions as cookie values, so that the session is kept by the visitor's browser and no store is
// called. Its methods are safe for concurrent use and do no input or output. See NewWithCodec.
type Codec interface {
	// Encode returns the cookie value of a session. It returns ErrTooLarge if the value exceeds what browsers store.
	Encode(id ID, record Record) (string, error)
	// Decode returns the session of a cookie value that Encode returned. It returns ErrNotFound if the value is forged,
	// damaged or sealed with an unknown key, or if the session has expired.
	Decode(value string, now time.Time) (ID, Record, error)
	// Promises returns the promises that the sessions keep. No Codec can keep NoLostUpdate or LogoutIsFinal.
	Promises() Promises
}
