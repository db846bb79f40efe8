// Package files is an example of a session store (see CONTRIBUTING.md). It keeps sessions in a folder that all servers mount, one
// file per session. It is too slow for a real fleet, because a single lock serializes the operations on all sessions. Start reading
// at Store and step.
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
	maxBytes     = 400_000              // the same limit as the other stores
	lockInterval = 2 * time.Millisecond // between two attempts to take the lock
)

// Store keeps sessions in a folder. Create one with Open.
type Store struct {
	folder string
	lock   string
}

var _ session.Store = (*Store)(nil)

// An entry is the content of a file: a session, or a marker that the session has ended.
type entry struct {
	Record session.Record
	Forget time.Time // if not zero, the session has ended, and the marker is valid until this time
	Kept   string    // why the marker still has the record of the session, or "" if it has none
}

// The values of Kept.
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
		return nil, fmt.Errorf("%s is not a folder", folder)
	}
	return &Store{folder, filepath.Join(folder, "lock")}, nil
}

// Promises returns all promises except ListsByUser and AtomicRenewal. A renewal writes two files, and a server that dies in between
// leaves both sessions.
func (s *Store) Promises() session.Promises {
	return session.Promises{
		Name: "files", Shared: true, NoLostUpdate: true, LogoutIsFinal: true, ReadYourWrites: true, Mutable: true,
		MaxBytes: maxBytes,
	}
}

// Ping returns an error if the folder's lock can't be taken.
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
		record = update.Extend(record)
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

// End replaces a session by a marker that it has ended.
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

// step calls do while it holds the folder's lock, so that do is atomic for all servers.
func (s *Store) step(ctx context.Context, do func() error) error {
	lock, err := os.OpenFile(s.lock, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close() // releases the lock
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
		case <-time.After(lockInterval):
		}
	}
}

func (s *Store) path(id session.ID) string { return filepath.Join(s.folder, id.String()) }

// live returns the record of a live session.
func (s *Store) live(id session.ID, now time.Time) (session.Record, error) {
	e, err := s.read(id, now)
	if err != nil {
		return session.Record{}, err
	}
	return e.Record, nil
}

// read returns the entry of a live session. If the session has ended, it returns the marker and ErrEnded.
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

// write replaces the file atomically, so that a server that dies meanwhile leaves the old content.
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
