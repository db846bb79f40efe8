package session

import (
	"context"
	"errors"
	"time"
)

// Errors that a Store answers with, and that reach handlers. Every other error of a store is taken for a failure of the
// store and reaches handlers as ErrUnavailable. See StatusCode for the HTTP status of each.
var (
	// ErrNotFound means that there is no live session of that id.
	ErrNotFound = errors.New("session not found")
	// ErrEnded means that the session was ended, by logout or by renewal of its id, within the last EndedFor or while this
	// request was using it.
	ErrEnded = errors.New("session has ended")
	// ErrTooLarge means that the session would exceed Promises.MaxBytes. Its old state stands.
	ErrTooLarge = errors.New("session too large")
	// ErrCounter means that the key holds no integer, or would leave ±MaxCounter. The session's old state stands.
	ErrCounter = errors.New("not a counter, or out of its range")
	// ErrInvalid means that a key, a value, a user's name or a cursor has a form that is not allowed.
	ErrInvalid = errors.New("not allowed")
	// ErrUnavailable means that the store failed or did not answer in time. Changes under way may or may not be stored.
	ErrUnavailable = errors.New("session store unavailable")
	// ErrUnsupported means that the store cannot do that, as its Promises say.
	ErrUnsupported = errors.New("not supported by this session store")
)

// MaxClockSkew is how far the clocks of two servers, or of a server and its store, may differ. Expiry is then off by at
// most as much; nothing that has ended returns, and nothing live is deleted.
const MaxClockSkew = time.Minute

// EndedFor is how long a store remembers that a session has ended. It covers what may still be in flight when a session
// ends (an Application Load Balancer answers a request that has waited for 60 seconds with a 504, by its default idle
// timeout) and servers whose clocks differ by MaxClockSkew.
const EndedFor = time.Minute + MaxClockSkew

// A Store keeps sessions where several servers reach them. Its methods are safe for concurrent use, and each is one
// atomic step as seen by other servers, as far as Promises declares it.
//
// Times come from the caller. A session is live while now is before both its Expires and its IdleExpires. Stores check
// that on every call, because deletion of expired data may come days late. A store may round times up to the second. It
// deletes nothing physically until MaxClockSkew after its expiry, where it can choose.
//
// A test of a store runs sessiontest.Run.
type Store interface {
	// Create stores a new session. The id was never used before; an id that exists, live or ended, is an error and is left
	// as it is.
	Create(ctx context.Context, id ID, record Record) error
	// Load returns a live session, else ErrNotFound or ErrEnded.
	Load(ctx context.Context, id ID, now time.Time) (Record, error)
	// Update applies the changes to a live session, all or none, sets IdleExpires, and returns the new state. It never
	// creates a session: it returns ErrNotFound or ErrEnded where there is no live one. It applies an addition once or,
	// when the store fails, at most once; it never repeats one.
	Update(ctx context.Context, id ID, update Update) (Record, error)
	// Renew replaces a live session by another, which takes over its values, and returns that one. See Renewal.
	Renew(ctx context.Context, renewal Renewal) (Record, error)
	// End ends a live session for good and returns its last state, else ErrNotFound or ErrEnded. For EndedFor from now,
	// every call on the id returns ErrEnded, after that ErrNotFound. See EndOptions for what the store keeps meanwhile.
	End(ctx context.Context, id ID, ending EndOptions) (Record, error)
	// Ping returns nil when the store answers.
	Ping(ctx context.Context) error
	// Promises returns what the store promises to keep.
	Promises() Promises
}

// A Renewal moves a session to a new id, in one step: of the old and the new session exactly one is live before and
// after, whatever fails (but see Promises.AtomicRenewal).
//
// Renew may be called again with the same renewal, after its answer was lost: when the new session is there, it returns
// that one. For EndedFor, the store keeps the values and the user of the old session beside the note that it has ended,
// but nothing that leads to the new one. Calls on the old id return ErrEnded, with one exception: a renewal with AllowRenewed
// starts the new session from what was kept. Of a session that was ended by End, nothing is kept.
type Renewal struct {
	Old, New ID // New was never used before
	Now      time.Time
	// Record is the new session without its values.
	Record Record
	// KeepValues has the new session take over the values even if the old one had another user. Without it, the values of
	// one user never reach another; those of a session without a user always do.
	KeepValues bool
	// AllowRenewed permits to start from a session that was renewed within EndedFor. It is for logins, whose visitor has just
	// proved who he is: a login that is submitted twice, or again after its answer was lost, then loses nothing.
	AllowRenewed bool
	// Known is the old session as the caller has read it, nil if it hasn't. It may be out of date. A store that has to send
	// the values saves a read by it.
	Known *Record
}

