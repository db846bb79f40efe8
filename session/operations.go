package session

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// The Manager's calls of its backend. Each has its own time limit, is observed, and returns an error of this package.

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
		if ref, err = m.backend.fresh(ctx, reference{}); err == nil {
			ref, err = m.backend.create(ctx, ref, record)
		}
		return err
	})
	return ref, err
}

// update sends changes; known is the state they meet, if the caller has read it.
func (m *Manager) update(ctx context.Context, ref reference, changes []Change, known *Record) (next reference, record Record, err error) {
	now := m.options.Now()
	update := Update{Now: now, IdleExpires: m.idleExpires(now), Changes: changes}
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

// checkSize spares the store a session that can't fit. The store checks what isn't known here.
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

// renew gives a session a new id, and returns those of the changes that are not in it yet.
func (m *Manager) renew(ctx context.Context, ref reference, renewal Renewal, changes []Change) (
	next reference, record Record, rest []Change, err error,
) {
	err = m.observe(ctx, OperationRenew, &record, func(ctx context.Context) error {
		fresh, err := m.backend.fresh(ctx, ref)
		if err == nil {
			next, record, rest, err = m.backend.renew(ctx, ref, fresh, renewal, changes)
		}
		return err
	})
	return next, record, rest, err
}

// end ends a session. It reports no error for one that is gone already.
func (m *Manager) end(ctx context.Context, ref reference) error {
	err := m.observe(ctx, OperationEnd, &Record{}, func(ctx context.Context) error {
		return m.backend.end(ctx, ref, m.options.Now())
	})
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrEnded) {
		return nil
	}
	return err
}

// userSessions returns a page of a user's sessions. The time limit bounds a page, not the list.
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

// observe makes one call of the store. An error that is no answer becomes ErrUnavailable. The call is detached from the
// client's cancellation: a change must not be lost with it, and watching for it costs a read more than it spares.
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
	case isAnswer(err):
		return fmt.Errorf("%s session: %w", name, err)
	default:
		return fmt.Errorf("%s session: %w: %w", name, ErrUnavailable, err)
	}
}

// checkTimes returns an error for a record with a time outside of the years 1 to 9999: the application could not write it
// as JSON (RFC 3339), and no session has one.
func checkTimes(r Record) error {
	const first, last = -62135596800, 253402300799 // seconds of the Unix epoch
	for _, t := range []time.Time{r.Created, r.Expires, r.IdleExpires} {
		if seconds := t.Unix(); seconds < first || seconds > last {
			return errors.New("the store answers with a time outside of the years 1 to 9999")
		}
	}
	return nil
}

func isAnswer(err error) bool {
	for _, answer := range []error{ErrNotFound, ErrEnded, ErrTooLarge, ErrCounter, ErrInvalid, ErrUnsupported} {
		if errors.Is(err, answer) {
			return true
		}
	}
	return false
}
