package cookie

import (
	"encoding/binary"
	"errors"
	"maps"
	"strconv"
	"time"

	"stateless-servers/session"
)

// encodeOverhead is the number of bytes that encode adds besides an eighth: the id, three times of 8 bytes, and two lengths
// of up to 2 bytes.
const encodeOverhead = len(session.ID{}) + 3*8 + 2*2

var (
	errEmpty = errors.New("a key or value is empty")
	// errMalformed means that the text was not written by encode. Since cookies are authenticated before they are decoded,
	// only a bug of a server can cause it.
	errMalformed = errors.New("malformed session")
)

// encode writes a session as
//
//	id | created | expires | idle expires | length | user | length | user agent | ends | text
//
// with times in milliseconds since 1970 as 64 bits, big-endian, and lengths as uvarints. The text is every key followed
// by its value. The field ends has one bit for each byte of text, set at the last byte of a key or value. The length of the
// result therefore depends only on Record.Size, not on the number of keys.
//
// The session's own idle timeout is the value of the key timeoutKey, in milliseconds. A newer server may add other keys that
// begin with "@" without a new version. Handlers can't set such keys. An older server treats them as values and copies them
// into the next cookie.
func encode(id session.ID, record session.Record) ([]byte, error) {
	b := append([]byte(nil), id[:]...)
	for _, t := range []time.Time{record.Created, record.Expires, record.IdleExpires} {
		// #nosec G115 -- the bits come back as they were
		b = binary.BigEndian.AppendUint64(b, uint64(t.Add(time.Millisecond-1).UnixMilli()))
	}
	for _, field := range []string{record.User, record.UserAgent} {
		b = binary.AppendUvarint(b, uint64(len(field)))
		b = append(b, field...)
	}
	var text []byte
	var last []int
	for key, value := range withTimeout(record) {
		for _, field := range []string{key, value} {
			if field == "" {
				return nil, errEmpty // it has no last byte to mark; keys and JSON are never empty
			}
			text = append(text, field...)
			last = append(last, len(text)-1)
		}
	}
	ends := make([]byte, (len(text)+7)/8)
	for _, i := range last {
		ends[i/8] |= 1 << (i % 8)
	}
	return append(append(b, ends...), text...), nil
}

// decode decodes a session that encode has written.
func decode(plain []byte) (id session.ID, record session.Record, err error) {
	r := reader{rest: plain}
	copy(id[:], r.take(len(id)))
	for _, t := range []*time.Time{&record.Created, &record.Expires, &record.IdleExpires} {
		if b := r.take(8); b != nil {
			*t = time.UnixMilli(int64(binary.BigEndian.Uint64(b))) // #nosec G115 -- the bits that encode wrote
		}
	}
	record.User, record.UserAgent = r.field(), r.field()
	length := len(r.rest) * 8 / 9
	ends, text := r.take(len(r.rest)-length), r.rest
	if r.short || len(ends) != (length+7)/8 {
		return session.ID{}, session.Record{}, errMalformed
	}
	record.Values = map[string]string{}
	key, start := "", 0
	for i := range text {
		if ends[i/8]>>(i%8)&1 == 0 {
			continue
		}
		field := string(text[start : i+1])
		start = i + 1
		if key == "" {
			key = field
			continue
		}
		record.Values[key], key = field, ""
	}
	if start != length || key != "" {
		return session.ID{}, session.Record{}, errMalformed
	}
	if text, ok := record.Values[timeoutKey]; ok {
		millis, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return session.ID{}, session.Record{}, errMalformed
		}
		record.IdleTimeout = time.Duration(millis) * time.Millisecond
		delete(record.Values, timeoutKey)
	}
	return id, record, nil
}

// timeoutKey is the key of the session's own idle timeout.
const timeoutKey = "@timeout"

// withTimeout returns the values of a session with its own idle timeout, if it has one.
func withTimeout(record session.Record) map[string]string {
	if record.IdleTimeout <= 0 {
		return record.Values
	}
	values := make(map[string]string, len(record.Values)+1)
	maps.Copy(values, record.Values)
	values[timeoutKey] = strconv.FormatInt(record.IdleTimeout.Milliseconds(), 10)
	return values
}

// A reader reads fields from the front of rest.
type reader struct {
	rest  []byte
	short bool // a read asked for more bytes than were left
}

// take returns the next n bytes. If there are fewer, it returns nil and sets short.
func (r *reader) take(n int) []byte {
	if r.short || n > len(r.rest) {
		r.short = true
		return nil
	}
	field := r.rest[:n]
	r.rest = r.rest[n:]
	return field
}

func (r *reader) field() string {
	length, n := binary.Uvarint(r.rest)
	if n <= 0 || length > uint64(len(r.rest)) {
		r.short = true
		return ""
	}
	r.take(n)
	return string(r.take(int(length))) // #nosec G115 -- at most len(r.rest)
}
