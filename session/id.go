package session

import (
	"crypto/sha256"
	"encoding/base64"
)

// An ID identifies a session in a store. It is the SHA-256 of the secret in the visitor's cookie, so that read access to the
// store is not enough to take over a session.
type ID [sha256.Size]byte

// String returns the ID in unpadded base64url, 43 characters.
func (id ID) String() string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// Append appends the text of String to b and returns the extended slice.
func (id ID) Append(b []byte) []byte { return base64.RawURLEncoding.AppendEncode(b, id[:]) }

// ParseID parses the text that String returns. It reports false for any other text.
func ParseID(text string) (id ID, ok bool) {
	n, err := decodeInto(id[:], text)
	return id, err == nil && n == len(id)
}

// A token is the secret in the visitor's cookie: 256 bits from crypto/rand, in unpadded base64url.
type token string

const (
	tokenBytes  = 32 // 256 bits; OWASP ASVS 5.0, 7.2.3 asks for at least 128
	tokenLength = 43 // of tokenBytes in unpadded base64url
)

// newToken encodes a secret.
func newToken(secret [tokenBytes]byte) token {
	return token(base64.RawURLEncoding.EncodeToString(secret[:]))
}

// parseToken returns value as a token, and reports whether it has the form of one. A store is never asked about any other
// value.
func parseToken(value string) (token, bool) {
	var secret [tokenBytes]byte
	n, err := decodeInto(secret[:], value)
	return token(value), err == nil && n == tokenBytes
}

func (t token) id() ID {
	var encoded [tokenLength]byte // stays on the stack; []byte(t) would be allocated
	copy(encoded[:], t)
	return tokenID(encoded)
}

// tokenID returns the id of the session of a token.
func tokenID(encoded [tokenLength]byte) ID { return sha256.Sum256(encoded[:]) }

// decodeInto decodes base64url and rejects encodings that are not canonical, so that each secret has exactly one token.
func decodeInto(to []byte, text string) (int, error) {
	if len(text) != tokenLength {
		return 0, base64.CorruptInputError(len(text))
	}
	return base64.RawURLEncoding.Strict().Decode(to, []byte(text))
}
