package session

import (
	"context"
	"errors"
	"time"
)

// Errors of a Store that reach handlers. Any other error of a store counts as a failure of the store and reaches handlers
// as ErrUnavailable. StatusCode returns the HTTP status of each.
var (
	// ErrNotFound means that no live session has this id.
	ErrNotFound = errors.New("session not found")
	// ErrEnded means that the session was ended by a logout or a renewal, either within the last EndedFor or while this
	// request was using it.
	ErrEnded = errors.New("session has ended")
	// ErrTooLarge means that the session would exceed Promises.MaxBytes. The session is unchanged.
	ErrTooLarge = errors.New("session too large")
	// ErrCounter means that the value of the key is not an integer, or that the sum is outside ±MaxCounter. The session is
	// unchanged.
	ErrCounter = errors.New("not a counter, or out of its range")
	// ErrChanged means that a key does not have the value that a conditional removal names. The session is unchanged. Pop
	// turns it into a missing value, so it reaches no handler.
	ErrChanged = errors.New("the value has changed")
	// ErrInvalid means that a key, a value, a user name or a cursor is malformed.
	ErrInvalid = errors.New("not allowed")
	// ErrUnavailable means that the store failed or did not reply in time. Changes in flight may or may not be stored.
	ErrUnavailable = errors.New("session store unavailable")
	// ErrUnsupported means that the store's Promises exclude the operation.
	ErrUnsupported = errors.New("not supported by this session store")
)

// MaxClockSkew is the largest allowed difference between the clocks of two servers, or of a server and its store. With such
// clocks a session may expire early or late by up to MaxClockSkew. No ended session becomes live again, and no live session
// is deleted.
const MaxClockSkew = time.Minute

// EndedFor is the time for which a store remembers that a session has ended. It is the sum of MaxClockSkew and the minute for
// which a request can be in flight: by its default idle timeout, an Application Load Balancer responds 504 after 60 seconds.
const EndedFor = time.Minute + MaxClockSkew

// A Store keeps sessions that several servers share. Its methods are safe for concurrent use. To other servers each call is
// one atomic step, as far as Promises declares it.
//
// The caller passes the current time. A session is live while that time is before both its Expires and its IdleExpires. A
// store checks this on every call, because its own deletion of expired data may be days late. A store may round times up to
// the next second. It keeps data for at least MaxClockSkew after its expiry, unless it can't control deletion.
//
// The function Run of package sessiontest tests a Store.
type Store interface {
	// Create stores a new session. If the id exists, live or ended, Create returns an error and changes nothing.
	Create(ctx context.Context, id ID, record Record) error
	// Load returns a live session. If there is none, it returns ErrNotFound or ErrEnded.
	Load(ctx context.Context, id ID, now time.Time) (Record, error)
	// Update applies all changes to a live session or none, extends it as Update.Extend does, and returns the new state. It
	// never creates a session: if there is no live one, it returns ErrNotFound or ErrEnded. If the store fails, the changes are
	// applied at most once. Update never retries an addition or a conditional removal.
	Update(ctx context.Context, id ID, update Update) (Record, error)
	// Renew replaces a live session by a new one that takes over its values, and returns the new session. See Renewal.
	Renew(ctx context.Context, renewal Renewal) (Record, error)
	// End ends a live session and returns its last state. If there is none, it returns ErrNotFound or ErrEnded. For EndedFor
	// after it, every call with the id returns ErrEnded, and later ErrNotFound. EndOptions says what the store keeps of the
	// session meanwhile.
	End(ctx context.Context, id ID, options EndOptions) (Record, error)
	// Ping returns nil if the store replies.
	Ping(ctx context.Context) error
	// Promises returns the promises that the store keeps.
	Promises() Promises
}

// A Renewal moves a session to a new id in one atomic step: at any time, and after any failure, exactly one of the two
// sessions is live. Promises.AtomicRenewal is false for a store that can't do this.
//
// A caller that got no reply may call Renew again with the same Renewal. If the new session exists, Renew returns it.
//
// For EndedFor the store keeps the values and the user of the old session, together with the mark that it has ended, but
// no reference to the new session. Calls with the old id return ErrEnded, with one exception: a Renewal with AllowRenewed
// starts the new session from the kept values. The store keeps nothing of a session that End has ended.
type Renewal struct {
	Old, New ID        // New must never have been used
	Now      time.Time // the current time
	// Record is the new session without its values.
	Record Record
	// KeepValues makes the new session take over the values even if the old session had another user. Without it, the new
	// session takes over the values only if the old session had the same user or none.
	KeepValues bool
	// AllowRenewed allows Old to be a session that was itself renewed within EndedFor. It is for logins, whose visitor has
	// just authenticated: a login that is submitted twice, or again after its response was lost, then loses no values.
	AllowRenewed bool
	// Known is the old session as the caller has read it, or nil. It may be stale. It saves a read for a store that has to
	// send the values.
	Known *Record
}

// Renewed returns the record of the session that replaces old.
func (r Renewal) Renewed(old Record) Record {
	record := r.Record
	record.Values = nil
	if r.KeepValues || old.User == "" || old.User == record.User {
		record.Values = old.Values
	}
	return record
}

// EndOptions are the options of Store.End.
type EndOptions struct {
	Now time.Time // the current time
	// Moving makes the store keep the last state of the session. For EndedFor less MaxClockSkew, every further End with
	// Moving returns that state again. Package migrate uses it to move a session to another store under the same id: any
	// server can complete a move that another server has begun. A session that was ended without Moving, or was renewed, is
	// not returned.
	Moving bool
}

