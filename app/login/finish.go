package login

import (
	"cmp"
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// A Refusal is the error of a login that isn't accepted.
type Refusal struct {
	reason string
	cause  error // for the operator; nil when it is the visitor's own
}

// Error says why, for the operator: with the cause, if there is one.
func (r *Refusal) Error() string {
	if r.cause == nil {
		return r.reason
	}
	return r.reason + ": " + r.cause.Error()
}

// Unwrap returns the cause, or nil.
func (r *Refusal) Unwrap() error { return r.cause }

// Refusal says why to the visitor, in sentences.
func (r *Refusal) Refusal() string { return r.reason }

// maxSubject bounds a subject, in bytes (OpenID Connect Core 1.0, 2).
const maxSubject = 255

// The provider's clock may differ from this server's by clockSkew. Tokens may be dated back by backdating: Microsoft
// Entra ID does so by as much.
const (
	clockSkew  = 2 * time.Minute
	backdating = 5 * time.Minute
)

// errorCode is the form of the error codes of OAuth and OpenID Connect. A text of another form in their place is shown
// neither to visitors nor in the log: anybody may have written it, and it may repeat what was sent.
var errorCode = regexp.MustCompile(`^[a-z_]{1,40}$`)

// algorithms are the signatures that are accepted: by keys of which the public part verifies, so that nobody who can
// verify can sign.
func algorithms() []string { return []string{oidc.RS256, oidc.PS256, oidc.ES256, oidc.EdDSA} }

// Finish finishes the login that the visitor brings back from the provider. It returns who they are: subject is the
// provider's own name for them, which never changes and is never given to another (OpenID Connect Core 1.0, 5.7), and name
// is how they know themselves, "" or one that others may have too. A *Refusal means that the login isn't accepted, another
// error that the provider doesn't answer.
func (c *Client) Finish(w http.ResponseWriter, r *http.Request) (subject, name string, err error) {
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	query := r.URL.Query()
	f, err := c.flow(r, query.Get("state"))
	if err != nil {
		// The cookie stays: whoever sent the visitor here must not be able to end the login that is under way.
		return "", "", err
	}
	subject, name, err = c.finish(ctx, f, query)
	var refusal *Refusal
	if err == nil || errors.As(err, &refusal) {
		c.setCookie(w, "", 0) // it stays when the provider doesn't answer, so that the visitor can try again
	}
	return subject, name, err
}

// finish finishes f with the provider's answer.
func (c *Client) finish(ctx context.Context, f flow, query url.Values) (subject, name string, err error) {
	if query.Has("iss") && query.Get("iss") != c.options.Issuer {
		return "", "", unacceptable(fmt.Errorf("the answer names the issuer %q", query.Get("iss")))
	}
	if query.Has("error") {
		reason := "The login provider reports an error. Log in again."
		if code := query.Get("error"); errorCode.MatchString(code) {
			reason = fmt.Sprintf("The login provider says %q. Log in again.", code)
		}
		return "", "", &Refusal{reason: reason}
	}
	p, err := c.discover(ctx)
	if err != nil {
		return "", "", err
	}
	if p.SendsIssuer && !query.Has("iss") {
		return "", "", unacceptable(errors.New("the answer names no issuer"))
	}
	ctx = oidc.ClientContext(ctx, c.http)
	token, err := c.oauth2(p).Exchange(ctx, query.Get("code"), oauth2.VerifierOption(f.verifier))
	switch {
	case isOutage(err):
		return "", "", fmt.Errorf("exchange the code of a login: %w", err)
	case err != nil:
		return "", "", &Refusal{"The login provider doesn't accept its code (any more). Log in again.", withoutAnswer(err)}
	}
	raw, _ := token.Extra("id_token").(string)
	return c.verify(ctx, p, raw, f.nonce)
}

// withoutAnswer returns err without the provider's answer, except for its status and error code: the rest may repeat what
// was sent, which is the code, the verifier and the client's secret.
func withoutAnswer(err error) error {
	var refused *oauth2.RetrieveError
	switch {
	case !errors.As(err, &refused):
		return brief(err)
	case errorCode.MatchString(refused.ErrorCode):
		return fmt.Errorf("the answer is %s, %s", refused.Response.Status, refused.ErrorCode)
	default:
		return fmt.Errorf("the answer is %s", refused.Response.Status)
	}
}

// verify checks an ID token (OpenID Connect Core 1.0, 3.1.3.7): signature, issuer, audience, times, nonce and
// subject.
func (c *Client) verify(ctx context.Context, p *discovered, raw, nonce string) (subject, name string, err error) {
	keys, now := &keys{KeySet: p.keys}, time.Now()
	verifier := oidc.NewVerifier(c.options.Issuer, keys, &oidc.Config{
		ClientID: c.options.ClientID, SupportedSigningAlgs: algorithms(),
		Now: func() time.Time { return now.Add(-clockSkew) }, // for nbf, the verifier itself allows five minutes more
	})
	token, err := verifier.Verify(ctx, raw)
	switch {
	case keys.outage != nil:
		return "", "", fmt.Errorf("ask the login provider for its keys: %w", keys.outage)
	case err != nil:
		return "", "", unacceptable(err)
	case now.Sub(token.IssuedAt) > backdating+clockSkew || token.IssuedAt.Sub(now) > clockSkew:
		return "", "", unacceptable(fmt.Errorf("the token was issued at %v, and now is %v", token.IssuedAt, now))
	case subtle.ConstantTimeCompare([]byte(token.Nonce), []byte(nonce)) != 1:
		return "", "", unacceptable(errors.New("the nonce is another login's"))
	case !isSubject(token.Subject):
		return "", "", unacceptable(fmt.Errorf("the subject has %d bytes, allowed are 1 to %d of printable ASCII, not spaces alone",
			len(token.Subject), maxSubject))
	}
	var claims struct {
		Party             string `json:"azp"`
		PreferredUsername string `json:"preferred_username"`
		Email             string `json:"email"`
		Name              string `json:"name"`
	}
	if err := token.Claims(&claims); err != nil {
		return "", "", unacceptable(err)
	}
	if (claims.Party != "" || len(token.Audience) > 1) && claims.Party != c.options.ClientID {
		return "", "", unacceptable(fmt.Errorf("the token was issued to %q", claims.Party))
	}
	return token.Subject, cmp.Or(claims.PreferredUsername, claims.Email, claims.Name), nil
}

// isSubject reports whether s is a subject: ASCII (OpenID Connect Core 1.0, 2) that can be seen. With other characters, two
// users could look alike, or be alike to a store.
func isSubject(s string) bool {
	unprintable := func(c rune) bool { return c < ' ' || c > '~' }
	return strings.Trim(s, " ") != "" && len(s) <= maxSubject && !strings.ContainsFunc(s, unprintable)
}

func unacceptable(cause error) error {
	return &Refusal{"What the login provider says can't be accepted. Log in again.", brief(cause)}
}
