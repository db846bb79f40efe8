// Package memory keeps sessions in the memory of the process. Servers do not share them, and they end with the process. It
// is for tests, and for comparing sticky sessions with shared stores. Start reading at Store, which New creates.
package memory

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"stateless-servers/session"
)

// maxBytes is the limit of DynamoDB, the smallest of all shared stores, so that every session that fits here fits there.
const maxBytes = 400_000

// entryBytes is the memory that an entry takes in addition to its session's Size, rounded up.
const entryBytes = 1 << 10

// Store keeps sessions in a map. Create one with New or NewLimited.
type Store struct {
	mu           sync.Mutex
	sessions     map[session.ID]entry
	bytes, limit int64 // memory that the entries take, and the maximum
}

// An entry is a live session, or the tombstone of one that has ended.
type entry struct {
	record   session.Record // the live session, or the state that the tombstone keeps
	forgetAt time.Time      // expiry of the tombstone; zero for a live session
	kept     kept
}

// A kept is the purpose for which a tombstone keeps the state of its session.
type kept uint8

const (
	keptNothing  kept = iota
	keptForLogin      // the session was renewed
	keptForMove       // the session moves to another store
)

var _ session.UserStore = (*Store)(nil)

func (e entry) bytes() int64 { return int64(entryBytes + e.record.Size()) }

// New returns an empty Store without a limit on its memory.
func New() *Store { return NewLimited(math.MaxInt64) }

// NewLimited returns an empty Store that takes at most about the given number of bytes. When it is full, sessions can neither
// start nor grow until others have expired, and visitors get a 503.
func NewLimited(bytes int64) *Store { return &Store{sessions: map[session.ID]entry{}, limit: bytes} }

// Promises declares every promise except Shared.
func (s *Store) Promises() session.Promises {
	return session.Promises{
		Name: "memory", NoLostUpdate: true, LogoutIsFinal: true, ReadYourWrites: true, AtomicRenewal: true, ListsByUser: true, Mutable: true,
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
	record = update.Extend(record)
	if err := s.put(id, entry{record: record}); err != nil {
		return session.Record{}, err
	}
	return record, nil
}

// Renew moves a session to a new id. See session.Renewal.
func (s *Store) Renew(_ context.Context, r session.Renewal) (session.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if record, err := s.live(r.New, r.Now); !errors.Is(err, session.ErrNotFound) {
		return record, err // the renewal was done before
	}
	old, err := s.live(r.Old, r.Now)
	if e := s.sessions[r.Old]; errors.Is(err, session.ErrEnded) && e.kept == keptForLogin && r.AllowRenewed {
		old, err = e.record, nil
	}
	if err != nil {
		return session.Record{}, err
	}
	record := r.Renewed(old)
	if err := s.put(r.New, entry{record: record}); err != nil {
		return session.Record{}, err
	}
	if e := s.sessions[r.Old]; e.forgetAt.IsZero() {
		e.forgetAt, e.kept = r.Now.Add(session.EndedFor), keptForLogin
		s.sessions[r.Old] = e
	}
	return record, nil
}

// End replaces a session by its tombstone.
func (s *Store) End(_ context.Context, id session.ID, options session.EndOptions) (session.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	record, err := s.live(id, options.Now)
	if e := s.sessions[id]; errors.Is(err, session.ErrEnded) && options.Moving && e.kept == keptForMove &&
		options.Now.Before(e.forgetAt.Add(-session.MaxClockSkew)) {
		return e.record, nil
	}
	if err != nil {
		return session.Record{}, err
	}
	ended := entry{forgetAt: options.Now.Add(session.EndedFor)}
	if options.Moving {
		ended.record, ended.kept = record, keptForMove
	}
	return record, s.put(id, ended)
}

// UserSessions returns a page of a user's live sessions, from the newest to the oldest. Its time grows with the number of
// all sessions in the store.
func (s *Store) UserSessions(_ context.Context, user string, query session.PageQuery) (session.Page, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []session.UserSession
	for id, e := range s.sessions {
		if e.forgetAt.IsZero() && e.record.User == user && user != "" && e.record.Live(query.Now) {
			e.record.Values = nil
			list = append(list, session.UserSession{ID: id, Record: e.record})
		}
	}
	after, err := parseCursor(query.Cursor)
	if err != nil {
		return session.Page{}, err
	}
	slices.SortFunc(list, newestFirst)
	if query.Cursor != "" {
		from, found := slices.BinarySearchFunc(list, after, newestFirst)
		if found {
			from++
		}
		list = list[from:]
	}
	if len(list) <= query.Limit {
		return session.Page{Sessions: list}, nil
	}
	list = list[:query.Limit]
	return session.Page{Sessions: list, Next: cursor(list[len(list)-1])}, nil
}

func newestFirst(a, b session.UserSession) int {
	return cmp.Or(b.Record.Created.Compare(a.Record.Created), bytes.Compare(a.ID[:], b.ID[:]))
}

// cursor returns the cursor of the page that follows s.
func cursor(s session.UserSession) string {
	return strconv.FormatInt(s.Record.Created.UnixNano(), 10) + " " + s.ID.String()
}

// parseCursor returns the session that precedes the page of a cursor. Only its ID and Created are set.
func parseCursor(cursor string) (at session.UserSession, err error) {
	if cursor == "" {
		return at, nil
	}
	created, id, _ := strings.Cut(cursor, " ")
	nanos, err := strconv.ParseInt(created, 10, 64)
	var ok bool
	if at.ID, ok = session.ParseID(id); err != nil || !ok {
		return at, fmt.Errorf("cursor %q of a list: %w", cursor, session.ErrInvalid)
	}
	at.Record.Created = time.Unix(0, nanos)
	return at, nil
}

func (s *Store) live(id session.ID, now time.Time) (session.Record, error) {
	e, ok := s.sessions[id]
	switch {
	case ok && e.forgetAt.IsZero() && e.record.Live(now):
		return e.record, nil
	case ok && now.Before(e.forgetAt):
		return session.Record{}, session.ErrEnded
	default:
		return session.Record{}, session.ErrNotFound
	}
}

// put sets an entry. It returns an error if the entry takes more memory than the one that it replaces and than is left.
func (s *Store) put(id session.ID, e entry) error {
	more := e.bytes()
	if old, ok := s.sessions[id]; ok {
		more -= old.bytes()
	}
	if more > 0 && s.bytes+more > s.limit {
		return fmt.Errorf("the memory for sessions is full: they take %d bytes of %d", s.bytes, s.limit)
	}
	s.bytes += more
	s.sessions[id] = e
	return nil
}

// sweep deletes a few entries that expired at least MaxClockSkew ago. It checks four random entries (Go iterates over maps in
// random order), and Create adds only one, so every expired entry is deleted eventually. This needs no goroutine that
// somebody must stop.
func (s *Store) sweep(now time.Time) {
	const maxLooked = 4
	before := now.Add(-session.MaxClockSkew)
	looked := 0
	for id, e := range s.sessions {
		useful := e.record.Live(before)
		if !e.forgetAt.IsZero() {
			useful = before.Before(e.forgetAt)
		}
		if !useful {
			s.bytes -= e.bytes()
			delete(s.sessions, id)
		}
		if looked++; looked == maxLooked {
			return
		}
	}
}
