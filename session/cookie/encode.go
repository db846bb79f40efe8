package cookie

import (
	"encoding/binary"
	"errors"
	"time"

	"stateless-servers/session"
)

// encodeOverhead is what encode adds, besides an eighth: the id, three times, and two lengths of up to 2 bytes each.
const encodeOverhead = len(session.ID{}) + 3*8 + 2*2

var (
	errEmpty = errors.New("a key or value is empty")
	// errMalformed: not what encode writes. Only a mistake can lead to it: what is decoded was authenticated before.
	errMalformed = errors.New("malformed session")
)

// encode writes a session as
//
//	id | created | expires | idle expires | length | user | length | user agent | ends | text
//
// with times in milliseconds since 1970 as 64 bits, big-endian, and lengths as uvarints. The text is every key followed
// by its value, and ends has one bit for each byte of text, set at the last byte of a key or value. So a session takes the
// same room however its text is split into keys and values: what fits depends on Record.Size alone.
//
// Within the version, what a newer server adds are keys that begin with "@", which no handler can set. They are values
// to an older one, and go with the rest into the next cookie.
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
	for key, value := range record.Values {
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

// decode reads what encode wrote.
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
	return id, record, nil
}

// A reader takes fields off the front of what is left.
type reader struct {
	rest  []byte
	short bool // there was less than asked for
}

// take returns the next n bytes, or nil and remembers that there are fewer.
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