// Renewed returns the record of the new session for an old one.
func (r Renewal) Renewed(old Record) Record {
	record := r.Record
	record.Values = nil
	if r.KeepValues || old.User == "" || old.User == record.User {
		record.Values = old.Values
	}
	return record
}

// An EndOptions says how a session ends.
type EndOptions struct {
	Now time.Time
	// Moving has the store keep the last state and return it again to every further End with Moving, for EndedFor less
	// MaxClockSkew. It is for a session that moves to another store under the same id: whoever finds it half way can
	// complete the move. A session that has been ended without Moving, or renewed, is not returned.
	Moving bool
}

// A UserStore can list the sessions of a user.
type UserStore interface {
	Store
	// UserSessions returns a page of the live sessions of a user, about the newest first. The list has a session before
	// anybody can use it.
	UserSessions(ctx context.Context, user string, query PageQuery) (Page, error)
}

// A PageQuery asks for one page of a list.
type PageQuery struct {
	Now    time.Time
	Cursor string // Page.Next of the page before; empty for the first page; ErrInvalid if malformed
	Limit  int    // the most entries of a page, 1 to MaxPage
}

// MaxPage is the most entries that a page has.
const MaxPage = 1000

// A Page is one page of a list. It may have fewer entries than asked for, even none, and still have a next page: sessions
// that have expired take up room until they are deleted.
type Page struct {
	Sessions []UserSession
	Next     string // the cursor of the next page; empty when this is the last one
	// Renewed are ids on this page whose sessions got new ids within EndedFor. The list has the new ids, but whoever goes
	// through it page by page may have passed their places before they were there. A store whose page is a snapshot of all
	// live sessions, as far as Limit goes, needs none.
	Renewed []ID
}

// A UserSession is one session of a user, without its values.
type UserSession struct {
	ID     ID
	Record Record // Values is nil
}

// A ClusterStore is a Store that can renew a session only to some ids, such as those that share a hash slot of a cluster.
type ClusterStore interface {
	// Place returns a function that reports whether a session can be renewed from old to an id; nil when it can be renewed to
	// any id. At least one id in 20,000 must do.
	SameSlot(ctx context.Context, old ID) (func(ID) bool, error)
}

// A Record is the state of a session.
type Record struct {
	// Values are JSON by key; a counter is a decimal integer. Whoever gets a Record must not modify them.
	Values map[string]string
	// User is the name of the user who is logged in; empty for nobody. It never changes within a session: login starts a
	// new one.
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

// Live reports whether the session has expired neither absolutely nor by idling.
func (r Record) Live(now time.Time) bool {
	return now.Before(r.Expires) && now.Before(r.IdleExpires)
}

// Size returns what the session counts against Promises.MaxBytes: the bytes of its keys, values, user and user agent.
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
	Changes     []Change  // any number, at most one a key; none is a touch, which only extends
}

// Size returns how many bytes the changes carry.
func (u Update) Size() int {
	size := 0
	for _, c := range u.Changes {
		size += len(c.Key) + len(c.Value)
	}
	return size
}

// Promises declare which of the package's promises a store keeps.
type Promises struct {
	// Name is the store's name in metrics and messages.
	Name string
	// Shared means that every server sees the same sessions, so that no sticky sessions are needed.
	Shared bool
	// NoLostUpdate means that overlapping changes of one session all survive, and every Add counts.
	NoLostUpdate bool
	// LogoutIsFinal means that nothing brings a session back that was ended. Where ReadYourWrites isn't promised, an ended
	// session may still be shown for a while, but not changed.
	LogoutIsFinal bool
	// ReadYourWrites means that every later request, on any server, sees a change that was acknowledged.
	ReadYourWrites bool
	// AtomicRenewal means that login and renewal are one step. Without it a renewal that fails half way may leave the old
	// session and the new one live, both with all values. No visitor has the new one's cookie then.
	AtomicRenewal bool
	// OneRegion means that the promises above hold, as far as they are declared, while a session is used in one region.
	// Other regions have copies that follow within moments, and change them too. Of two changes in different regions
	// meanwhile the later one wins, with the whole session: it undoes the other, a logout also.
	OneRegion bool
	// ListsByUser means that the sessions of a user can be listed and ended. Such a store is a UserStore.
	ListsByUser bool
	// Mutable means that a session can change after its start. Without it, what login stored can only be read.
	Mutable bool
	// MaxBytes is the largest Record.Size that a change may lead to; more is ErrTooLarge. A renewal may exceed it by the
	// length of a user's name and a user agent.
	MaxBytes int
}
