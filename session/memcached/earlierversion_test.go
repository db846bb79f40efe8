package memcached

import (
	"encoding/json"
	"fmt"
	"time"

	"stateless-servers/session"
)

// decodeEarlier decodes an item as the version before Renew did.
func decodeEarlier(item []byte, now time.Time) error {
	var e map[string]json.RawMessage
	if err := json.Unmarshal(item, &e); err != nil {
		return fmt.Errorf("decode a session: %w", err)
	}
	var r session.Record
	var until time.Time
	var user, agent []byte
	for field, to := range map[string]any{
		"created": &r.Created, "expires": &r.Expires, "idle": &r.IdleExpires,
		"user": &user, "agent": &agent, "values": &r.Values, "ended": &until,
	} {
		if text, ok := e[field]; ok {
			if err := json.Unmarshal(text, to); err != nil {
				return fmt.Errorf("decode a session's %s: %w", field, err)
			}
		}
	}
	switch {
	case now.Before(until):
		return session.ErrEnded
	case !r.Live(now):
		return session.ErrNotFound
	default:
		return nil
	}
}
