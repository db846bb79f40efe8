// Package sealing has the secret keys with which packages cookie and token seal sessions, and the limits that browsers put
// on cookies. To seal a session is to encrypt it (cookie) or to sign it (token); to open it is the reverse. Create Keys with
// ParseKeys and pass them to cookie.New or token.New.
//
// # Rotation
//
// Servers seal with the first key and open with every key. Since a deployment doesn't replace all servers at once, a new key
// takes three deployments. Finish each before the next, or some servers can't open the sessions that others have sealed:
//
//  1. "old,new": all servers can open sessions that are sealed with the new key.
//  2. "new,old": all servers seal with the new key.
//  3. "new", after session.Options.Lifetime has passed, or RememberLifetime if logins are remembered: all sessions sealed with
//     the old key have expired.
//
// If a key leaks, deploy a new key alone. This logs every visitor out, but nothing less stops an attacker from forging
// sessions with the leaked key.
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

// MaxValue is the maximum length in bytes of a sealed cookie value. Browsers store at least 4096 bytes of a cookie's name,
// value and attributes (RFC 6265, 6.1). By the later draft-ietf-httpbis-rfc6265bis-22, 5.6, they ignore a cookie whose name
// and value exceed that. MaxValue leaves 128 bytes for the name and the attributes: session.NewWithCodec refuses longer ones.
const MaxValue = 4096 - 128

// MaxName is the maximum length in bytes of session.Options.CookieName with sealed sessions. The prefix __Host-, "=" and the
// attributes that package session sends take up to 67 of the 128 bytes beside MaxValue.
const MaxName = 60

const (
	keyBytes = sha256.Size // 256 bits
	maxKeys  = 8           // bounds the work that a forged cookie causes
)

// Keys are secret keys. The first key seals, and all keys open. The zero Keys has none. Printing Keys, or a value that
// contains them, does not show the secrets.
type Keys struct {
	// Package fmt prints the address of a function, not its closure.
	secrets []func() [keyBytes]byte
}

// ParseKeys parses 1 to 8 different keys, separated by commas. Each key is 32 random bytes in padded standard base64, as
// printed by
//
//	openssl rand -base64 32
//
// Space around a key is ignored. An error never contains any part of a key.
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

// Derive derives from each key, in order, a key of 32 bytes for one purpose (HKDF-SHA-256, RFC 5869). A key derived for one
// purpose reveals nothing about keys for other purposes, so packages cookie and token can share Keys. Derive returns an error
// if there are no keys.
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
