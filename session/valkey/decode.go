package valkey

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"stateless-servers/session"
)

// A decoder builds a Record from the fields of a session's hash.
type decoder struct {
	fields                        int
	user, agent                   string
	created, expires, idle, ended string
	kept, timeout                 string
	hasEnded                      bool
	values                        map[string]string
}

func (d *decoder) put(field, value string) {
	d.fields++
	switch field {
	case fieldCreated:
		d.created = value
	case fieldExpires:
		d.expires = value
	case fieldIdle:
		d.idle = value
	case fieldUser:
		d.user = value
	case fieldAgent:
		d.agent = value
	case fieldEnded:
		d.ended, d.hasEnded = value, true
	case fieldKept:
		d.kept = value
	case fieldTimeout:
		d.timeout = value
	default:
		if strings.HasPrefix(field, "@") {
			return // a field of a newer version of this package
		}
		if d.values == nil {
			d.values = map[string]string{}
		}
		d.values[field] = value
	}
}

// record returns the session even if it is not live.
func (d *decoder) record() (session.Record, error) {
	created, createdErr := parseMillis(d.created)
	expires, expiresErr := parseMillis(d.expires)
	idle, idleErr := parseMillis(d.idle)
	var timeout int64
	var timeoutErr error
	if d.timeout != "" {
		timeout, timeoutErr = strconv.ParseInt(d.timeout, 10, 64)
	}
	if err := errors.Join(createdErr, expiresErr, idleErr, timeoutErr); err != nil {
		return session.Record{}, fmt.Errorf("decode a session's times: %w", err)
	}
	return session.Record{
		Values: d.values, User: d.user, UserAgent: d.agent, Created: created, Expires: expires, IdleExpires: idle,
		IdleTimeout: time.Duration(timeout) * time.Millisecond,
	}, nil
}

// live returns the session if it is live. Otherwise it returns ErrNotFound or ErrEnded.
func (d *decoder) live(now time.Time) (session.Record, error) {
	if d.fields == 0 {
		return session.Record{}, session.ErrNotFound
	}
	if d.hasEnded {
		if until, err := parseMillis(d.ended); err != nil || now.Before(until) {
			return session.Record{}, session.ErrEnded
		}
		return session.Record{}, session.ErrNotFound
	}
	record, err := d.record()
	if err == nil && !record.Live(now) {
		err = session.ErrNotFound
	}
	if err != nil {
		return session.Record{}, err
	}
	return record, nil
}

// decode returns the live session of a hash that HGETALL has returned.
func decode(fields map[string]string, now time.Time) (session.Record, error) {
	var d decoder
	for field, value := range fields {
		d.put(field, value)
	}
	return d.live(now)
}

// separator separates the fields and values of a hash in the reply of a script. Neither fields nor values contain it: values
// are JSON, where a NUL is always escaped (RFC 8259, section 7), and the rest is UTF-8, which has no byte 255 (RFC 3629).
const separator = "\x00\xff"

// errMissingValue means that a script's reply is not a hash.
var errMissingValue = errors.New("decode a session: a field without a value")

// decodeReply decodes the hash in a script's reply: fields and values alternating, with the separator between them. One string
// takes much less work to write and to read than an array of strings. The script has checked that the session is live or moving.
func decodeReply(text string) (session.Record, error) {
	var d decoder
	for more := true; more; {
		var field, value string
		if field, text, more = strings.Cut(text, separator); !more {
			return session.Record{}, errMissingValue
		}
		value, text, more = strings.Cut(text, separator)
		d.put(field, value)
	}
	return d.record()
}

func parseMillis(text string) (time.Time, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	return time.UnixMilli(n), err
}
