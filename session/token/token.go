// Package token keeps a session in a signed JSON Web Token (RFC 7519) in the visitor's cookie. Every server verifies the
// token on every request, and no store is needed. Start reading at Codec, which New creates for session.NewWithCodec.
//
// Use it for the logged-in user and a few values that don't change before the next login, such as a tenant or roles. It has
// these limits:
//
//   - Without package revocation a token can't be revoked. Logout removes the cookie from the browser, and a login or a renewal
//     replaces it, but a copy of the token stays valid until it expires, and with it the roles that it states. Only a new key
//     ends tokens early, and it logs every visitor out. A token is valid for session.Options.Lifetime (24 hours by default), or
//     RememberLifetime (30 days) if its login was remembered: keep that short.
//   - Values are stored at login. Later changes fail with session.ErrUnsupported.
//   - There is no idle timeout, because the time of the last use is not recorded.
//   - Visitors can read the token: it is signed, not encrypted. Package cookie encrypts.
//   - The sessions of a user can't be listed, nor ended on other devices without package revocation.
//   - A session holds about 2.5 KB, and every request sends it.
//
// # The token
//
// A token is signed with HMAC-SHA-256 (HS256), because the same servers issue and verify it. With Options.RSAKeys it is signed
// with RSA (RS256), so that other services, API gateways and load balancers can verify it without a secret: Codec.KeySetHandler
// serves the public keys. Verifying then takes about 30 µs per request instead of 3.
//
// The key fixes the algorithm, never the token (RFC 8725, 3.1): the header "kid" selects the key, and a token that names another
// algorithm than that of the key, or none, is rejected before its claims are read. The kid of a secret key is derived from it;
// that of an RSA key is its thumbprint (RFC 7638). See package sealing for secret keys and their rotation, and RSAKeys for RSA.
//
// Registered claims (RFC 7519, 4.1): "sub" is the user, "jti" the session's id, "iat" and "nbf" its start, "exp" its end, "iss"
// and "aud" are the Options. The claim "values" has the session's values, and "agent" the user agent. Clients that keep no
// cookies send a token as "Authorization: Bearer" with session.Options.TokenHeader. The claim "idle_timeout" is only in tokens of
// remembered logins: a new token of such a session gets a cookie that outlives the browser, too.
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

// Options identify the tokens of an application. All servers that share sessions have the same options.
type Options struct {
	// Issuer is the claim "iss", such as "https://shop.example": at most 200 bytes of UTF-8. If it is empty, tokens have none,
	// and those that have one are rejected.
	Issuer string
	// Audience is the claim "aud": 1 to 200 bytes of UTF-8.
	Audience string
	// RSAKeys, if their first key is a private one, sign tokens instead of the secret keys. All of them verify tokens.
	RSAKeys RSAKeys
}

// A Codec encodes sessions as signed tokens and verifies them. Create one with New.
type Codec struct {
	options    Options
	signer     jose.Signer
	keys       jose.JSONWebKeySet
	algorithms []jose.SignatureAlgorithm // of the keys
	maxBytes   int
}

var _ session.Codec = (*Codec)(nil)

// claims is the payload of a token.
type claims struct {
	jwt.Claims
	UserAgent   string                     `json:"agent,omitempty"`
	Values      map[string]json.RawMessage `json:"values,omitempty"`
	IdleTimeout int64                      `json:"idle_timeout,omitempty"` // Record.IdleTimeout in seconds
}

// New returns a Codec. All servers that share sessions have the same keys and options. With RSAKeys that sign, the secret keys
// only verify the tokens that they signed before, and may be the zero Keys. New returns an error if an option is malformed or
// if there is no key that signs.
func New(keys sealing.Keys, options Options) (*Codec, error) {
	for _, option := range []struct {
		name, value string
		minBytes    int
	}{{"Issuer", options.Issuer, 0}, {"Audience", options.Audience, 1}} {
		if n := len(option.value); n < option.minBytes || n > 200 || !utf8.ValidString(option.value) {
			return nil, fmt.Errorf("token option %s is %q: allowed are %d to 200 bytes of UTF-8", option.name, option.value, option.minBytes)
		}
	}
	s := &Codec{options: options, algorithms: []jose.SignatureAlgorithm{jose.HS256}}
	private, public := options.RSAKeys.keys()
	if err := s.addSecrets(keys); err != nil && private == nil {
		return nil, err
	}
	signing := jose.SigningKey{Algorithm: jose.RS256, Key: private}
	if len(public) > 0 {
		s.algorithms = append(s.algorithms, jose.RS256)
		s.keys.Keys = append(public, s.keys.Keys...)
	}
	if private == nil {
		signing = jose.SigningKey{Algorithm: jose.HS256, Key: s.keys.Keys[len(public)].Key}
		public = s.keys.Keys[len(public):]
	}
	// The library doesn't write the header "kid" for these keys by itself.
	named := (&jose.SignerOptions{}).WithHeader("kid", public[0].KeyID)
	var err error
	if s.signer, err = jose.NewSigner(signing, named); err != nil {
		return nil, fmt.Errorf("session token key: %w", err)
	}
	empty, err := s.Encode(session.ID{}, session.Record{User: "u", Expires: time.Unix(1e9, 0), Created: time.Unix(1e9, 0)})
	if err != nil {
		return nil, err
	}
	s.maxBytes = (sealing.MaxValue - len(empty)) * 3 / 4
	return s, nil
}

