// Package cookie keeps the whole session in the visitor's cookie, encrypted and authenticated: without the servers' key
// nobody can read or forge it. No store is needed. Start reading at Codec, which New creates for session.NewWithCodec.
//
// Use it for a small state that one browser changes with one request at a time, such as the logged-in user, a theme or a
// draft. It has these limits:
//
//   - Overlapping changes are lost. Each response sets a whole new state, and the last response to arrive wins.
//   - Logout is not final. It removes the cookie from the browser, but a copy stays valid until it expires, and so does a
//     copy from before a login or a renewal. A visitor can also restore an older copy (replay): don't store values from
//     which a visitor gains by that, such as a balance.
//   - The sessions of a user can be neither listed nor ended on other devices. Only a new key ends them, and it logs every
//     visitor out.
//   - A session holds about 2.5 KB, and every request sends it.
//
// # Sealing
//
// A cookie is a version byte, a random nonce, and the session encrypted with XChaCha20-Poly1305. Its nonce of 192 bits lets
// servers draw nonces at random without coordination. The 96 bits of AES-GCM allow 2^32 random nonces per key (NIST SP
// 800-38D, 8.3), which is fifty days at 1000 responses per second. The version and the cookie's name are authenticated as
// additional data, so a value is valid only under the name and version for which it was sealed. See package sealing for the
// keys and their rotation.
//
// The state isn't compressed. If a secret is compressed together with text that an attacker chooses, the length reveals the
// secret byte by byte (as in CRIME, CVE-2012-4929).
package cookie

import (
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/chacha20poly1305"

	"stateless-servers/session"
	"stateless-servers/session/sealing"
)

// version is the version of the format that encode writes. Servers accept only their own version. The comment of encode says
// which additions the format allows without a new version.
const version = 1

// maxBytes is the largest Record.Size that fits, for any number of keys: encode adds an eighth to the size, and overhead.
const (
	overhead = 1 + chacha20poly1305.NonceSizeX + chacha20poly1305.Overhead + encodeOverhead
	maxBytes = (sealing.MaxValue*3/4 - overhead) * 8 / 9
)

// encoding is strict, so that each value has one encoding. Decode rejects line breaks, which strict decoding ignores.
var encoding = base64.RawURLEncoding.Strict()

// A Codec encodes sessions as encrypted cookie values and decodes them. Create one with New.
type Codec struct {
	additional []byte        // additional authenticated data: version and cookie name
	aeads      []cipher.AEAD // one per key, in the order of the keys
}

var _ session.Codec = (*Codec)(nil)

// New returns a Codec for the cookie with the given name, which is the same as session.Options.CookieName and has 1 to
// sealing.MaxName bytes. All servers that share sessions have the same keys and name. New returns an error for any other name
// and if there are no keys.
func New(keys sealing.Keys, name string) (*Codec, error) {
	if name == "" || len(name) > sealing.MaxName {
		return nil, fmt.Errorf("session cookie name %q: allowed are 1 to %d bytes", name, sealing.MaxName)
	}
	derived, err := keys.Derive("session cookie XChaCha20-Poly1305")
	if err != nil {
		return nil, err
	}
	s := &Codec{additional: append([]byte{version}, name...)}
	for _, key := range derived {
		aead, err := chacha20poly1305.NewX(key)
		if err != nil {
			return nil, fmt.Errorf("session cookie key: %w", err)
		}
		s.aeads = append(s.aeads, aead)
	}
	return s, nil
}

// Promises declares that every server opens the cookies of all servers. It does not declare ReadYourWrites: if two requests
// of a browser overlap, the response that arrives last overwrites the acknowledged change of the other.
func (s *Codec) Promises() session.Promises {
	return session.Promises{Name: "cookie", Shared: true, Mutable: true, MaxBytes: maxBytes}
}

// Encode returns the cookie value of a session. It rounds times up to the millisecond. It returns session.ErrTooLarge if
// record.Size exceeds Promises.MaxBytes. A session with its own idle timeout holds about 20 bytes less.
func (s *Codec) Encode(id session.ID, record session.Record) (string, error) {
	size := record.Size()
	if record.IdleTimeout > 0 {
		size = session.Record{Values: withTimeout(record), User: record.User, UserAgent: record.UserAgent}.Size()
	}
	if size > maxBytes {
		return "", fmt.Errorf("seal cookie: %w: %d bytes, allowed are %d", session.ErrTooLarge, size, maxBytes)
	}
	plain, err := encode(id, record)
	if err != nil {
		return "", fmt.Errorf("seal cookie: %w", err)
	}
	sealed := make([]byte, 1+chacha20poly1305.NonceSizeX, 1+chacha20poly1305.NonceSizeX+len(plain)+chacha20poly1305.Overhead)
	sealed[0] = version
	nonce := sealed[1:]
	rand.Read(nonce) // never fails: crypto/rand ends the program instead
	// #nosec G407 -- nonce is random
	return encoding.EncodeToString(s.aeads[0].Seal(sealed, nonce, plain, s.additional)), nil
}

// Decode returns the session of a cookie value. It returns session.ErrNotFound if the value can't be opened or the session is
// not live. Its work is bounded by sealing.MaxValue and the number of keys.
func (s *Codec) Decode(value string, now time.Time) (session.ID, session.Record, error) {
	plain, ok := s.decrypt(value)
	if !ok {
		return session.ID{}, session.Record{}, session.ErrNotFound
	}
	id, record, err := decode(plain)
	if err != nil || !record.Live(now) {
		return session.ID{}, session.Record{}, session.ErrNotFound
	}
	return id, record, nil
}

func (s *Codec) decrypt(value string) (plain []byte, ok bool) {
	if len(value) > sealing.MaxValue || strings.ContainsAny(value, "\r\n") { // the base64 decoder skips line breaks
		return nil, false
	}
	sealed, err := encoding.DecodeString(value)
	if err != nil || len(sealed) < 1+chacha20poly1305.NonceSizeX || sealed[0] != version {
		return nil, false
	}
	nonce, text := sealed[1:1+chacha20poly1305.NonceSizeX], sealed[1+chacha20poly1305.NonceSizeX:]
	for _, aead := range s.aeads {
		if plain, err := aead.Open(nil, nonce, text, s.additional); err == nil {
			return plain, true
		}
	}
	return nil, false
}
