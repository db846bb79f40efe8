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

// maxRenewed is the maximum item size of a session with a new id. Its user and user agent may be longer than those of the old
// session, whose item may have maxItem bytes.
const maxRenewed = maxItem + 4<<10

// Renew writes the new session, then replaces the old session by its tombstone if nobody has written it meanwhile. Otherwise it
// starts again. After any failure the old or the new session is live, and another Renew completes the renewal.
func (s *Store) Renew(ctx context.Context, r session.Renewal) (session.Record, error) {
	return withContext(ctx, func() (session.Record, error) {
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

// renew makes one attempt and reports whether the renewal is done. It sets wrote when it has written the new session of a live
// old one. It reads the new session before the old one, and writes only items that have not changed since: a delayed request of
// an earlier attempt, which arrives when the visitor already uses the new session, changes nothing.
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
	case exists && (errors.Is(err, session.ErrNotFound) || bytes.Equal(old.renewal, renewalMark(r.New))):
		return fresh.record, true, nil // an earlier attempt was done
	case old.kept == keptForLogin && r.AllowRenewed && exists && !*wrote:
		return fresh.record, true, nil // an earlier attempt started from what is kept
	case old.kept == keptForLogin && r.AllowRenewed:
		return s.start(r, item, old.record)
	}
	if exists {
		// The old session has ended in another way, so nobody gets the new session's cookie. If Delete fails, the new session expires.
		_ = s.client.Delete(item.Key)
	}
	return session.Record{}, false, err
}

// move starts the new session and ends a live old one.
func (s *Store) move(r session.Renewal, item, oldItem *memcache.Item, old storedSession, wrote *bool) (session.Record, bool, error) {
	record, written, err := s.start(r, item, old.record)
	if err != nil || !written {
		return session.Record{}, false, err
	}
	*wrote = true
	if err := writeTombstone(oldItem, r.Now, storedSession{entry: old.entry, kept: keptForLogin, renewal: renewalMark(r.New)}); err != nil {
		return session.Record{}, false, err
	}
	written, err = s.swap(oldItem)
	if errors.Is(err, memcache.ErrCacheMiss) {
		return record, true, nil // the node has lost the old session meanwhile
	}
	return record, written, err
}

// start writes the new session in place of item, which is nil if there is none. It reports whether nobody else has written the
// item meanwhile.
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

// ignore returns nil if err is the given error, else err.
func ignore(err, ignored error) error {
	if errors.Is(err, ignored) {
		return nil
	}
	return err
}

// End replaces a session by its tombstone.
func (s *Store) End(ctx context.Context, id session.ID, options session.EndOptions) (session.Record, error) {
	f, err := s.modify(ctx, id, options.Now, func(item *memcache.Item, f *storedSession) error {
		tombstone := storedSession{}
		if options.Moving {
			tombstone = storedSession{entry: f.entry, kept: keptForMove}
		}
		return writeTombstone(item, options.Now, tombstone)
	})
	movable := options.Moving && f.kept == keptForMove && options.Now.Before(f.until.Add(-session.MaxClockSkew))
	if err != nil && !(errors.Is(err, session.ErrEnded) && movable) {
		return session.Record{}, err
	}
	return f.record, nil
}

// writeTombstone sets the value and the expiration of an item to a tombstone that keeps f.
func writeTombstone(item *memcache.Item, now time.Time, f storedSession) (err error) {
	f.until = now.Add(session.EndedFor)
	item.Expiration = lifetime(now, f.until)
	item.Value, err = encodeEnded(f)
	return err
}

// renewalMark returns a hash of the new id, by which a tombstone identifies its renewal. It doesn't reveal the new id.
func renewalMark(id session.ID) []byte {
	hash := sha256.Sum256(append([]byte("renewal to "), id[:]...))
	return hash[:]
}
