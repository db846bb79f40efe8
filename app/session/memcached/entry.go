package memcached

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"stateless-servers/app/session"
)

// An entry is an item's JSON object by its fields. Those that this version doesn't know are written back as they were, so
// that older and newer servers can share sessions.
type entry map[string]json.RawMessage

// The fields of an entry. Of a session that has ended there is just fieldEnded.
const (
	fieldCreated = "created"
	fieldExpires = "expires"
	fieldIdle    = "idle"
	fieldUser    = "user"   // in base64: it need not be UTF-8
	fieldAgent   = "agent"  // in base64
	fieldValues  = "values" // JSON texts, in strings: their spelling is kept
	fieldEnded   = "ended"  // until when the end is remembered
)

// encode returns the item of e with the record's fields, or ErrTooLarge.
func encode(e entry, r session.Record) ([]byte, error) {
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
	if err == nil && len(item) > maxItem {
		err = session.ErrTooLarge
	}
	return item, err
}

func encodeEnded(until time.Time) ([]byte, error) {
	return marshal(map[string]time.Time{fieldEnded: until})
}

// decode returns an item's entry and the live session in it, or says why there is none.
func decode(item []byte, now time.Time) (entry, session.Record, error) {
	var e entry
	if err := json.Unmarshal(item, &e); err != nil {
		return nil, session.Record{}, fmt.Errorf("decode a session: %w", err)
	}
	var r session.Record
	var until time.Time
	var user, agent []byte
	for field, to := range map[string]any{
		fieldCreated: &r.Created, fieldExpires: &r.Expires, fieldIdle: &r.IdleExpires,
		fieldUser: &user, fieldAgent: &agent, fieldValues: &r.Values, fieldEnded: &until,
	} {
		if text, ok := e[field]; ok {
			if err := json.Unmarshal(text, to); err != nil {
				return nil, session.Record{}, fmt.Errorf("decode a session's %s: %w", field, err)
			}
		}
	}
	r.User, r.UserAgent = string(user), string(agent)
	switch {
	case now.Before(until):
		return nil, session.Record{}, session.ErrEnded
	case !r.Live(now):
		return nil, session.Record{}, session.ErrNotFound
	default:
		return e, r, nil
	}
}

// marshal is json.Marshal that leaves <, > and & as they are: each would take six bytes.
func marshal(value any) ([]byte, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(value)
	return bytes.TrimSuffix(text.Bytes(), []byte("\n")), err
}
