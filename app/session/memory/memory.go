// Package memory keeps sessions in the process: for tests, and for the sticky baseline that shared stores are compared
// with. A second server knows nothing of them, and they end with the process.
package memory

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"stateless-servers/app/session"
)

// maxBytes is the limit of DynamoDB, the smallest of the shared stores: what fits here fits there.
const maxBytes = 400_000

// entryBytes is what an entry takes besides what its session's Size counts, rounded up.
const entryBytes = 1 << 10

// Store keeps sessions in a map. Create one with New or NewLimited.
type Store struct {
	mu          sync.Mutex
	sessions    map[session.ID]entry
	bytes, most int64 // that the sessions take, and may take
}

// An entry is a session, or the memory of one that ended.
type entry struct {
	record session.Record
	forget time.Time // when not zero: the session has ended, and is remembered until then
}

var _ session.UserStore = (*Store)(nil)

func (e entry) bytes() int64 { return int64(entryBytes + e.record.Size()) }

// New returns an empty Store that grows as long as the process can.
func New() *Store { return NewLimited(math.MaxInt64) }

// NewLimited returns an empty Store that takes that many bytes of memory, about. When it is full, sessions neither start
// nor grow until others have expired: visitors get a 503.
func NewLimited(bytes int64) *Store { return &Store{sessions: map[session.ID]entry{}, most: bytes} }

// Promises declares that one process keeps everything but its sessions' being shared.
func (s *Store) Promises() session.Promises {
	return session.Promises{
		Name: "memory", NoLostUpdate: true, LogoutIsFinal: true, ReadYourWrites: true, ByUser: true, Changes: true,
		MaxBytes: maxBytes,
	}
}

// Ping always succeeds.
func (s *Store) Ping(context.Context) error { return nil }

// Create stores a new session.
func (s *Store) Create(_ context.Context, id session.ID, record session.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep(record.Created)
	if _, ok := s.sessions[id]; ok {
		return fmt.Errorf("session %s exists", id)
	}
	return s.put(id, entry{record: record})
}

// Load returns a live session.
func (s *Store) Load(_ context.Context, id session.ID, now time.Time) (session.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.live(id, now)
}

// Update applies the changes to a live session.
func (s *Store) Update(_ context.Context, id session.ID, update session.Update) (session.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	record, err := s.live(id, update.Now)
	if err != nil {
		return session.Record{}, err
	}
	if record.Values, err = session.Apply(record.Values, update.Changes); err != nil {
		return session.Record{}, err
	}
	if record.Size() > maxBytes {
		return session.Record{}, session.ErrTooLarge
	}
	record.IdleExpires = update.IdleExpires
	if err := s.put(id, entry{record: record}); err != nil {
		return session.Record{}, err
	}
	return record, nil
}

// End ends a session and remembers that it did.
func (s *Store) End(_ context.Context, id session.ID, now time.Time) (session.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	record, err := s.live(id, now)
	if err != nil {
		return session.Record{}, err
	}
	return record, s.put(id, entry{forget: now.Add(session.EndedFor)})
}

// UserSessions looks through all sessions: this store is small.
func (s *Store) UserSessions(_ context.Context, user string, now time.Time) ([]session.UserSession, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []session.UserSession
	for id, e := range s.sessions {
		if e.record.User == user && user != "" && e.record.Live(now) {
			e.record.Values = nil
			list = append(list, session.UserSession{ID: id, Record: e.record})
		}
	}
	slices.SortFunc(list, func(a, b session.UserSession) int {
		return cmp.Or(b.Record.Created.Compare(a.Record.Created), cmp.Compare(a.ID.String(), b.ID.String()))
	})
	return list[:min(len(list), session.MaxUserSessions)], nil
}

func (s *Store) live(id session.ID, now time.Time) (session.Record, error) {
	e, ok := s.sessions[id]
	switch {
	case ok && now.Before(e.forget):
		return session.Record{}, session.ErrEnded
	case ok && e.record.Live(now):
		return e.record, nil
	default:
		return session.Record{}, session.ErrNotFound
	}
}

// put sets an entry, unless it takes more than there is room for and than the one before it did.
func (s *Store) put(id session.ID, e entry) error {
	more := e.bytes()
	if old, ok := s.sessions[id]; ok {
		more -= old.bytes()
	}
	if more > 0 && s.bytes+more > s.most {
		return fmt.Errorf("the memory for sessions is full: they take %d bytes of %d", s.bytes, s.most)
	}
	s.bytes += more
	s.sessions[id] = e
	return nil
}

// sweep forgets a few expired sessions. It looks at more entries than a Create adds, and at random ones, as Go's maps
// are ranged over: what has expired goes sooner or later, without a goroutine that somebody must stop.
func (s *Store) sweep(now time.Time) {
	const looks = 4
	looked := 0
	for id, e := range s.sessions {
		if !e.record.Live(now) && !now.Before(e.forget) {
			s.bytes -= e.bytes()
			delete(s.sessions, id)
		}
		if looked++; looked == looks {
			return
		}
	}
}
