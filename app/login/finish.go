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
	cause  error // for the operator; nil if there is nothing more to say
}

// Error returns the reason and the cause, for the operator's log.
func (r *Refusal) Error() string {
	if r.cause == nil {
		return r.reason
	}
	return r.reason + ": " + r.cause.Error()
}

// Unwrap returns the cause, or nil.
func (r *Refusal) Unwrap() error { return r.cause }

// Reason returns the reason in sentences for the visitor. It contains no secret, and nothing of the provider's response
// except an error code that matches errorCodePattern.
func (r *Refusal) Reason() string { return r.reason }

// maxSubject bounds the length of a subject, in bytes (OpenID Connect Core 1.0, 2).
const maxSubject = 255

// clockSkew bounds the difference between the clocks of the provider and of this server. maxBackdating bounds how far in the
// past the issue time of a new token may be: Microsoft Entra ID sets it five minutes back.
const (
	clockSkew     = 2 * time.Minute
	maxBackdating = 5 * time.Minute
)

// errorCodePattern matches the error codes of OAuth and OpenID Connect. Any other text in their place is neither shown to
// visitors nor logged, because an attacker may have written it, and it may contain secrets of the request.
var errorCodePattern = regexp.MustCompile(`^[a-z_]{1,40}$`)

// algorithms returns the accepted signature algorithms. All are asymmetric.
func algorithms() []string { return []string{oidc.RS256, oidc.PS256, oidc.ES256, oidc.EdDSA} }

// Finish handles the request to RedirectURL that ends a login, and returns the user's subject and name. The subject is the
// provider's identifier of the user, which never changes and is never reassigned (OpenID Connect Core 1.0, 5.7). The name is
// for display; it may be empty, and other users may have the same. The error is a *Refusal if the login isn't accepted, and
// another error if the provider doesn't respond.
func (c *Client) Finish(w http.ResponseWriter, r *http.Request) (subject, name string, err error) {
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	query := r.URL.Query()
	f, err := c.flow(r, query.Get("state"))
	if err != nil {
		// Keep the cookie: another site that links here must not be able to end a login in progress.
		return "", "", err
	}
	subject, name, err = c.finish(ctx, f, query)
	var refusal *Refusal
	if err == nil || errors.As(err, &refusal) {
		c.setCookie(w, "", 0) // if the provider doesn't respond, the visitor can retry with it
	}
	return subject, name, err
}

// finish verifies the provider's response for f, exchanges the code for tokens, and verifies the ID token.
func (c *Client) finish(ctx context.Context, f flow, query url.Values) (subject, name string, err error) {
	if query.Has("iss") && query.Get("iss") != c.options.Issuer {
		return "", "", invalidResponse(fmt.Errorf("the response is from the issuer %q", query.Get("iss")))
	}
	if query.Has("error") {
		reason := "The login provider reports an unknown error. Log in again."
		if code := query.Get("error"); errorCodePattern.MatchString(code) {
			reason = fmt.Sprintf("The login provider reports the error %q. Log in again.", code)
		}
		return "", "", &Refusal{reason: reason}
	}
	p, err := c.discover(ctx)
	if err != nil {
		return "", "", err
	}
	if p.SendsIssuer && !query.Has("iss") {
		return "", "", invalidResponse(errors.New("the response has no issuer"))
	}
	ctx = oidc.ClientContext(ctx, c.http)
	token, err := c.oauth2(p).Exchange(ctx, query.Get("code"), oauth2.VerifierOption(f.verifier))
	switch {
	case isOutage(err):
		return "", "", fmt.Errorf("exchange the code of a login: %w", err)
	case err != nil:
		return "", "", &Refusal{"The login provider refused the login's code, which may have expired. Log in again.", redact(err)}
	}
	raw, _ := token.Extra("id_token").(string)
	return c.verify(ctx, p, raw, f.nonce)
}

// redact returns err without the provider's response, except for its status and error code. The rest may repeat the request,
// which contains the code, the verifier and the client's secret.
func redact(err error) error {
	var refused *oauth2.RetrieveError
	switch {
	case !errors.As(err, &refused):
		return truncate(err)
	case errorCodePattern.MatchString(refused.ErrorCode):
		return fmt.Errorf("the response is %s, %s", refused.Response.Status, refused.ErrorCode)
	default:
		return fmt.Errorf("the response is %s", refused.Response.Status)
	}
}

// verify verifies an ID token (OpenID Connect Core 1.0, 3.1.3.7): signature, issuer, audience, times, nonce and subject. It
// returns the user's subject and name.
func (c *Client) verify(ctx context.Context, p *configuration, raw, nonce string) (subject, name string, err error) {
	keys, now := &keySet{KeySet: p.keys}, time.Now()
	verifier := oidc.NewVerifier(c.options.Issuer, keys, &oidc.Config{
		ClientID: c.options.ClientID, SupportedSigningAlgs: algorithms(),
		Now: func() time.Time { return now.Add(-clockSkew) }, // the verifier itself allows five minutes for nbf
	})
	token, err := verifier.Verify(ctx, raw)
	switch {
	case keys.outage != nil:
		return "", "", fmt.Errorf("get the login provider's keys: %w", keys.outage)
	case err != nil:
		return "", "", invalidResponse(err)
	case now.Sub(token.IssuedAt) > maxBackdating+clockSkew || token.IssuedAt.Sub(now) > clockSkew:
		return "", "", invalidResponse(fmt.Errorf("the token was issued at %v, and now is %v", token.IssuedAt, now))
	case subtle.ConstantTimeCompare([]byte(token.Nonce), []byte(nonce)) != 1:
		return "", "", invalidResponse(errors.New("the nonce is that of a different login"))
	case !isSubject(token.Subject):
		return "", "", invalidResponse(fmt.Errorf("the subject has %d bytes; allowed are 1 to %d bytes of printable ASCII, not only spaces",
			len(token.Subject), maxSubject))
	}
	var claims struct {
		Party             string `json:"azp"`
		PreferredUsername string `json:"preferred_username"`
		Email             string `json:"email"`
		Name              string `json:"name"`
	}
	if err := token.Claims(&claims); err != nil {
		return "", "", invalidResponse(err)
	}
	if (claims.Party != "" || len(token.Audience) > 1) && claims.Party != c.options.ClientID {
		return "", "", invalidResponse(fmt.Errorf("the token was issued to %q", claims.Party))
	}
	return token.Subject, cmp.Or(claims.PreferredUsername, claims.Email, claims.Name), nil
}

// isSubject reports whether s is printable ASCII of at most maxSubject bytes (OpenID Connect Core 1.0, 2). With other
// characters, two users could look the same, or be the same for a store.
func isSubject(s string) bool {
	unprintable := func(c rune) bool { return c < ' ' || c > '~' }
	return strings.Trim(s, " ") != "" && len(s) <= maxSubject && !strings.ContainsFunc(s, unprintable)
}

func invalidResponse(cause error) error {
	return &Refusal{"The login provider's response isn't valid. Log in again.", truncate(cause)}
}
