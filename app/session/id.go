package session

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
)

// An ID is what a store knows a session by: the SHA-256 of the secret in the visitor's cookie. Whoever reads the store
// can't take over a session with it.
type ID [sha256.Size]byte

// String returns the ID in unpadded base64url, 43 characters.
func (id ID) String() string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// Append appends what String returns to b.
func (id ID) Append(b []byte) []byte { return base64.RawURLEncoding.AppendEncode(b, id[:]) }

// ParseID reads what String wrote.
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

func newToken() token {
	var secret [tokenBytes]byte
	rand.Read(secret[:]) // never fails: crypto/rand ends the program instead
	return token(base64.RawURLEncoding.EncodeToString(secret[:]))
}

// parseToken tells whether value has the form of a token. What doesn't is never asked of a store.
func parseToken(value string) (token, bool) {
	var secret [tokenBytes]byte
	n, err := decodeInto(secret[:], value)
	return token(value), err == nil && n == tokenBytes
}

func (t token) id() ID {
	var buffer [tokenLength]byte // on the stack, where a conversion of the string would not be
	return sha256.Sum256(append(buffer[:0], t...))
}

// decodeInto rejects encodings that are not canonical: each secret has exactly one spelling.
func decodeInto(to []byte, text string) (int, error) {
	if len(text) != tokenLength {
		return 0, base64.CorruptInputError(len(text))
	}
	return base64.RawURLEncoding.Strict().Decode(to, []byte(text))
}
