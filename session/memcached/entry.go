package memcached

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"stateless-servers/session"
)

// An entry is an item's JSON object by its fields. Those that this version doesn't know are written back as they were, so
// that older and newer servers can share sessions.
type entry map[string]json.RawMessage

// The fields of an entry. Of a session that has ended there is fieldEnded, and the others below it if the session is kept.
// The session's own fields are then inside fieldSession, where no version takes them for those of a live one.
const (
	fieldCreated = "created"
	fieldExpires = "expires"
	fieldIdle    = "idle"
	fieldUser    = "user"    // in base64: it need not be UTF-8
	fieldAgent   = "agent"   // in base64
	fieldValues  = "values"  // JSON texts, in strings: their spelling is kept
	fieldEnded   = "ended"   // until when the end is remembered
	fieldKept    = "kept"    // for whom the session is kept
	fieldRenewal = "renewal" // mark of the new session's id
	fieldSession = "session"
)

// The values of fieldKept.
const (
	keptForNobody = ""
	keptForLogin  = "renewed" // the session was renewed
	keptForMove   = "moving"  // the session moves to another store
)

// A found session is live, or has ended. One that has ended has an entry and a record only if it is kept.
type found struct {
	entry   entry
	record  session.Record
	until   time.Time // when not zero: the session has ended, and that is remembered until then
	kept    string
	renewal []byte
}

// encode returns the item of e with the record's fields, or ErrTooLarge where that takes more than most bytes.
func encode(e entry, r session.Record, most int) ([]byte, error) {
	e = maps.Clone(e)
	for field, value := range map[string]any{
		fieldCreated: r.Created, fieldExpires: r.Expires, fieldIdle: r.IdleExpires,
		fieldUser: []byte(r.User), fieldAgent: []byte(r.UserAgent), fieldValues: r.Values,
	} {
		text, err := marshal(value)
		if err != nil {
			return nil, fmt.Errorf("encode a session's %s: %w", field, err)
		}
		e[field] = text
	}
	item, err := marshal(e)
	if err == nil && len(item) > most {
		err = session.ErrTooLarge
	}
	return item, err
}

// encodeEnded returns the item of a session that has ended.
func encodeEnded(f found) ([]byte, error) {
	ended := map[string]any{fieldEnded: f.until}
	if f.kept != keptForNobody {
		ended[fieldKept], ended[fieldRenewal], ended[fieldSession] = f.kept, f.renewal, f.entry
	}
	return marshal(ended)
}

// decode returns the session in an item. With ErrEnded it returns what is kept.
func decode(item []byte, now time.Time) (f found, err error) {
	var e entry
	if err := json.Unmarshal(item, &e); err != nil {
		return found{}, fmt.Errorf("decode a session: %w", err)
	}
	fields := map[string]any{fieldEnded: &f.until, fieldKept: &f.kept, fieldRenewal: &f.renewal, fieldSession: &f.entry}
	if err := e.read(fields); err != nil {
		return found{}, err
	}
	ended := !f.until.IsZero()
	if !ended {
		f = found{entry: e}
	}
	if f.record, err = f.entry.record(); err != nil {
		return found{}, err
	}
	switch {
	case ended && now.Before(f.until):
		return f, session.ErrEnded
	case ended || !f.record.Live(now):
		return found{}, session.ErrNotFound
	default:
		return f, nil
	}
}

// record returns the session that the entry's fields describe.
func (e entry) record() (r session.Record, err error) {
	var user, agent []byte
	err = e.read(map[string]any{
		fieldCreated: &r.Created, fieldExpires: &r.Expires, fieldIdle: &r.IdleExpires,
		fieldUser: &user, fieldAgent: &agent, fieldValues: &r.Values,
	})
	r.User, r.UserAgent = string(user), string(agent)
	return r, err
}

// read decodes those of the fields that the entry has.
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

// marshal is json.Marshal that leaves <, > and & as they are: each would take six bytes.
func marshal(value any) ([]byte, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(value)
	return bytes.TrimSuffix(text.Bytes(), []byte("\n")), err
}