// addSecrets adds the secret keys, which sign and verify with HS256.
func (s *Codec) addSecrets(keys sealing.Keys) error {
	secrets, err := keys.Derive("session token HS256")
	if err != nil {
		return err
	}
	names, err := keys.Derive("session token kid")
	if err != nil {
		return err
	}
	for i, secret := range secrets {
		kid := base64.RawURLEncoding.EncodeToString(names[i][:8])
		s.keys.Keys = append(s.keys.Keys, jose.JSONWebKey{Key: secret, KeyID: kid, Algorithm: string(jose.HS256)})
	}
	return nil
}

// Promises declares that every server accepts the tokens of all servers, and that sessions can't change after login. MaxBytes
// is an upper bound: JSON adds 4 bytes of punctuation per key, and escapes some characters. Encode returns
// session.ErrTooLarge for a session that doesn't fit.
func (s *Codec) Promises() session.Promises {
	return session.Promises{Name: "token", Shared: true, ReadYourWrites: true, MaxBytes: s.maxBytes}
}

// Encode returns the token of a session. It rounds the start down and the expiry up to the second, and leaves out IdleExpires. In the user agent, it
// replaces bytes that are not UTF-8 with U+FFFD. It returns session.ErrTooLarge if the token is longer than sealing.MaxValue.
func (s *Codec) Encode(id session.ID, record session.Record) (string, error) {
	if !utf8.ValidString(record.User) {
		return "", fmt.Errorf("seal session token: user %q is not UTF-8", record.User) // in JSON two such names could become one
	}
	created := jwt.NewNumericDate(record.Created) // rounded down: other verifiers may allow no clock skew
	c := claims{
		Claims: jwt.Claims{
			Issuer: s.options.Issuer, Audience: jwt.Audience{s.options.Audience}, Subject: record.User, ID: id.String(),
			IssuedAt: created, NotBefore: created, Expiry: jwt.NewNumericDate(record.Expires.Add(time.Second - 1)),
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
	signed, err := jose.ParseSignedCompact(value, s.algorithms)
	if err != nil {
		return c, err
	}
	// The parser accepts non-canonical base64. Accept only the canonical form, so that a token has exactly one.
	if canonical, err := signed.CompactSerialize(); err != nil || canonical != value {
		return c, errMalformed
	}
	key, err := s.key(signed.Signatures[0].Header)
	if err != nil {
		return c, err
	}
	payload, err := signed.Verify(key)
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal(payload, &c); err != nil {
		return c, err
	}
	if c.IssuedAt == nil || c.NotBefore == nil || c.Expiry == nil {
		return c, errMalformed // the library doesn't check a time that is missing
	}
	if c.Issuer != s.options.Issuer {
		return c, errMalformed // the library accepts any if none is expected
	}
	expected := jwt.Expected{Issuer: s.options.Issuer, AnyAudience: jwt.Audience{s.options.Audience}, Time: now}
	return c, c.ValidateWithLeeway(expected, leeway)
}

// key returns the key that the header of a token names, if its algorithm is that of the key.
func (s *Codec) key(header jose.Header) (jose.JSONWebKey, error) {
	for _, key := range s.keys.Keys {
		if key.KeyID == header.KeyID {
			if key.Algorithm != header.Algorithm {
				return jose.JSONWebKey{}, errors.New("the token names another algorithm than that of its key")
			}
			return key, nil
		}
	}
	return jose.JSONWebKey{}, errors.New("the key of the token is unknown")
}
