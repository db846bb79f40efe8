package session

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// This file has the Manager's calls of its backend. Each call has a time limit, is reported to the Observer, and returns
// errors of this package.

func (m *Manager) load(ctx context.Context, ref reference) (found reference, record Record, err error) {
	err = m.observe(ctx, OperationLoad, &record, func(ctx context.Context) (err error) {
		found, record, err = m.backend.load(ctx, ref, m.options.Now())
		return err
	})
	return found, record, err
}

// create stores a new session.
func (m *Manager) create(ctx context.Context, record Record) (ref reference, err error) {
	if record.Size() > m.promises.MaxBytes {
		return ref, fmt.Errorf("create: %w: %d bytes, allowed are %d", ErrTooLarge, record.Size(), m.promises.MaxBytes)
	}
	err = m.observe(ctx, OperationCreate, &record, func(ctx context.Context) (err error) {
		if ref, err = m.backend.newReference(ctx, reference{}); err == nil {
			ref, err = m.backend.create(ctx, ref, record)
		}
		return err
	})
	return ref, err
}

// update sends changes. known is the session as the caller has read it, or nil.
func (m *Manager) update(ctx context.Context, ref reference, changes []Change, known *Record) (next reference, record Record, err error) {
	update := m.newUpdate(m.options.Now(), changes)
	if err := m.checkSize(update, known); err != nil {
		return ref, Record{}, err
	}
	name := OperationUpdate
	if len(changes) == 0 {
		name = OperationTouch
	}
	err = m.observe(ctx, name, &record, func(ctx context.Context) (err error) {
		next, record, err = m.backend.update(ctx, ref, update)
		return err
	})
	return next, record, err
}

// checkSize returns ErrTooLarge for an update that is certain to exceed MaxBytes, so that the store is not called. The store
// makes the exact check.
func (m *Manager) checkSize(u Update, known *Record) error {
	size := u.Size()
	if known != nil && known.Size()+size > m.promises.MaxBytes {
		values, err := Apply(known.Values, u.Changes)
		if err != nil {
			return err
		}
		size = Record{Values: values, User: known.User, UserAgent: known.UserAgent}.Size()
	}
	if size > m.promises.MaxBytes {
		return fmt.Errorf("update: %w: %d bytes, allowed are %d", ErrTooLarge, size, m.promises.MaxBytes)
	}
	return nil
}

// renew gives a session a new id, and returns the changes that have not been applied to it.
func (m *Manager) renew(ctx context.Context, ref reference, renewal Renewal, changes []Change) (
	next reference, record Record, rest []Change, err error,
) {
	err = m.observe(ctx, OperationRenew, &record, func(ctx context.Context) error {
		fresh, err := m.backend.newReference(ctx, ref)
		if err == nil {
			next, record, rest, err = m.backend.renew(ctx, ref, fresh, renewal, changes)
		}
		return err
	})
	return next, record, rest, err
}

// end ends a session. It returns nil if there is no live session.
func (m *Manager) end(ctx context.Context, ref reference) error {
	err := m.observe(ctx, OperationEnd, &Record{}, func(ctx context.Context) error {
		return m.backend.end(ctx, ref, m.options.Now())
	})
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrEnded) {
		return nil
	}
	return err
}

// userSessions returns a page of a user's sessions. The time limit applies to each page, not to the whole list.
func (m *Manager) userSessions(ctx context.Context, user, cursor string, limit int) (page Page, err error) {
	users, ok := m.backend.(userBackend)
	if !ok || !m.promises.ListsByUser {
		return page, fmt.Errorf("list the sessions of a user: %w (%s)", ErrUnsupported, m.promises.Name)
	}
	err = m.observe(ctx, OperationList, &Record{}, func(ctx context.Context) (err error) {
		page, err = users.userSessions(ctx, user, PageQuery{Now: m.options.Now(), Cursor: cursor, Limit: min(max(limit, 1), MaxPage)})
		for i := 0; i < len(page.Sessions) && err == nil; i++ {
			err = checkTimes(page.Sessions[i].Record)
		}
		return err
	})
	return page, err
}

// observe makes one call of the store and reports it to the Observer. An error that is not a reply of the store becomes
// ErrUnavailable. The call is not cancelled with the request: a change must not be lost, and a read is too short for
// cancellation to save anything.
func (m *Manager) observe(ctx context.Context, name OperationName, record *Record, call func(context.Context) error) error {
	start := time.Now()
	err := call(m.deadlines.context(ctx, start))
	if err == nil {
		err = checkTimes(*record)
	}
	if m.options.Observer != nil {
		m.options.Observer.ObserveOperation(ctx, Operation{
			Store: m.promises.Name, Name: name, Outcome: outcome(err), Duration: time.Since(start), Bytes: record.Size(),
		})
	}
	switch {
	case err == nil:
		return nil
	case isReply(err):
		return fmt.Errorf("%s session: %w", name, err)
	default:
		return fmt.Errorf("%s session: %w: %w", name, ErrUnavailable, err)
	}
}

// checkTimes returns an error for a record with a time outside the years 1 to 9999, which JSON can't represent (RFC 3339).
// Only a faulty store returns one.
func checkTimes(r Record) error {
	const first, last = -62135596800, 253402300799 // seconds of the Unix epoch
	for _, t := range []time.Time{r.Created, r.Expires, r.IdleExpires} {
		if seconds := t.Unix(); seconds < first || seconds > last {
			return errors.New("the store replied with a time outside the years 1 to 9999")
		}
	}
	return nil
}

// isReply reports whether err is a reply of the store rather than a failure.
func isReply(err error) bool {
	for _, reply := range []error{ErrNotFound, ErrEnded, ErrTooLarge, ErrCounter, ErrChanged, ErrInvalid, ErrUnsupported} {
		if errors.Is(err, reply) {
			return true
		}
	}
	return false
}
