// Package sealing is what the packages cookie and token share: their secret keys, and how much a browser keeps.
//
// # Rotation
//
// The first key seals, every key opens. Servers are never all replaced at once, so that a new key is brought in by three
// deployments, each finished before the next, or some servers can't open what others seal:
//
//  1. "old,new": every server learns to open what the new key seals.
//  2. "new,old": the new key seals.
//  3. "new", when session.Options.Lifetime has passed: what the old key sealed has expired.
//
// After a leak, deploy a new key alone. It logs everybody out: that, nothing milder, ends what the leaked key can forge.
package sealing

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// MaxValue is the longest cookie value that is sealed. Browsers keep at least 4096 bytes of a cookie's name, value and
// attributes (RFC 6265, 6.1; the later draft-ietf-httpbis-rfc6265bis-22, 5.6, has them ignore a cookie of more, and
// counts name and value alone). 128 bytes are left to the name and the attributes.
const MaxValue = 4096 - 128

// MaxName is the longest session.Options.CookieName for which MaxValue holds: the prefix __Host-, "=" and the
// attributes that package session sends take up to 67 of the 128 bytes.
const MaxName = 60

const (
	keyBytes = sha256.Size // 256 bits
	maxKeys  = 8           // bounds the work that a forged cookie causes
)

// Keys are secret keys, of which the first seals and all open. The zero Keys has none. The secrets are behind functions:
// no print of Keys, nor of what holds them, shows them.
type Keys struct {
	secrets []func() [keyBytes]byte
}

// ParseKeys reads 1 to 8 keys, separated by commas: each is 32 bytes, from a random source, in padded standard base64,
// as printed by
//
//	openssl rand -base64 32
//
// Space around a key is ignored. No error has any part of a key in it.
func ParseKeys(text string) (Keys, error) {
	const allowed = "allowed are 1 to 8 different keys, separated by commas, each as printed by: openssl rand -base64 32"
	words := strings.Split(text, ",")
	if len(words) > maxKeys {
		return Keys{}, fmt.Errorf("session keys: there are %d: %s", len(words), allowed)
	}
	var keys Keys
	for i, word := range words {
		secret, err := base64.StdEncoding.Strict().DecodeString(strings.TrimSpace(word))
		if err != nil {
			return Keys{}, fmt.Errorf("session keys: key %d of %d is no padded standard base64: %s", i+1, len(words), allowed)
		}
		if len(secret) != keyBytes {
			return Keys{}, fmt.Errorf("session keys: key %d of %d has %d bytes: %s", i+1, len(words), len(secret), allowed)
		}
		key := [keyBytes]byte(secret)
		same := func(other func() [keyBytes]byte) bool { return other() == key }
		if j := slices.IndexFunc(keys.secrets, same); j >= 0 {
			return Keys{}, fmt.Errorf("session keys: keys %d and %d of %d are the same: %s", j+1, i+1, len(words), allowed)
		}
		keys.secrets = append(keys.secrets, func() [keyBytes]byte { return key })
	}
	return keys, nil
}

// Derive returns a key of 32 bytes for one purpose from each of the keys, in their order (HKDF-SHA-256, RFC 5869). What
// is derived for one purpose tells nothing of another's: the same Keys can serve packages cookie and token.
func (k Keys) Derive(purpose string) ([][]byte, error) {
	if len(k.secrets) == 0 {
		return nil, errors.New("no session keys: see sealing.ParseKeys")
	}
	derived := make([][]byte, len(k.secrets))
	for i, secret := range k.secrets {
		key := secret()
		var err error
		if derived[i], err = hkdf.Key(sha256.New, key[:], nil, purpose, keyBytes); err != nil {
			return nil, fmt.Errorf("derive a session key: %w", err)
		}
	}
	return derived, nil
}
