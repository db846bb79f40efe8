// Package token keeps a session in a signed JSON Web Token (RFC 7519) in the visitor's cookie. Every server verifies the
// token on every request, and no store is needed. Start reading at Codec, which New creates for session.NewWithCodec.
//
// Use it for the logged-in user and a few values that don't change before the next login, such as a tenant or roles. It has
// these limits:
//
//   - A token can't be revoked. Logout removes the cookie from the browser, and a login or a renewal replaces it, but a copy
//     of the token stays valid until it expires, and with it the roles that it states. Only a new key ends tokens early,
//     and it logs every visitor out. A token is valid for session.Options.Lifetime (24 hours by default), or
//     RememberLifetime (30 days) if its login was remembered: keep that short.
//   - Values are stored at login. Later changes fail with session.ErrUnsupported.
//   - There is no idle timeout, because the time of the last use is not recorded.
//   - Visitors can read the token: it is signed, not encrypted. Package cookie encrypts.
//   - The sessions of a user can be neither listed nor ended on other devices.
//   - A session holds about 2.5 KB, and every request sends it.
//
// # The token
//
// A token is signed with HMAC-SHA-256 (HS256), because the same servers issue and verify it. Public-key signatures would cost
// more on each request and add the risk of confusing public and secret keys. Only this algorithm is accepted: a token that
// names another, or none, is rejected before its claims are read (RFC 8725, 3.1). The header "kid" identifies the key among
// several; it is derived from the key. See package sealing for the keys and their rotation.
//
// Registered claims: "sub" is the user, "jti" the session's id, "iat" and "nbf" its start, "exp" its end, "iss" and "aud" are
// the Options. The claim "values" has the session's values, and "agent" the user agent. The claim "idle_timeout" is only in
// tokens of remembered logins: a new token of such a session gets a cookie that outlives the browser, too.
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

// leeway is the time by which the clock of the server that issued a token may be ahead of the clock of the server that
// verifies it. It does not apply to expiry: a session may end early by seconds, but never late.
const leeway = 30 * time.Second

// algorithm is the only signature algorithm that is used and accepted.
const algorithm = jose.HS256

// Options identify the tokens of an application. Each option is 1 to 200 bytes of UTF-8. All servers that share sessions have
// the same options.
type Options struct {
	Issuer   string // the claim "iss", such as "https://shop.example"
	Audience string // the claim "aud"
}

// A Codec encodes sessions as signed tokens and verifies them. Create one with New.
type Codec struct {
	options  Options
	signer   jose.Signer
	keys     jose.JSONWebKeySet
	maxBytes int
}

var _ session.Codec = (*Codec)(nil)

// claims is the payload of a token.
type claims struct {
	jwt.Claims
	UserAgent   string                     `json:"agent,omitempty"`
	Values      map[string]json.RawMessage `json:"values,omitempty"`
	IdleTimeout int64                      `json:"idle_timeout,omitempty"` // Record.IdleTimeout in seconds
}

// New returns a Codec. All servers that share sessions have the same keys and options. New returns an error if an option is
// malformed or if there are no keys.
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
	// The library doesn't write the header "kid" for a symmetric key by itself.
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

// Promises declares that every server accepts the tokens of all servers, and that sessions can't change after login. MaxBytes
// is an upper bound: JSON adds 4 bytes of punctuation per key, and escapes some characters. Encode returns
// session.ErrTooLarge for a session that doesn't fit.
func (s *Codec) Promises() session.Promises {
	return session.Promises{Name: "token", Shared: true, ReadYourWrites: true, MaxBytes: s.maxBytes}
}

// Encode returns the token of a session. It rounds times up to the second and leaves out IdleExpires. In the user agent, it
// replaces bytes that are not UTF-8 with U+FFFD. It returns session.ErrTooLarge if the token is longer than sealing.MaxValue.
func (s *Codec) Encode(id session.ID, record session.Record) (string, error) {
	if !utf8.ValidString(record.User) {
		return "", fmt.Errorf("seal session token: user %q is not UTF-8", record.User) // in JSON two such names could become one
	}
	created := numericDate(record.Created)
	c := claims{
		Claims: jwt.Claims{
			Issuer: s.options.Issuer, Audience: jwt.Audience{s.options.Audience}, Subject: record.User, ID: id.String(),
			IssuedAt: created, NotBefore: created, Expiry: numericDate(record.Expires),
		},
		UserAgent:   record.UserAgent,
		Values:      make(map[string]json.RawMessage, len(record.Values)),
		IdleTimeout: int64((record.IdleTimeout + time.Second - 1) / time.Second),
	}
	for key, value := range record.Values {
		c.Values[key] = json.RawMessage(value)
	}
	var payload bytes.Buffer
	encoder := json.NewEncoder(&payload)
	encoder.SetEscapeHTML(false) // keep the JSON of values unchanged
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

// Decode verifies a token and returns its session, with IdleExpires equal to Expires. It returns session.ErrNotFound if the
// token is not valid or the session is not live.
func (s *Codec) Decode(value string, now time.Time) (session.ID, session.Record, error) {
	c, err := s.verify(value, now)
	if err != nil {
		return session.ID{}, session.Record{}, session.ErrNotFound
	}
	id, ok := session.ParseID(c.ID)
	record := session.Record{
		Values: make(map[string]string, len(c.Values)), User: c.Subject, UserAgent: c.UserAgent,
		Created: c.IssuedAt.Time(), Expires: c.Expiry.Time(), IdleExpires: c.Expiry.Time(),
		IdleTimeout: time.Duration(c.IdleTimeout) * time.Second,
	}
	for key, value := range c.Values {
		record.Values[key] = string(value)
	}
	if !ok || !record.Live(now) {
		return session.ID{}, session.Record{}, session.ErrNotFound
	}
	return id, record, nil
}

var errMalformed = errors.New("not a token in the form that Encode writes")

// verify checks the signature, the issuer, the audience and the times of a token, and returns its claims. Its work is bounded
// by sealing.MaxValue.
func (s *Codec) verify(value string, now time.Time) (c claims, err error) {
	if len(value) > sealing.MaxValue {
		return c, errMalformed
	}
	signed, err := jose.ParseSignedCompact(value, []jose.SignatureAlgorithm{algorithm})
	if err != nil {
		return c, err
	}
	// The parser accepts non-canonical base64. Accept only the canonical form, so that a token has exactly one.
	if canonical, err := signed.CompactSerialize(); err != nil || canonical != value {
		return c, errMalformed
	}
	payload, err := signed.Verify(s.keys)
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal(payload, &c); err != nil {
		return c, err
	}
	if c.IssuedAt == nil || c.NotBefore == nil || c.Expiry == nil {
		return c, errMalformed // the library doesn't check a time that is missing
	}
	expected := jwt.Expected{Issuer: s.options.Issuer, AnyAudience: jwt.Audience{s.options.Audience}, Time: now}
	return c, c.ValidateWithLeeway(expected, leeway)
}

func numericDate(t time.Time) *jwt.NumericDate { return jwt.NewNumericDate(t.Add(time.Second - 1)) }
