// Package migrate moves a fleet from one session store to another while it serves: nobody is logged out, and no update
// is lost. Servers are rolled twice:
//
//  1. Every server gets Prepare(old, new). Sessions stay in the old store; one that has moved is found in the new one.
//  2. Then every server gets From(old, new). New sessions start in the new store, and each old one moves when it is next
//     used. Servers of the first step, which may still be running, follow it.
//
// A session's lifetime after the second roll, the old store holds nothing that lives, and every server gets the new
// store alone.
//
// To move a session is to end it in the old store, which keeps its last state for the move (see session.EndOptions), and to
// create it in the new one. From the first moment no server can change it in the old store any more. Whoever finds a
// session that has ended there and has not arrived completes the move: a server that dies half way, or whose answer is
// lost, loses nothing if the visitor comes back within a minute.
//
// While a session moves, for the time of one call of a store, neither store lists it. Logging a user out everywhere may
// miss it then.
package migrate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"stateless-servers/session"
)

// Store is a store in the course of a move. Create one with Prepare or From.
type Store struct {
	old, new session.Store
	moves    bool // From: sessions move; else they stay
}

// A userStore is a Store whose two sides can both tell a user's sessions.
type userStore struct{ *Store }

var (
	_ session.UserStore    = userStore{}
	_ session.ClusterStore = (*Store)(nil)
)

// Prepare returns the store of a move's first step.
func Prepare(old, new session.Store) session.Store { return withUsers(&Store{old: old, new: new}) }

// From returns the store of a move's second step.
func From(old, new session.Store) session.Store {
	return withUsers(&Store{old: old, new: new, moves: true})
}

func withUsers(s *Store) session.Store {
	if s.Promises().ListsByUser {
		return userStore{s}
	}
	return s
}

// Promises declares what both stores keep.
func (s *Store) Promises() session.Promises {
	a, b := s.old.Promises(), s.new.Promises()
	name := a.Name
	if s.moves {
		name = b.Name
	}
	return session.Promises{
		Name: name, Shared: a.Shared && b.Shared, NoLostUpdate: a.NoLostUpdate && b.NoLostUpdate,
		LogoutIsFinal: a.LogoutIsFinal && b.LogoutIsFinal, ReadYourWrites: a.ReadYourWrites && b.ReadYourWrites,
		AtomicRenewal: a.AtomicRenewal && b.AtomicRenewal, OneRegion: a.OneRegion || b.OneRegion, ListsByUser: a.ListsByUser && b.ListsByUser, Mutable: true, MaxBytes: min(a.MaxBytes, b.MaxBytes),
	}
}

// Ping asks both stores.
func (s *Store) Ping(ctx context.Context) error {
	return errors.Join(s.old.Ping(ctx), s.new.Ping(ctx))
}

// Create stores a new session where this step's new sessions go.
func (s *Store) Create(ctx context.Context, id session.ID, record session.Record) error {
	if s.moves {
		return s.new.Create(ctx, id, record)
	}
	return s.old.Create(ctx, id, record)
}

// Load returns a live session, wherever it is.
func (s *Store) Load(ctx context.Context, id session.ID, now time.Time) (session.Record, error) {
	return s.call(ctx, id, now, func(store session.Store) (session.Record, error) { return store.Load(ctx, id, now) })
}

// Update changes a live session, wherever it is.
func (s *Store) Update(ctx context.Context, id session.ID, u session.Update) (session.Record, error) {
	return s.call(ctx, id, u.Now, func(store session.Store) (session.Record, error) { return store.Update(ctx, id, u) })
}

// End ends a live session, wherever it is.
func (s *Store) End(ctx context.Context, id session.ID, options session.EndOptions) (session.Record, error) {
	ask := func(store session.Store) (session.Record, error) { return store.End(ctx, id, options) }
	if options.Moving { // to a third store: from the new one, lest a tombstone in the old one be taken for a move to that
		return s.callMoved(ctx, id, options.Now, ask)
	}
	return s.call(ctx, id, options.Now, ask)
}

