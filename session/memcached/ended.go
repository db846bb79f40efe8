package memcached

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"stateless-servers/session"
)

// maxRenewed is the largest item of a session with a new id. Its user and user agent may be longer than those of the old
// one, which may have maxItem.
const maxRenewed = maxItem + 4<<10

// Renew writes the new session, and then a note of the end in the old one's place if nobody wrote in between; else it
// begins anew. Whatever fails, the old session or the new one is live, and a repeat completes what was left half done.
func (s *Store) Renew(ctx context.Context, r session.Renewal) (session.Record, error) {
	return await(ctx, func() (session.Record, error) {
		wrote := false
		for ctx.Err() == nil {
			record, done, err := s.renew(r, &wrote)
			if err != nil {
				return session.Record{}, err
			}
			if done {
				return record, nil
			}
		}
		return session.Record{}, ctx.Err()
	})
}

// renew makes one attempt, and reports whether the renewal is done. It notes in wrote that it has written the new session
// for an old one that was live. It reads the new session before the old one, and writes only what is still the same: a
// request of an earlier attempt that arrives late, when the visitor uses the new session, changes nothing.
func (s *Store) renew(r session.Renewal, wrote *bool) (session.Record, bool, error) {
	item, fresh, err := s.read(r.New, r.Now)
	exists := err == nil
	if err != nil && !errors.Is(err, session.ErrNotFound) {
		return session.Record{}, false, err
	}
	oldItem, old, err := s.read(r.Old, r.Now)
	switch {
	case err == nil:
		return s.move(r, item, oldItem, old, wrote)
	case !errors.Is(err, session.ErrNotFound) && !errors.Is(err, session.ErrEnded):
		return session.Record{}, false, err
	case exists && (errors.Is(err, session.ErrNotFound) || bytes.Equal(old.renewal, mark(r.New))):
		return fresh.record, true, nil // an earlier attempt was done
	case old.kept == keptForLogin && r.AllowRenewed && exists && !*wrote:
		return fresh.record, true, nil // an earlier attempt started from what is kept
	case old.kept == keptForLogin && r.AllowRenewed:
		return s.start(r, item, old.record)
	}
	if exists {
		// The old session has ended otherwise, so that nobody gets the new one's cookie. If this fails, it expires.
		_ = s.client.Delete(item.Key)
	}
	return session.Record{}, false, err
}

// move starts the new session and ends a live old one.
func (s *Store) move(r session.Renewal, item, oldItem *memcache.Item, old found, wrote *bool) (session.Record, bool, error) {
	record, written, err := s.start(r, item, old.record)
	if err != nil || !written {
		return session.Record{}, false, err
	}
	*wrote = true
	if err := bury(oldItem, r.Now, found{entry: old.entry, kept: keptForLogin, renewal: mark(r.New)}); err != nil {
		return session.Record{}, false, err
	}
	written, err = s.swap(oldItem)
	if errors.Is(err, memcache.ErrCacheMiss) {
		return record, true, nil // the node has lost the old session meanwhile
	}
	return record, written, err
}

// start writes the new session in place of item, nil for none, and reports whether nobody else has written it meanwhile.
func (s *Store) start(r session.Renewal, item *memcache.Item, old session.Record) (session.Record, bool, error) {
	record := r.Renewed(old)
	value, err := encode(entry{}, record, maxRenewed)
	if err != nil {
		return session.Record{}, false, err
	}
	if item != nil {
		item.Value, item.Expiration = value, lifetime(r.Now, expires(record))
		written, err := s.swap(item)
		return record, written, ignore(err, memcache.ErrCacheMiss)
	}
	err = s.client.Add(&memcache.Item{Key: s.key(r.New), Value: value, Expiration: lifetime(r.Now, expires(record))})
	return record, err == nil, ignore(err, memcache.ErrNotStored)
}

// ignore returns err unless it is the one to ignore.
func ignore(err, ignored error) error {
	if errors.Is(err, ignored) {
		return nil
	}
	return err
}

// End puts the note of its end in the session's place.
func (s *Store) End(ctx context.Context, id session.ID, options session.EndOptions) (session.Record, error) {
	f, err := s.replace(ctx, id, options.Now, func(item *memcache.Item, f *found) error {
		note := found{}
		if options.Moving {
			note = found{entry: f.entry, kept: keptForMove}
		}
		return bury(item, options.Now, note)
	})
	movable := options.Moving && f.kept == keptForMove && options.Now.Before(f.until.Add(-session.MaxClockSkew))
	if err != nil && !(errors.Is(err, session.ErrEnded) && movable) {
		return session.Record{}, err
	}
	return f.record, nil
}

// bury makes an item the note that its session has ended.
func bury(item *memcache.Item, now time.Time, f found) (err error) {
	f.until = now.Add(session.EndedFor)
	item.Expiration = lifetime(now, f.until)
	item.Value, err = encodeEnded(f)
	return err
}

// mark returns what tells one renewal from another in the old session's note. Nobody gets from it to the new session.
func mark(id session.ID) []byte {
	hash := sha256.Sum256(append([]byte("renewal to "), id[:]...))
	return hash[:]
}