// A UserStore is a Store that can list the sessions of a user.
type UserStore interface {
	Store
	// UserSessions returns a page of the live sessions of a user, approximately from the newest to the oldest. A session is
	// on the list before any request can use it.
	UserSessions(ctx context.Context, user string, query PageQuery) (Page, error)
}

// A PageQuery selects one page of a list.
type PageQuery struct {
	Now    time.Time // the current time
	Cursor string    // Page.Next of the previous page, or empty for the first page; if malformed, the error is ErrInvalid
	Limit  int       // the maximum number of entries, 1 to MaxPage
}

// MaxPage is the maximum number of entries of a page.
const MaxPage = 1000

// A Page is one page of a list. It may have fewer entries than the limit, even none, and still have a next page, because
// expired sessions are on the list until they are deleted.
type Page struct {
	Sessions []UserSession
	Next     string // the cursor of the next page; empty on the last page
	// Renewed are ids on this page whose sessions got new ids within EndedFor. The new ids are on the list too, but a caller
	// that reads page by page may have read the pages where they now are. Renewed is empty if a store's page is a snapshot of
	// all live sessions, up to the limit.
	Renewed []ID
}

// A UserSession is one session of a user, without its values.
type UserSession struct {
	ID     ID
	Record Record // Values is nil
}

// A ClusterStore is a Store that can renew a session only to certain ids, for example because the keys of both ids must be
// in the same hash slot of a cluster.
type ClusterStore interface {
	// SameSlot returns a function that reports whether a session can be renewed from old to an id. It returns nil if every id
	// is possible. At least one id in 20,000 must be possible, because the caller draws ids at random.
	SameSlot(ctx context.Context, old ID) (func(ID) bool, error)
}

// A Record is the state of a session.
type Record struct {
	// Values maps each key to its JSON value; a counter is a decimal integer. The map must not be modified.
	Values map[string]string
	// User is the name of the user who is logged in, or empty. It never changes within a session: login starts a new one.
	User string
	// UserAgent is the User-Agent header of the request that started the session, truncated to 200 bytes.
	UserAgent string
	// Created is the time at which the session started. A login starts a session.
	Created time.Time
	// Expires is the time at which the session ends even if it is in use.
	Expires time.Time
	// IdleExpires is the time at which the session ends unless it is used before.
	IdleExpires time.Time
	// IdleTimeout is the idle timeout of this session, or 0 for the server's Options.IdleTimeout. A session with its own idle
	// timeout started with a remembered login, and its cookie outlives the browser. It never changes within a session.
	IdleTimeout time.Duration
}

// Live reports whether the session is live: now is before both Expires and IdleExpires.
func (r Record) Live(now time.Time) bool {
	return now.Before(r.Expires) && now.Before(r.IdleExpires)
}

// Size returns the size of the session in bytes, which Promises.MaxBytes limits: its keys, values, user and user agent.
func (r Record) Size() int {
	size := len(r.User) + len(r.UserAgent)
	for key, value := range r.Values {
		size += len(key) + len(value)
	}
	return size
}

// An Update changes and extends a session.
type Update struct {
	Now         time.Time     // the current time
	IdleExpires time.Time     // the new IdleExpires of a session without its own IdleTimeout
	TouchAfter  time.Duration // how long a session with its own IdleTimeout is live beyond that
	Changes     []Change      // any number, at most one per key; without changes the update only extends the session
}

// Extend returns the record with its new IdleExpires: Update.IdleExpires, or Now plus the session's own IdleTimeout plus
// TouchAfter. Stores that apply updates in Go call it. Other stores must give the same result. The caller may not have read the
// session, so only the store knows which of the two applies.
func (u Update) Extend(r Record) Record {
	r.IdleExpires = u.IdleExpires
	if r.IdleTimeout > 0 {
		r.IdleExpires = u.Now.Add(r.IdleTimeout + u.TouchAfter)
	}
	return r
}

// Size returns the size of the changes' keys and values in bytes.
func (u Update) Size() int {
	size := 0
	for _, c := range u.Changes {
		size += len(c.Key) + len(c.Value)
	}
	return size
}

// Promises declares which promises a store or a codec keeps.
type Promises struct {
	// Name is the name of the store in metrics and messages.
	Name string
	// Shared means that every server sees the same sessions, so that no sticky sessions are needed.
	Shared bool
	// NoLostUpdate means that overlapping changes of one session all survive, and every Add counts.
	NoLostUpdate bool
	// LogoutIsFinal means that an ended session never becomes live again. Without ReadYourWrites, an ended session may still
	// be read for a while, but not changed.
	LogoutIsFinal bool
	// LogoutFinalWithin, if not 0, is the time after which a logout without LogoutIsFinal is final: the server that ended a
	// session refuses it at once, and every other server after this time. The sessions of a user can then be ended. See
	// RevocableCodec.
	LogoutFinalWithin time.Duration
	// ReadYourWrites means that every later request, on any server, sees an acknowledged change.
	ReadYourWrites bool
	// AtomicRenewal means that a login or a renewal is one atomic step. Without it, a renewal that fails may leave both the
	// old and the new session live, each with all values. No visitor has the cookie of the new session then.
	AtomicRenewal bool
	// OneRegion limits the promises above to sessions that are used in one region. Other regions have replicas that follow
	// asynchronously and accept changes too. If a session is changed in two regions before replication, the later change
	// wins: its state of the whole session replaces the other, even if the other is a logout.
	OneRegion bool
	// ListsByUser means that the sessions of a user can be listed and ended. The store is then a UserStore.
	ListsByUser bool
	// Mutable means that a session can change after its start. Without it, the values that login stored are read-only.
	Mutable bool
	// MaxBytes is the maximum Record.Size after a change; beyond it, the error is ErrTooLarge. A renewal may exceed it by the
	// length of a user name and a user agent.
	MaxBytes int
}
