// Package cookie keeps the whole session in the visitor's cookie, sealed: nobody without the servers' key can read or
// forge it. No store is asked, so that none costs, fails or fills up.
//
// Choose it for little state that one browser changes by one request at a time, such as who is logged in, a theme or a
// draft, when no store is to be run. What it can't do:
//
//   - Keep overlapping changes. Each response brings a whole new state; of several under way, the last to arrive stands.
//   - End a session for good. Logout removes the cookie from the browser; a copy of it stays good until it expires, and
//     so does a copy from before a login or a renewal. A visitor can also put an older copy back: keep nothing in it that
//     somebody gains from, by turning it back.
//   - List a user's sessions, or end them elsewhere. Only a new key does, and it logs everybody out.
//   - Hold much: about 2.5 KB. And every request carries it.
//
// # Sealing
//
// A cookie is a version byte, a random nonce, and the session encrypted with XChaCha20-Poly1305. That cipher is chosen for
// its nonce of 192 bits, which servers can draw at random without knowing of one another; AES-GCM's 96 bits allow 2^32 per
// key (NIST SP 800-38D, 8.3), fifty days at 1000 responses a second. The version and the cookie's name are bound to it:
// what was sealed for one name or version opens as no other. See package sealing for the keys and their rotation.
//
// The state isn't compressed. The length of a compressed secret beside text that an attacker chooses gives the secret
// away, byte by byte (as in CRIME, CVE-2012-4929).
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

// version is that of what encode writes. Servers open their own version alone; see encode for what it can take.
const version = 1

// maxBytes is what always fits, however many keys it is: encode adds an eighth to what Record.Size counts, and overhead.
const (
	overhead = 1 + chacha20poly1305.NonceSizeX + chacha20poly1305.Overhead + encodeOverhead
	maxBytes = (sealing.MaxValue*3/4 - overhead) * 8 / 9
)

// encoding is Strict, which leaves a value one spelling, but for line ends: see Open.
var encoding = base64.RawURLEncoding.Strict()

// A Codec seals sessions into cookies, and opens them. Create one with New.
type Codec struct {
	bound []byte        // the associated data: version and name
	aeads []cipher.AEAD // one a key, in the order of keys
}

var _ session.Codec = (*Codec)(nil)

// New returns a Codec for the cookie of that name, of 1 to sealing.MaxName bytes: session.Options.CookieName. Servers
// that share sessions have the same keys and name.
func New(keys sealing.Keys, name string) (*Codec, error) {
	if name == "" || len(name) > sealing.MaxName {
		return nil, fmt.Errorf("session cookie name %q: allowed are 1 to %d bytes", name, sealing.MaxName)
	}
	derived, err := keys.Derive("session cookie XChaCha20-Poly1305")
	if err != nil {
		return nil, err
	}
	s := &Codec{bound: append([]byte{version}, name...)}
	for _, key := range derived {
		aead, err := chacha20poly1305.NewX(key)
		if err != nil {
			return nil, fmt.Errorf("session cookie key: %w", err)
		}
		s.aeads = append(s.aeads, aead)
	}
	return s, nil
}

// Promises declares that every server opens what any of them sealed. ReadYourWrites isn't promised: while one browser
// sends one request at a time it sees what it wrote, but of two that overlap, the response that comes last takes back
// what the other had acknowledged.
func (s *Codec) Promises() session.Promises {
	return session.Promises{Name: "cookie", Shared: true, Mutable: true, MaxBytes: maxBytes}
}

// Encode returns the cookie's value, with the times to the millisecond, rounded up. ErrTooLarge: record.Size exceeds
// Promises.MaxBytes.
func (s *Codec) Encode(id session.ID, record session.Record) (string, error) {
	if size := record.Size(); size > maxBytes {
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
	return encoding.EncodeToString(s.aeads[0].Seal(sealed, nonce, plain, s.bound)), nil
}

// Decode returns the live session in a cookie's value, else ErrNotFound. Its work is bounded by sealing.MaxValue and the
// number of keys, whatever the value.
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
	if len(value) > sealing.MaxValue || strings.ContainsAny(value, "\r\n") { // which the decoder would skip
		return nil, false
	}
	sealed, err := encoding.DecodeString(value)
	if err != nil || len(sealed) < 1+chacha20poly1305.NonceSizeX || sealed[0] != version {
		return nil, false
	}
	nonce, text := sealed[1:1+chacha20poly1305.NonceSizeX], sealed[1+chacha20poly1305.NonceSizeX:]
	for _, aead := range s.aeads {
		if plain, err := aead.Open(nil, nonce, text, s.bound); err == nil {
			return plain, true
		}
	}
	return nil, false
}
