package session

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

const (
	// maxRounds bounds how often EndUserSessions reads the list. A round after the first finds only sessions that were
	// renewed while the previous round read the list.
	maxRounds = 10
	// parallelEnds is the number of sessions that EndUserSessions ends concurrently.
	parallelEnds = 16
)

// EndUserSessions ends every session of a user, however many there are. It is for administrators. When it returns nil, every
// session that started before the call has ended, including sessions that got a new id meanwhile. Sessions that start during
// the call may stay live, because their users have just logged in. After an error, some sessions may have ended and others
// not. EndUserSessions returns ErrUnsupported if the store can't list the sessions of a user. With a RevocableCodec, other
// servers accept the sessions until Promises.LogoutFinalWithin has passed.
//
// Like every change, the call continues if ctx is cancelled. It makes one store operation per session and two per page of
// the list, or a single one with a RevocableCodec.
func (m *Manager) EndUserSessions(ctx context.Context, user string) error {
	return m.endUserSessions(ctx, user, ID{})
}

// endUserSessions ends every session of a user, except the one with the id except. With a RevocableCodec it ends that one too.
func (m *Manager) endUserSessions(ctx context.Context, user string, except ID) error {
	if b, ok := m.backend.(clientSide); ok && b.revocable != nil {
		return m.observe(ctx, OperationEnd, &Record{}, func(ctx context.Context) error {
			now := m.options.Now()
			return b.revocable.EndUser(ctx, user, now, now.Add(max(m.options.Lifetime, m.options.RememberLifetime)+MaxClockSkew))
		})
	}
	// A server whose clock is ahead records a start that is too late.
	until := m.options.Now().Add(MaxClockSkew)
	renewed := map[ID]bool{}
	for range maxRounds {
		found, err := m.endRound(ctx, user, renewed, func(s UserSession) bool {
			return s.ID != except && !s.Record.Created.After(until)
		})
		if err != nil || !found {
			return err
		}
	}
	return fmt.Errorf("end the sessions of a user: %w: they were renewed as fast as they ended", ErrUnavailable)
}

// endRound reads the list once and ends the chosen sessions. It reports whether it found any, or any id that was renewed and
// is not yet in renewed. It adds those ids to renewed.
func (m *Manager) endRound(ctx context.Context, user string, renewed map[ID]bool, chosen func(UserSession) bool) (found bool, err error) {
	for cursor := ""; ; {
		page, err := m.userSessions(ctx, user, cursor, MaxPage)
		if err != nil {
			return found, err
		}
		var ids []ID
		for _, s := range page.Sessions {
			if chosen(s) {
				ids = append(ids, s.ID)
			}
		}
		found = found || len(ids) > 0
		for _, id := range page.Renewed {
			found = found || !renewed[id]
			renewed[id] = true
		}
		if err := m.endAll(ctx, ids); err != nil {
			return found, err
		}
		if page.Next == "" {
			return found, nil
		}
		cursor = page.Next
	}
}

// endAll ends sessions, up to parallelEnds concurrently.
func (m *Manager) endAll(ctx context.Context, ids []ID) error {
	next := make(chan ID)
	errs := make([]error, min(parallelEnds, len(ids)))
	var workers sync.WaitGroup
	for i := range errs {
		workers.Go(func() {
			for id := range next {
				if errs[i] == nil { // after an error, the remaining ids are skipped
					errs[i] = m.end(ctx, reference{id: id})
				}
			}
		})
	}
	for _, id := range ids {
		next <- id
	}
	close(next)
	workers.Wait()
	return errors.Join(errs...)
}
