// Package files keeps sessions in a folder that all servers mount, one file a session. It shows what it takes to add a
// store to the server (CONTRIBUTING.md): one step at a time for all sessions together is too slow for a real fleet.
package files

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"stateless-servers/session"
)

const (
	maxBytes = 400_000              // as much as every other store takes
	pause    = 2 * time.Millisecond // between two attempts at the lock
)

// Store keeps sessions in a folder. Create one with Open.
type Store struct {
	folder string
	lock   string
}

var _ session.Store = (*Store)(nil)

// An entry is the content of a file: a session, or the note that one has ended, with what is kept of it.
type entry struct {
	Record session.Record
	Forget time.Time // when not zero: the session has ended, and that is remembered until then
	Kept   string    // for whom the record of a session that has ended is kept; empty for nobody
}

const (
	keptForLogin = "renewed"
	keptForMove  = "moving"
)

// Open returns the store in the folder of a URL such as file:///mnt/sessions. The folder must exist.
func Open(url string) (*Store, error) {
	folder, ok := strings.CutPrefix(url, "file://")
	if !ok || !filepath.IsAbs(folder) {
		return nil, errors.New("allowed is file:// and the absolute path of a folder")
	}
	if info, err := os.Stat(folder); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("%s is no folder", folder)
	}
	return &Store{folder, filepath.Join(folder, "lock")}, nil
}

// Promises declares that servers share the sessions and keep everything but lists of a user's. A renewal writes two files:
// a server that dies in between leaves both sessions.
func (s *Store) Promises() session.Promises {
	return session.Promises{
		Name: "files", Shared: true, NoLostUpdate: true, LogoutIsFinal: true, ReadYourWrites: true, Mutable: true,
		MaxBytes: maxBytes,
	}
}

// Ping returns nil when the folder can be written to.
func (s *Store) Ping(ctx context.Context) error {
	return s.step(ctx, func() error { return nil })
}

// Create stores a new session.
func (s *Store) Create(ctx context.Context, id session.ID, record session.Record) error {
	return s.step(ctx, func() error {
		if _, err := os.Stat(s.path(id)); err == nil {
			return fmt.Errorf("session %s exists", id)
		}
		return s.write(id, entry{Record: record})
	})
}

// Load returns a live session.
func (s *Store) Load(ctx context.Context, id session.ID, now time.Time) (record session.Record, err error) {
	return record, s.step(ctx, func() (err error) {
		record, err = s.live(id, now)
		return err
	})
}

// Update applies the changes to a live session.
func (s *Store) Update(ctx context.Context, id session.ID, update session.Update) (record session.Record, err error) {
	err = s.step(ctx, func() (err error) {
		if record, err = s.live(id, update.Now); err != nil {
			return err
		}
		if record.Values, err = session.Apply(record.Values, update.Changes); err != nil {
			return err
		}
		if record.Size() > maxBytes {
			return session.ErrTooLarge
		}
		record.IdleExpires = update.IdleExpires
		return s.write(id, entry{Record: record})
	})
	return record, err
}

// Renew moves a session to a new id. It writes the new session before it ends the old one.
func (s *Store) Renew(ctx context.Context, r session.Renewal) (record session.Record, err error) {
	err = s.step(ctx, func() error {
		old, err := s.read(r.Old, r.Now)
		again := r.AllowRenewed && errors.Is(err, session.ErrEnded) && old.Kept == keptForLogin
		if err != nil {
			if done, doneErr := s.live(r.New, r.Now); !errors.Is(doneErr, session.ErrNotFound) {
				record = done
				return doneErr
			}
		}
		if err != nil && !again {
			return err
		}
		record = r.Renewed(old.Record)
		if err := s.write(r.New, entry{Record: record}); err != nil || again {
			return err
		}
		return s.write(r.Old, entry{old.Record, r.Now.Add(session.EndedFor), keptForLogin})
	})
	return record, err
}

// End ends a session and remembers that it did.
func (s *Store) End(ctx context.Context, id session.ID, options session.EndOptions) (record session.Record, err error) {
	err = s.step(ctx, func() error {
		e, err := s.read(id, options.Now)
		if errors.Is(err, session.ErrEnded) && options.Moving && e.Kept == keptForMove &&
			options.Now.Before(e.Forget.Add(-session.MaxClockSkew)) {
			record = e.Record
			return nil
		}
		if err != nil {
			return err
		}
		record = e.Record
		ended := entry{Forget: options.Now.Add(session.EndedFor)}
		if options.Moving {
			ended.Record, ended.Kept = record, keptForMove
		}
		return s.write(id, ended)
	})
	return record, err
}

// step has the folder's lock while it runs do, which makes it one atomic step for every server.
func (s *Store) step(ctx context.Context, do func() error) error {
	lock, err := os.OpenFile(s.lock, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close() // gives it back
	for {
		err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return do()
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return fmt.Errorf("lock %s: %w", s.lock, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

func (s *Store) path(id session.ID) string { return filepath.Join(s.folder, id.String()) }

func (s *Store) live(id session.ID, now time.Time) (session.Record, error) {
	e, err := s.read(id, now)
	if err != nil {
		return session.Record{}, err
	}
	return e.Record, nil
}

// read returns the entry of a live session. With ErrEnded it returns that of one that has ended.
func (s *Store) read(id session.ID, now time.Time) (e entry, err error) {
	text, err := os.ReadFile(s.path(id))
	if errors.Is(err, fs.ErrNotExist) {
		return entry{}, session.ErrNotFound
	}
	if err == nil {
		err = json.Unmarshal(text, &e)
	}
	switch {
	case err != nil:
		return entry{}, fmt.Errorf("read session %s: %w", id, err)
	case now.Before(e.Forget):
		return e, session.ErrEnded
	case e.Forget.IsZero() && e.Record.Live(now):
		return e, nil
	default:
		return entry{}, session.ErrNotFound
	}
}

// write replaces a file as a whole, so that a server that dies meanwhile leaves the old state.
func (s *Store) write(id session.ID, e entry) error {
	text, err := json.Marshal(e)
	if err != nil {
		return err
	}
	next := s.path(id) + ".next"
	if err := os.WriteFile(next, text, 0o600); err != nil {
		return err
	}
	return os.Rename(next, s.path(id))
}
