// Package token keeps a login in a signed token, a JSON Web Token (RFC 7519), that every server checks on every request.
// No store is asked, so that none costs, fails or fills up.
//
// Choose it for who is logged in and little that goes with it, such as a tenant or roles, none of which changes before
// the next login. What it can't do:
//
//   - Be revoked. Logout removes the cookie from the browser, and a login or a renewal replaces it; a copy of the token
//     stays good until it expires, and so do the roles that it states. Only a new key ends tokens early, and it logs everybody out. A token lives for
//     session.Options.Lifetime (24 hours unless set): keep that as short as visitors bear.
//   - Change. Values are stored at login; after it, changes are refused with session.ErrUnsupported.
//   - Expire by idling: nothing notes when it was last used.
//   - Keep a secret from its visitor. It is signed, not encrypted; package cookie is.
//   - List a user's sessions, or end them elsewhere.
//   - Hold much: about 2.5 KB. And every request carries it.
//
// # The token
//
// It is signed with HMAC-SHA-256 (HS256): who checks a token is who issues it, the servers of one fleet. A public key
// would gain nothing, cost more on each request, and could be mistaken for a secret one. The algorithm is pinned: a token
// that names another, or none, is refused unread (RFC 8725, 3.1). "kid" names the key among several; it is derived from
// the key. See package sealing for the keys and their rotation.
//
// The claims are the registered ones: "sub" is the user, "jti" the session's id, "iat" and "nbf" its start, "exp" its
// end, "iss" and "aud" the Options. "values" has the session's values and "agent" the browser's own description.
package token

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"stateless-servers/session"
	"stateless-servers/session/sealing"
)

// leeway is how far the clock of the server that issued a token may be ahead of that of the one that checks it. Expiry has
// none: a session that ends seconds early on some server harms nobody, one that outlives its end might.
const leeway = 30 * time.Second

// algorithm is the only one that is signed with and accepted.
const algorithm = jose.HS256

// Options say whose tokens a Codec takes. Each is 1 to 200 bytes of UTF-8, and the same on all servers that share
// sessions.
type Options struct {
	Issuer   string // who issues the tokens, such as "https://shop.example"
	Audience string // who they are for
}

// A Codec signs sessions into tokens, and opens them. Create one with New.
type Codec struct {
	options  Options
	signer   jose.Signer
	keys     jose.JSONWebKeySet
	maxBytes int
}

var _ session.Codec = (*Codec)(nil)

// claims are the payload of a token.
type claims struct {
	jwt.Claims
	UserAgent string                     `json:"agent,omitempty"`
	Values    map[string]json.RawMessage `json:"values,omitempty"`
}

// New returns a Codec. Servers that share sessions have the same keys and options.
func New(keys sealing.Keys, options Options) (*Codec, error) {
	for _, option := range [][2]string{{"Issuer", options.Issuer}, {"Audience", options.Audience}} {
		if name, value := option[0], option[1]; value == "" || len(value) > 200 || !utf8.ValidString(value) {
			return nil, fmt.Errorf("token option %s is %q: allowed are 1 to 200 bytes of UTF-8", name, value)
		}
	}
	secrets, err := keys.Derive("session token HS256")
	if err != nil {
		return nil, err
	}
	names, err := keys.Derive("session token kid")
	if err != nil {
		return nil, err
	}
	s := &Codec{options: options}
	for i, secret := range secrets {
		kid := base64.RawURLEncoding.EncodeToString(names[i][:8])
		s.keys.Keys = append(s.keys.Keys, jose.JSONWebKey{Key: secret, KeyID: kid})
	}
	// The library names no secret key in the header by itself.
	named := (&jose.SignerOptions{}).WithHeader("kid", s.keys.Keys[0].KeyID)
	s.signer, err = jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: secrets[0]}, named)
	if err != nil {
		return nil, fmt.Errorf("session token key: %w", err)
	}
	empty, err := s.Encode(session.ID{}, session.Record{User: "u", Expires: time.Unix(1e9, 0), Created: time.Unix(1e9, 0)})
	if err != nil {
		return nil, err
	}
	s.maxBytes = (sealing.MaxValue - len(empty)) * 3 / 4
	return s, nil
}

