package session

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// The calls of the backend: each within its own time, observed, and with an error that handlers know.

func (m *Manager) load(ctx context.Context, ref reference) (found reference, record Record, err error) {
	err = m.observe(ctx, "load", &record, func(ctx context.Context) (err error) {
		found, record, err = m.backend.load(ctx, ref, m.options.Now())
		return err
	})
	return found, record, err
}

func (m *Manager) create(ctx context.Context, record Record) (ref reference, err error) {
	if record.Size() > m.promises.MaxBytes {
		return ref, fmt.Errorf("create: %w: %d bytes, allowed are %d", ErrTooLarge, record.Size(), m.promises.MaxBytes)
	}
	err = m.observe(ctx, "create", &record, func(ctx context.Context) (err error) {
		ref, err = m.backend.create(ctx, record)
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
	name := "update"
	if len(changes) == 0 {
		name = "touch"
	}
	err = m.observe(ctx, name, &record, func(ctx context.Context) (err error) {
		next, record, err = m.backend.update(ctx, ref, update)
		return err
	})
	return next, record, err
}

// checkSize spares the store what can't fit. What isn't known here, the store checks.
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

// end ends a session; one that is gone already is fine.
func (m *Manager) end(ctx context.Context, ref reference) error {
	_, err := m.take(ctx, ref)
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrEnded) {
		return nil
	}
	return err
}

// take ends a session and returns its last state.
func (m *Manager) take(ctx context.Context, ref reference) (record Record, err error) {
	err = m.observe(ctx, "end", &record, func(ctx context.Context) (err error) {
		record, err = m.backend.end(ctx, ref, m.options.Now())
		return err
	})
	return record, err
}

func (m *Manager) userSessions(ctx context.Context, user string) (sessions []UserSession, err error) {
	users, ok := m.backend.(userBackend)
	if !ok || !m.promises.ByUser {
		return nil, fmt.Errorf("list the sessions of a user: %w (%s)", ErrUnsupported, m.promises.Name)
	}
	err = m.observe(ctx, "list", &Record{}, func(ctx context.Context) (err error) {
		sessions, err = users.userSessions(ctx, user, m.options.Now())
		for i := 0; i < len(sessions) && err == nil; i++ {
			err = checkTimes(sessions[i].Record)
		}
		return err
	})
	return sessions, err
}

// observe makes one call of the store. What isn't an answer becomes ErrUnavailable. It is detached from the
// client's cancellation: a change must not be lost with it, and to watch for it costs a read more than it spares.
func (m *Manager) observe(ctx context.Context, name string, record *Record, call func(context.Context) error) error {
	start := time.Now()
	err := call(m.bounds.context(ctx, start))
	if err == nil {
		err = checkTimes(*record)
	}
	if m.options.Observer != nil {
		m.options.Observer.ObserveOperation(Operation{
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
	for _, answer := range []error{ErrNotFound, ErrEnded, ErrTooLarge, ErrCounter, ErrUnsupported} {
		if errors.Is(err, answer) {
			return true
		}
	}
	return false
}
