// Package migrate moves running servers from one session store to another. No visitor is logged out, and no update is lost.
// It takes three rolling deployments:
//
//  1. Every server uses Prepare(old, new). Sessions stay in the old store. A session that has already moved is found in the
//     new store.
//  2. Every server uses Move(old, new). New sessions start in the new store, and each old session moves when it is next
//     used. Servers of the first step may still be running.
//  3. After session.Options.Lifetime, or RememberLifetime if logins are remembered, the old store has no live session, and
//     every server uses the new store alone.
//
// A move ends the session in the old store, which keeps its last state (see session.EndOptions), and creates it in the new
// store. From its first step on, no server can change the session in the old store. A server that finds a session ended in
// the old store and missing in the new one completes the move. So if a server dies during a move, or a reply is lost, the
// session survives if the visitor returns within a minute.
//
// During a move, for the time of one store call, neither store lists the session. A logout everywhere at that moment may miss
// it.
package migrate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"stateless-servers/session"
)

// A Store combines the old and the new session store of a migration. Create one with Prepare or Move.
type Store struct {
	old, new session.Store
	moving   bool // created by Move, not by Prepare
}

// A userStore is a Store whose old and new store can both list the sessions of a user.
type userStore struct{ *Store }

var (
	_ session.UserStore    = userStore{}
	_ session.ClusterStore = (*Store)(nil)
)

// Prepare returns the Store of the first step, which keeps sessions in the old store. It is a session.UserStore if both old
// and new are.
func Prepare(old, new session.Store) session.Store { return withUsers(&Store{old: old, new: new}) }

// Move returns the Store of the second step, which moves sessions to the new store. It is a session.UserStore if both old and
// new are.
func Move(old, new session.Store) session.Store {
	return withUsers(&Store{old: old, new: new, moving: true})
}

func withUsers(s *Store) session.Store {
	if s.Promises().ListsByUser {
		return userStore{s}
	}
	return s
}

// Promises declares the promises that both stores keep.
func (s *Store) Promises() session.Promises {
	a, b := s.old.Promises(), s.new.Promises()
	name := a.Name
	if s.moving {
		name = b.Name
	}
	return session.Promises{
		Name: name, Shared: a.Shared && b.Shared, NoLostUpdate: a.NoLostUpdate && b.NoLostUpdate,
		LogoutIsFinal: a.LogoutIsFinal && b.LogoutIsFinal, ReadYourWrites: a.ReadYourWrites && b.ReadYourWrites,
		AtomicRenewal: a.AtomicRenewal && b.AtomicRenewal, OneRegion: a.OneRegion || b.OneRegion, ListsByUser: a.ListsByUser && b.ListsByUser, Mutable: true, MaxBytes: min(a.MaxBytes, b.MaxBytes),
	}
}

// Ping returns nil if both stores reply.
func (s *Store) Ping(ctx context.Context) error {
	return errors.Join(s.old.Ping(ctx), s.new.Ping(ctx))
}

// Create stores a new session, in the new store after Move and in the old store after Prepare.
func (s *Store) Create(ctx context.Context, id session.ID, record session.Record) error {
	if s.moving {
		return s.new.Create(ctx, id, record)
	}
	return s.old.Create(ctx, id, record)
}

// Load returns a live session from either store.
func (s *Store) Load(ctx context.Context, id session.ID, now time.Time) (session.Record, error) {
	return s.call(ctx, id, now, func(store session.Store) (session.Record, error) { return store.Load(ctx, id, now) })
}

// Update changes a live session in either store.
func (s *Store) Update(ctx context.Context, id session.ID, u session.Update) (session.Record, error) {
	return s.call(ctx, id, u.Now, func(store session.Store) (session.Record, error) { return store.Update(ctx, id, u) })
}

// End ends a live session in either store.
func (s *Store) End(ctx context.Context, id session.ID, options session.EndOptions) (session.Record, error) {
	f := func(store session.Store) (session.Record, error) { return store.End(ctx, id, options) }
	if options.Moving {
		// The session moves on to a third store. Move it to the new store first: a tombstone in the old store would look like
		// a move from the old to the new store.
		return s.callMoved(ctx, id, options.Now, f)
	}
	return s.call(ctx, id, options.Now, f)
}

// Renew renews a live session in either store. After Move, it moves the session first.
func (s *Store) Renew(ctx context.Context, r session.Renewal) (session.Record, error) {
	record, err := s.call(ctx, r.Old, r.Now, func(store session.Store) (session.Record, error) { return store.Renew(ctx, r) })
	if !s.moving || !errors.Is(err, session.ErrEnded) {
		return record, err
	}
	// A server of the first step may have renewed the session in the old store.
	record, oldErr := s.old.Renew(ctx, r)
	if isGone(oldErr) {
		return session.Record{}, err
	}
	return record, oldErr
}

// SameSlot accepts the ids that both stores accept. If both stores are clusters, they need the same key prefix: otherwise too
// few ids are in the right slots of both.
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

func isGone(err error) bool {
	return errors.Is(err, session.ErrNotFound) || errors.Is(err, session.ErrEnded)
}

// call calls f with the store that has the session.
func (s *Store) call(ctx context.Context, id session.ID, now time.Time, f func(session.Store) (session.Record, error)) (session.Record, error) {
	if s.moving {
		return s.callMoved(ctx, id, now, f)
	}
	record, err := f(s.old)
	switch {
	case errors.Is(err, session.ErrEnded):
		return s.callMoved(ctx, id, now, f) // the move has begun, and may be done
	case errors.Is(err, session.ErrNotFound):
		return f(s.new)
	default:
		return record, err
	}
}

// callMoved calls f with the new store, after it has moved the session there if necessary.
func (s *Store) callMoved(ctx context.Context, id session.ID, now time.Time, f func(session.Store) (session.Record, error)) (session.Record, error) {
	record, err := f(s.new)
	if !errors.Is(err, session.ErrNotFound) {
		return record, err
	}
	return s.move(ctx, id, now, f)
}

// move moves a session from the old store to the new one, then calls f with the new store. It is idempotent, and any server
// can complete a move that another server has begun.
func (s *Store) move(ctx context.Context, id session.ID, now time.Time, f func(session.Store) (session.Record, error)) (session.Record, error) {
	record, err := s.old.End(ctx, id, session.EndOptions{Now: now, Moving: true})
	switch {
	case err != nil:
		return session.Record{}, err
	case !record.Live(now): // it has expired since the move began
		return session.Record{}, session.ErrNotFound
	}
	createErr := s.new.Create(ctx, id, record)
	// Even if Create failed, the session is there if another server created it, or if only the reply was lost.
	record, err = f(s.new)
	if createErr != nil && errors.Is(err, session.ErrNotFound) {
		return session.Record{}, fmt.Errorf("move a session to %s: %w", s.new.Promises().Name, createErr)
	}
	return record, err
}

// UserSessions lists the user's sessions in the old store and then in the new store. In this order it can't miss a session
// that moves between two pages.
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
