package session

import (
	"context"
	"errors"
	"time"
)

// Errors that a Store answers with, and that reach handlers. Every other error of a store is taken for a failure of the
// store and reaches handlers as ErrUnavailable.
var (
	// ErrNotFound: there is no live session of that id.
	ErrNotFound = errors.New("session not found")
	// ErrEnded: the session was ended (by logout, or by renewal of its id) within the last EndedFor, or while this request
	// was using it.
	ErrEnded = errors.New("session has ended")
	// ErrTooLarge: the session would exceed Promises.MaxBytes. Its old state stands.
	ErrTooLarge = errors.New("session too large")
	// ErrCounter: the key holds no integer, or would leave ±MaxCounter. The session's old state stands.
	ErrCounter = errors.New("not a counter, or out of its range")
	// ErrUnavailable: the store failed or didn't answer in time. Changes that were under way may or may not be stored.
	ErrUnavailable = errors.New("session store unavailable")
	// ErrUnsupported: the store can't do that; its Promises say so.
	ErrUnsupported = errors.New("not supported by this session store")
)

// EndedFor is how long a store remembers that a session has ended. It covers what may still be in flight when a session
// ends: a request that waits in a load balancer longer than 60 s is answered with a 504 (the ALB's idle timeout).
const EndedFor = time.Minute

// A Store keeps sessions where several servers reach them. Its methods are safe for concurrent use, and each is one
// atomic step as far as any other server can tell (but see Promises).
//
// Time comes from the caller. A session is live while now is before both its Expires and its IdleExpires; stores check
// that themselves on every call, since what deletes expired data may be days late. Stores may keep times to the
// second, rounded up.
//
// Whoever writes a store runs sessiontest.Run on it.
type Store interface {
	// Create stores a new session. The id is fresh: it was never used before.
	Create(ctx context.Context, id ID, record Record) error
	// Load returns a live session, else ErrNotFound or ErrEnded.
	Load(ctx context.Context, id ID, now time.Time) (Record, error)
	// Update applies the changes to a live session, all or none, sets IdleExpires, and returns the new state. It never
	// creates a session: it answers ErrNotFound or ErrEnded where there is no live one. An addition is applied once or,
	// when the store fails, maybe; it is never repeated.
	Update(ctx context.Context, id ID, update Update) (Record, error)
	// End ends a session for good and returns its last state; ErrNotFound or ErrEnded where there is no live one. For
	// EndedFor from now, every call on the id answers ErrEnded, after that ErrNotFound.
	End(ctx context.Context, id ID, now time.Time) (Record, error)
	// Ping tells whether the store answers.
	Ping(ctx context.Context) error
	// Promises tells what the store keeps.
	Promises() Promises
}

// A UserStore can tell which sessions a user has.
type UserStore interface {
	Store
	// UserSessions returns the live sessions of a user, the newest first, at most MaxUserSessions.
	UserSessions(ctx context.Context, user string, now time.Time) ([]UserSession, error)
}

// MaxUserSessions bounds how many sessions of one user are listed and ended at once.
const MaxUserSessions = 1000

// A UserSession is one session of a user, without its values.
type UserSession struct {
	ID     ID
	Record Record // Values is nil
}

// A Record is the state of a session.
type Record struct {
	// Values are JSON by key; a counter is a decimal integer. Whoever gets a Record must not modify them.
	Values map[string]string
	// User is who is logged in; empty for nobody. It never changes within a session: login starts a new one.
	User string
	// UserAgent is the browser's own description at the session's start, shortened.
	UserAgent string
	// Created is when the session, or the login, started.
	Created time.Time
	// Expires is when the session ends at the latest.
	Expires time.Time
	// IdleExpires is when the session ends unless it is used before.
	IdleExpires time.Time
}

// Live tells whether the session has expired neither absolutely nor by idling.
func (r Record) Live(now time.Time) bool {
	return now.Before(r.Expires) && now.Before(r.IdleExpires)
}

// Size is what the session counts against Promises.MaxBytes: the bytes of its keys, values, user and user agent.
func (r Record) Size() int {
	size := len(r.User) + len(r.UserAgent)
	for key, value := range r.Values {
		size += len(key) + len(value)
	}
	return size
}

// An Update is what a request does to a session.
type Update struct {
	Now         time.Time
	IdleExpires time.Time // the session's new IdleExpires
	Changes     []Change  // at most one a key; none is a touch, which only extends
}

// Size is how many bytes the changes carry.
func (u Update) Size() int {
	size := 0
	for _, c := range u.Changes {
		size += len(c.Key) + len(c.Value)
	}
	return size
}

// Promises declare what a store keeps of the package's promises.
type Promises struct {
	// Name is the store's name in metrics and messages.
	Name string
	// Shared: every server sees the same sessions, so that no sticky sessions are needed.
	Shared bool
	// NoLostUpdate: overlapping changes of one session all survive, and every Add counts.
	NoLostUpdate bool
	// LogoutIsFinal: nothing brings a session back that was ended. Where ReadYourWrites isn't promised, it may still be shown
	// for a while, but not changed.
	LogoutIsFinal bool
	// ReadYourWrites: a change that was acknowledged is seen by every later request, on any server.
	ReadYourWrites bool
	// OneRegion: the three above hold, as far as they are declared, while a session is used in one region. Other regions have
	// copies that follow within moments, and change them too; of two changes in different regions meanwhile the later one
	// wins, with the whole session: it undoes the other, a logout also.
	OneRegion bool
	// ByUser: the sessions of a user can be listed and ended. Such a store is a UserStore.
	ByUser bool
	// Changes: a session can change after its start. Without it, what login stored can only be read.
	Changes bool
	// MaxBytes is the largest Record.Size that the store takes; more is ErrTooLarge.
	MaxBytes int
}
