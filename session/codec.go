package session

import (
	"context"
	"time"
)

// A Codec encodes whole sessions as cookie values, so that the session is kept by the visitor's browser and no store is
// called. Its methods are safe for concurrent use and do no input or output. See NewWithCodec.
type Codec interface {
	// Encode returns the cookie value of a session. It returns ErrTooLarge if the value exceeds what browsers store.
	Encode(id ID, record Record) (string, error)
	// Decode returns the session of a cookie value that Encode returned. It returns ErrNotFound if the value is forged,
	// damaged or sealed with an unknown key, or if the session has expired. Only a RevocableCodec returns other errors.
	Decode(value string, now time.Time) (ID, Record, error)
	// Promises returns the promises that the sessions keep. No Codec can keep NoLostUpdate or LogoutIsFinal.
	Promises() Promises
}

// A RevocableCodec is a Codec whose sessions can end before they expire, because the servers share a list of the sessions that
// have ended. Package revocation makes one of any Codec.
//
// Decode then returns ErrEnded for a session that ended within the last EndedFor, ErrNotFound for one that ended earlier, and
// any other error if the list can't be read.
type RevocableCodec interface {
	Codec
	// Start returns record, the record of a session that starts by a login, with a mark that the login took place after every
	// EndUser of its user that has returned. Encode writes the mark, and Decode returns it.
	Start(ctx context.Context, record Record) (Record, error)
	// End ends a session. When it returns nil, this server refuses the session at once, and every other server after
	// Promises.LogoutFinalWithin.
	End(ctx context.Context, id ID, record Record, now time.Time) error
	// EndUser ends every session of a user that started before the call, in the same way. The time expires is when the last of
	// these sessions expires.
	EndUser(ctx context.Context, user string, now, expires time.Time) error
	// Ping returns nil if this server knows the list.
	Ping(ctx context.Context) error
}
