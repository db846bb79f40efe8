package memcached

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"stateless-servers/session"
)

// An entry is the JSON object of an item, by field. Fields that this version doesn't know are written back unchanged, so that
// older and newer web servers can share sessions.
type entry map[string]json.RawMessage

// The fields of an entry. A tombstone has fieldEnded, and also the three fields below it if it keeps the session. The fields
// of the kept session are inside fieldSession, so that no version of this package takes them for a live session.
const (
	fieldCreated = "created"
	fieldExpires = "expires"
	fieldIdle    = "idle"
	fieldTimeout = "timeout" // the session's own idle timeout in nanoseconds; missing if it has none
	fieldUser    = "user"    // in base64, because it may not be UTF-8
	fieldAgent   = "agent"   // in base64
	fieldValues  = "values"  // JSON texts, as strings, so that their text stays unchanged
	fieldEnded   = "ended"   // expiry of the tombstone
	fieldKept    = "kept"    // purpose for which the tombstone keeps the session
	fieldRenewal = "renewal" // renewalMark of the new session's id
	fieldSession = "session"
)

// The values of fieldKept.
const (
	keptNothing  = ""
	keptForLogin = "renewed" // the session was renewed
	keptForMove  = "moving"  // the session moves to another store
)

// A storedSession is a session as an item stores it: live, or ended. An ended session has an entry and a record only if its tombstone
// keeps them.
type storedSession struct {
	entry   entry
	record  session.Record
	until   time.Time // expiry of the tombstone; zero for a live session
	kept    string
	renewal []byte
}

// encode returns the item of e with the record's fields. It returns ErrTooLarge if the item exceeds limit bytes.
func encode(e entry, r session.Record, limit int) ([]byte, error) {
	e = maps.Clone(e)
	fields := map[string]any{
		fieldCreated: r.Created, fieldExpires: r.Expires, fieldIdle: r.IdleExpires,
		fieldUser: []byte(r.User), fieldAgent: []byte(r.UserAgent), fieldValues: r.Values,
	}
	if r.IdleTimeout > 0 {
		fields[fieldTimeout] = r.IdleTimeout
	}
	for field, value := range fields {
		text, err := marshal(value)
		if err != nil {
			return nil, fmt.Errorf("encode a session's %s: %w", field, err)
		}
		e[field] = text
	}
	item, err := marshal(e)
	if err == nil && len(item) > limit {
		err = session.ErrTooLarge
	}
	return item, err
}

// encodeEnded returns the tombstone of a session.
func encodeEnded(f storedSession) ([]byte, error) {
	ended := map[string]any{fieldEnded: f.until}
	if f.kept != keptNothing {
		ended[fieldKept], ended[fieldRenewal], ended[fieldSession] = f.kept, f.renewal, f.entry
	}
	return marshal(ended)
}

// decode returns the session in an item. With ErrEnded it returns the state that the tombstone keeps.
func decode(item []byte, now time.Time) (f storedSession, err error) {
	var e entry
	if err := json.Unmarshal(item, &e); err != nil {
		return storedSession{}, fmt.Errorf("decode a session: %w", err)
	}
	fields := map[string]any{fieldEnded: &f.until, fieldKept: &f.kept, fieldRenewal: &f.renewal, fieldSession: &f.entry}
	if err := e.read(fields); err != nil {
		return storedSession{}, err
	}
	ended := !f.until.IsZero()
	if !ended {
		f = storedSession{entry: e}
	}
	if f.record, err = f.entry.record(); err != nil {
		return storedSession{}, err
	}
	switch {
	case ended && now.Before(f.until):
		return f, session.ErrEnded
	case ended || !f.record.Live(now):
		return storedSession{}, session.ErrNotFound
	default:
		return f, nil
	}
}

// record returns the session in the entry's fields.
func (e entry) record() (r session.Record, err error) {
	var user, agent []byte
	err = e.read(map[string]any{
		fieldCreated: &r.Created, fieldExpires: &r.Expires, fieldIdle: &r.IdleExpires, fieldTimeout: &r.IdleTimeout,
		fieldUser: &user, fieldAgent: &agent, fieldValues: &r.Values,
	})
	r.User, r.UserAgent = string(user), string(agent)
	return r, err
}

// read decodes the given fields, as far as the entry has them.
func (e entry) read(fields map[string]any) error {
	for field, to := range fields {
		if text, ok := e[field]; ok {
			if err := json.Unmarshal(text, to); err != nil {
				return fmt.Errorf("decode a session's %s: %w", field, err)
			}
		}
	}
	return nil
}

// marshal does the same as json.Marshal, but doesn't escape <, > and &, which would take six bytes each.
func marshal(value any) ([]byte, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(value)
	return bytes.TrimSuffix(text.Bytes(), []byte("\n")), err
}