// Renew renews a live session in the store that it is in, after it has moved.
func (s *Store) Renew(ctx context.Context, r session.Renewal) (session.Record, error) {
	record, err := s.call(ctx, r.Old, r.Now, func(store session.Store) (session.Record, error) { return store.Renew(ctx, r) })
	if !s.moves || !errors.Is(err, session.ErrEnded) {
		return record, err
	}
	// A server of the first step may have renewed it in the old store a moment ago.
	record, oldErr := s.old.Renew(ctx, r)
	if gone(oldErr) {
		return session.Record{}, err
	}
	return record, oldErr
}

// Place permits the ids that both stores permit. Two clusters need the same prefix of keys: few ids fit both otherwise.
func (s *Store) SameSlot(ctx context.Context, old session.ID) (func(session.ID) bool, error) {
	var fits []func(session.ID) bool
	for _, store := range []session.Store{s.old, s.new} {
		cluster, ok := store.(session.ClusterStore)
		if !ok {
			continue
		}
		fit, err := cluster.SameSlot(ctx, old)
		if err != nil {
			return nil, err
		}
		if fit != nil {
			fits = append(fits, fit)
		}
	}
	switch len(fits) {
	case 0:
		return nil, nil
	case 1:
		return fits[0], nil
	default:
		return func(id session.ID) bool { return fits[0](id) && fits[1](id) }, nil
	}
}

func gone(err error) bool {
	return errors.Is(err, session.ErrNotFound) || errors.Is(err, session.ErrEnded)
}

// call asks the store that has the session.
func (s *Store) call(ctx context.Context, id session.ID, now time.Time, ask func(session.Store) (session.Record, error)) (session.Record, error) {
	if s.moves {
		return s.callMoved(ctx, id, now, ask)
	}
	record, err := ask(s.old)
	switch {
	case errors.Is(err, session.ErrEnded):
		return s.callMoved(ctx, id, now, ask) // it has moved, or is half way
	case errors.Is(err, session.ErrNotFound):
		return ask(s.new)
	default:
		return record, err
	}
}

// callMoved asks the new store, after the session has moved there.
func (s *Store) callMoved(ctx context.Context, id session.ID, now time.Time, ask func(session.Store) (session.Record, error)) (session.Record, error) {
	record, err := ask(s.new)
	if !errors.Is(err, session.ErrNotFound) {
		return record, err
	}
	return s.move(ctx, id, now, ask)
}

// move brings a session from the old store to the new one, and asks that. It can be repeated, and begun by any server.
func (s *Store) move(ctx context.Context, id session.ID, now time.Time, ask func(session.Store) (session.Record, error)) (session.Record, error) {
	record, err := s.old.End(ctx, id, session.EndOptions{Now: now, Moving: true})
	switch {
	case err != nil:
		return session.Record{}, err
	case !record.Live(now): // it has moved, and expired since
		return session.Record{}, session.ErrNotFound
	}
	createErr := s.new.Create(ctx, id, record)
	// The session is there if another server created it, or if this server did and the answer was lost.
	record, err = ask(s.new)
	if createErr != nil && errors.Is(err, session.ErrNotFound) {
		return session.Record{}, fmt.Errorf("move a session to %s: %w", s.new.Promises().Name, createErr)
	}
	return record, err
}

// UserSessions lists a user's sessions in the old store, then those in the new one: a session that moves meanwhile is not
// missed.
func (s userStore) UserSessions(ctx context.Context, user string, query session.PageQuery) (session.Page, error) {
	const inOld, inNew = "old ", "new "
	side, cursor := inOld, ""
	if query.Cursor != "" {
		var ok bool
		if cursor, ok = strings.CutPrefix(query.Cursor, inNew); ok {
			side = inNew
		} else if cursor, ok = strings.CutPrefix(query.Cursor, inOld); !ok {
			return session.Page{}, fmt.Errorf("cursor %q of a list: %w", query.Cursor, session.ErrInvalid)
		}
	}
	store := s.old
	if side == inNew {
		store = s.new
	}
	query.Cursor = cursor
	page, err := store.(session.UserStore).UserSessions(ctx, user, query)
	if err != nil {
		return session.Page{}, err
	}
	switch {
	case page.Next != "":
		page.Next = side + page.Next
	case side == inOld:
		page.Next = inNew
	}
	return page, nil
}
