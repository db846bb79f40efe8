package valkey

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"stateless-servers/app/session"
)

// A decoder turns the fields of a session's hash into a Record.
type decoder struct {
	fields                        int
	user, agent                   string
	created, expires, idle, ended string
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
	default:
		if strings.HasPrefix(field, "@") {
			return // of a newer version
		}
		if d.values == nil {
			d.values = map[string]string{}
		}
		d.values[field] = value
	}
}

// record returns the session, if it is live.
func (d *decoder) record(now time.Time) (session.Record, error) {
	if d.fields == 0 {
		return session.Record{}, session.ErrNotFound
	}
	if d.hasEnded {
		if until, err := parseMillis(d.ended); err != nil || now.Before(until) {
			return session.Record{}, session.ErrEnded
		}
		return session.Record{}, session.ErrNotFound
	}
	created, createdErr := parseMillis(d.created)
	expires, expiresErr := parseMillis(d.expires)
	idle, idleErr := parseMillis(d.idle)
	if err := errors.Join(createdErr, expiresErr, idleErr); err != nil {
		return session.Record{}, fmt.Errorf("decode a session's times: %w", err)
	}
	record := session.Record{
		Values: d.values, User: d.user, UserAgent: d.agent, Created: created, Expires: expires, IdleExpires: idle,
	}
	if !record.Live(now) {
		return session.Record{}, session.ErrNotFound
	}
	return record, nil
}

// decode decodes a hash as HGETALL answers it.
func decode(fields map[string]string, now time.Time) (session.Record, error) {
	var d decoder
	for field, value := range fields {
		d.put(field, value)
	}
	return d.record(now)
}

// errText: a script answered with what is no hash.
var errText = errors.New("decode a session: not a list of <length>:<bytes>")

// decodeText decodes a hash as the scripts write it: fields and values in turn, each as its length in bytes, a colon and
// the bytes. To read one string is much less work than to read an array of them.
func decodeText(text string, now time.Time) (session.Record, error) {
	var d decoder
	for text != "" {
		var field, value string
		var ok bool
		if field, text, ok = cut(text); !ok {
			return session.Record{}, errText
		}
		if value, text, ok = cut(text); !ok {
			return session.Record{}, errText
		}
		d.put(field, value)
	}
	return d.record(now)
}

// cut returns the first string of a text, and what follows it.
func cut(text string) (first, rest string, ok bool) {
	n := 0
	for i, digit := range []byte(text[:min(len(text), maxDigits)]) {
		switch {
		case '0' <= digit && digit <= '9':
			n = 10*n + int(digit-'0')
		case digit == ':' && i > 0 && n <= len(text)-i-1:
			return text[i+1 : i+1+n], text[i+1+n:], true
		default:
			return "", "", false
		}
	}
	return "", "", false
}

// maxDigits bounds a length and its colon.
const maxDigits = 10

func parseMillis(text string) (time.Time, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	return time.UnixMilli(n), err
}
