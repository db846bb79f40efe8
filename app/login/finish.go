package login

import (
	"cmp"
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"

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
	f, ok := c.flow(r)
	if !ok {
		return "", "", &Refusal{reason: fmt.Sprintf("No login is under way in this browser, or it took longer than %v. "+
			"Log in again.", Lifetime)}
	}
	if subtle.ConstantTimeCompare([]byte(query.Get("state")), []byte(f.state)) != 1 {
		// The cookie stays: whoever sent the visitor here must not be able to end the login that is under way.
		return "", "", &Refusal{reason: "This is not the answer to the login that is under way in this browser. Log in again."}
	}
	c.setCookie(w, "", 0)
	if query.Has("iss") && query.Get("iss") != c.options.Issuer {
		return "", "", unacceptable(fmt.Errorf("the answer names the issuer %q", query.Get("iss")))
	}
	if query.Has("error") {
		return "", "", &Refusal{reason: fmt.Sprintf("The login provider says %q. Log in again.", query.Get("error"))}
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

// withoutAnswer is the error without an answer that isn't OAuth's. It may be anything, and repeat what was sent: the code,
// the verifier, the client's secret.
func withoutAnswer(err error) error {
	var refused *oauth2.RetrieveError
	if errors.As(err, &refused) && refused.ErrorCode == "" {
		return fmt.Errorf("the answer is %s", refused.Response.Status)
	}
	return err
}

// verify checks an ID token (OpenID Connect Core 1.0, 3.1.3.7): signature, issuer, audience, expiry, nonce.
func (c *Client) verify(ctx context.Context, p *discovered, raw, nonce string) (subject, name string, err error) {
	keys := &keys{KeySet: p.keys}
	verifier := oidc.NewVerifier(c.options.Issuer, keys, &oidc.Config{
		ClientID: c.options.ClientID, SupportedSigningAlgs: algorithms(),
	})
	token, err := verifier.Verify(ctx, raw)
	switch {
	case keys.outage != nil:
		return "", "", fmt.Errorf("ask the login provider for its keys: %w", keys.outage)
	case err != nil:
		return "", "", unacceptable(err)
	case subtle.ConstantTimeCompare([]byte(token.Nonce), []byte(nonce)) != 1:
		return "", "", unacceptable(errors.New("the nonce is another login's"))
	case token.Subject == "" || len(token.Subject) > maxSubject:
		return "", "", unacceptable(fmt.Errorf("the subject has %d bytes, allowed are 1 to %d", len(token.Subject), maxSubject))
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

func unacceptable(cause error) error {
	return &Refusal{"What the login provider says can't be accepted. Log in again.", cause}
}
