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
// To move a session is to end it in the old store, which returns its last state, and to create it in the new one. From
// the first moment no server can change it in the old store any more, and those who find it ended there wait for it in
// the new one. A server that dies between the two steps takes that one session with it.
package migrate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"stateless-servers/app/session"
)

const (
	// moveTimeout bounds how long a server tries to create a session that it has ended in the old store.
	moveTimeout = 10 * time.Second
	// settleTimeout bounds how long others wait for it. A session that was logged out looks the same until then.
	settleTimeout = 200 * time.Millisecond
	// settleInterval is the time between two looks.
	settleInterval = 5 * time.Millisecond
)

// Store is a store in the course of a move. Create one with Prepare or From.
type Store struct {
	old, new session.Store
	moves    bool // From: sessions move; else they stay
}

// A userStore is a Store whose two sides can both tell a user's sessions.
type userStore struct{ *Store }

var _ session.UserStore = userStore{}

// Prepare returns the store of a move's first step.
func Prepare(old, new session.Store) session.Store { return withUsers(&Store{old: old, new: new}) }

// From returns the store of a move's second step.
func From(old, new session.Store) session.Store {
	return withUsers(&Store{old: old, new: new, moves: true})
}

func withUsers(s *Store) session.Store {
	if s.Promises().ByUser {
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
		OneRegion: a.OneRegion || b.OneRegion, ByUser: a.ByUser && b.ByUser, Changes: true, MaxBytes: min(a.MaxBytes, b.MaxBytes),
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
func (s *Store) End(ctx context.Context, id session.ID, now time.Time) (session.Record, error) {
	return s.call(ctx, id, now, func(store session.Store) (session.Record, error) { return store.End(ctx, id, now) })
}

// call asks the store that has the session.
func (s *Store) call(ctx context.Context, id session.ID, now time.Time, ask func(session.Store) (session.Record, error)) (session.Record, error) {
	if !s.moves {
		record, err := ask(s.old)
		if gone(err) {
			return s.follow(ctx, err, err, ask)
		}
		return record, err
	}
	record, err := ask(s.new)
	if !errors.Is(err, session.ErrNotFound) {
		return record, err
	}
	if err := s.move(ctx, id, now); err != nil {
		if !gone(err) {
			return session.Record{}, err
		}
		// When it has ended there and never comes here, it came before and has expired since.
		return s.follow(ctx, err, session.ErrNotFound, ask)
	}
	return ask(s.new)
}

func gone(err error) bool {
	return errors.Is(err, session.ErrNotFound) || errors.Is(err, session.ErrEnded)
}

// follow asks the new store about a session that is gone from the old one, as old tells. One that has ended there may
// be on its way; otherwise is the answer when it never comes.
func (s *Store) follow(ctx context.Context, old, otherwise error, ask func(session.Store) (session.Record, error)) (session.Record, error) {
	for deadline := time.Now().Add(settleTimeout); ; {
		record, err := ask(s.new)
		if !errors.Is(err, session.ErrNotFound) {
			return record, err
		}
		if !errors.Is(old, session.ErrEnded) || time.Now().After(deadline) {
			return session.Record{}, otherwise
		}
		select {
		case <-time.After(settleInterval):
		case <-ctx.Done():
			return session.Record{}, ctx.Err()
		}
	}
}

// move brings a session from the old store to the new one. Once it's ended in the old store the rest happens whether or
// not the request that began it goes on.
func (s *Store) move(ctx context.Context, id session.ID, now time.Time) error {
	record, err := s.old.End(ctx, id, now)
	if err != nil {
		return err
	}
	moved := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), moveTimeout)
		defer cancel()
		moved <- s.create(ctx, id, record)
	}()
	select {
	case err := <-moved:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// create tries until the session is in the new store or ctx ends.
func (s *Store) create(ctx context.Context, id session.ID, record session.Record) error {
	for pause := settleInterval; ; pause *= 2 {
		err := s.new.Create(ctx, id, record)
		if err == nil {
			return nil
		}
		// A create whose answer was lost may have been done.
		if _, loadErr := s.new.Load(ctx, id, record.Created); loadErr == nil {
			return nil
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return fmt.Errorf("move a session to %s: %w", s.new.Promises().Name, err)
		}
	}
}

// UserSessions lists a user's sessions in both stores, the newest first.
func (s userStore) UserSessions(ctx context.Context, user string, now time.Time) ([]session.UserSession, error) {
	var list []session.UserSession
	seen := map[session.ID]bool{}
	for _, store := range []session.Store{s.old, s.new} {
		sessions, err := store.(session.UserStore).UserSessions(ctx, user, now)
		if err != nil {
			return nil, err
		}
		for _, found := range sessions {
			if !seen[found.ID] {
				seen[found.ID] = true
				list = append(list, found)
			}
		}
	}
	slices.SortStableFunc(list, func(a, b session.UserSession) int { return b.Record.Created.Compare(a.Record.Created) })
	return list[:min(len(list), session.MaxUserSessions)], nil
}
