package session

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

const (
	// maxRounds bounds how often EndUserSessions lists the sessions anew. A round finds sessions only if they were renewed
	// while the one before went through the list.
	maxRounds = 10
	// parallelEnds is how many sessions EndUserSessions ends at a time.
	parallelEnds = 16
)

// EndUserSessions ends every session of a user, whatever their number, for administrators. When it returns nil, every
// session that had started before the call has ended, also one that got a new id meanwhile. Sessions that start during
// the call may stay, since their users have just logged in. After an error, some sessions may have ended while others live.
// ErrUnsupported means that the store can't list the sessions of a user.
//
// The call goes on when ctx is cancelled, as every change does. It takes one operation of the store for each session and
// two for each page of the list.
func (m *Manager) EndUserSessions(ctx context.Context, user string) error {
	return m.endUserSessions(ctx, user, ID{})
}

// endUserSessions is EndUserSessions without the session of the id spared.
func (m *Manager) endUserSessions(ctx context.Context, user string, spared ID) error {
	// A session of a server whose clock is ahead may seem to start later than it does.
	until := m.options.Now().Add(MaxClockSkew)
	renewed := map[ID]bool{}
	for range maxRounds {
		found, err := m.endRound(ctx, user, renewed, func(s UserSession) bool {
			return s.ID != spared && !s.Record.Created.After(until)
		})
		if err != nil || !found {
			return err
		}
	}
	return fmt.Errorf("end the sessions of a user: %w: they were renewed as fast as they ended", ErrUnavailable)
}

// endRound goes through the list once, ends the chosen sessions, and reports whether there were any, or any that had been
// renewed since the rounds before. It adds the latter to renewed.
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

// endAll ends sessions, several at a time.
func (m *Manager) endAll(ctx context.Context, ids []ID) error {
	next := make(chan ID)
	errs := make([]error, min(parallelEnds, len(ids)))
	var workers sync.WaitGroup
	for i := range errs {
		workers.Go(func() {
			for id := range next {
				if errs[i] == nil { // else the rest is left, and the caller told
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