// Promises declares that every server opens what any of them signed, and that nothing can change after login. MaxBytes
// is what fits at most: the punctuation of JSON takes 4 bytes a key, and some characters are longer in it.
func (s *Codec) Promises() session.Promises {
	return session.Promises{Name: "token", Shared: true, ReadYourWrites: true, MaxBytes: s.maxBytes}
}

// Encode returns the token, with the times to the second, rounded up, and without IdleExpires. ErrTooLarge: it would be
// longer than sealing.MaxValue. In a user agent, bytes that are no UTF-8 become U+FFFD.
func (s *Codec) Encode(id session.ID, record session.Record) (string, error) {
	if !utf8.ValidString(record.User) {
		return "", fmt.Errorf("seal session token: user %q is not UTF-8", record.User) // JSON would make two users one
	}
	created := numericDate(record.Created)
	c := claims{
		Claims: jwt.Claims{
			Issuer: s.options.Issuer, Audience: jwt.Audience{s.options.Audience}, Subject: record.User, ID: id.String(),
			IssuedAt: created, NotBefore: created, Expiry: numericDate(record.Expires),
		},
		UserAgent: record.UserAgent,
		Values:    make(map[string]json.RawMessage, len(record.Values)),
	}
	for key, value := range record.Values {
		c.Values[key] = json.RawMessage(value)
	}
	var payload bytes.Buffer
	encoder := json.NewEncoder(&payload)
	encoder.SetEscapeHTML(false) // values stay as they are
	if err := encoder.Encode(c); err != nil {
		return "", fmt.Errorf("seal session token: %w", err)
	}
	signed, err := s.signer.Sign(bytes.TrimSuffix(payload.Bytes(), []byte("\n")))
	if err != nil {
		return "", fmt.Errorf("seal session token: %w", err)
	}
	value, err := signed.CompactSerialize()
	if err != nil {
		return "", fmt.Errorf("seal session token: %w", err)
	}
	if len(value) > sealing.MaxValue {
		return "", fmt.Errorf("seal session token: %w: its %d bytes exceed %d", session.ErrTooLarge, len(value), sealing.MaxValue)
	}
	return value, nil
}

// Decode returns the live session of a token, else ErrNotFound. Its IdleExpires is its Expires.
func (s *Codec) Decode(value string, now time.Time) (session.ID, session.Record, error) {
	c, err := s.verify(value, now)
	if err != nil {
		return session.ID{}, session.Record{}, session.ErrNotFound
	}
	id, ok := session.ParseID(c.ID)
	record := session.Record{
		Values: make(map[string]string, len(c.Values)), User: c.Subject, UserAgent: c.UserAgent,
		Created: c.IssuedAt.Time(), Expires: c.Expiry.Time(), IdleExpires: c.Expiry.Time(),
	}
	for key, value := range c.Values {
		record.Values[key] = string(value)
	}
	if !ok || !record.Live(now) {
		return session.ID{}, session.Record{}, session.ErrNotFound
	}
	return id, record, nil
}

var errForm = errors.New("not in the form that Seal writes")

// verify returns the claims of a token that was signed with one of the keys, by and for whom Options say, and has begun.
// Its work is bounded by sealing.MaxValue.
func (s *Codec) verify(value string, now time.Time) (c claims, err error) {
	if len(value) > sealing.MaxValue {
		return c, errForm
	}
	signed, err := jose.ParseSignedCompact(value, []jose.SignatureAlgorithm{algorithm})
	if err != nil {
		return c, err
	}
	// The parser is lenient about the spelling of base64; a token has exactly one.
	if spelled, err := signed.CompactSerialize(); err != nil || spelled != value {
		return c, errForm
	}
	payload, err := signed.Verify(s.keys)
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal(payload, &c); err != nil {
		return c, err
	}
	if c.IssuedAt == nil || c.NotBefore == nil || c.Expiry == nil {
		return c, errForm // what isn't there, the library doesn't check
	}
	expected := jwt.Expected{Issuer: s.options.Issuer, AnyAudience: jwt.Audience{s.options.Audience}, Time: now}
	return c, c.ValidateWithLeeway(expected, leeway)
}

func numericDate(t time.Time) *jwt.NumericDate { return jwt.NewNumericDate(t.Add(time.Second - 1)) }
