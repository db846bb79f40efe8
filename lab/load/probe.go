package load

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"stateless-servers/lab/check"
)

const (
	// probeTimeout is the least timeout of a response to a probe, since the target may not be warm yet.
	probeTimeout = 10 * time.Second

	// A probe is repeated while a server or the store is not ready, or while the load balancer sends requests to a server that
	// has just died.
	availableTimeout  = 10 * time.Second
	availableInterval = 250 * time.Millisecond
)

// A probed describes a target, as a probe has found it.
type probed struct {
	idle     time.Duration // the idle timeout of sessions
	byLogin  bool          // sessions must be opened with a login, because the store keeps no later changes
	contract bool          // the target is another application, which follows the lab's contract
}

// probe checks that the target is the sample application, or another one that follows the lab's contract. It logs in as user.
func probe(ctx context.Context, client client, target, user string) (p probed, err error) {
	jar, began := &cookies{}, time.Now()
	client.timeout = max(client.timeout, probeTimeout)
	ask := func(kind check.Kind, method, path string, form url.Values) (response, error) {
		o := outgoing{kind: kind, method: method, path: path, form: form.Encode(), cookies: jar.header}
		response := client.send(ctx, o)
		for response.unavailable() && time.Since(began) < availableTimeout && ctx.Err() == nil {
			time.Sleep(availableInterval)
			response = client.send(ctx, o)
		}
		jar.apply(response.setCookie)
		err := response.explain(target, method+" "+path)
		if err == nil && (kind == check.Read || kind == check.Login) {
			err = response.mustBeSession(target, kind)
		}
		return response, err
	}
	first, err := ask(check.Read, http.MethodGet, "/api/session", nil)
	if p.contract = errors.Is(err, errNotSample); p.contract {
		first.Body = contractBody(check.Read, first.Body)
		err = first.mustBeSession(target, check.Read)
	}
	if err != nil {
		return p, err
	}
	login, err := ask(check.Login, http.MethodPost, "/login", url.Values{"user": {user}})
	if p.contract && errors.Is(err, errNotSample) {
		err = nil
	}
	if err != nil {
		return p, err
	}
	change, err := ask(check.Write, http.MethodPost, "/api/visits", nil)
	p.byLogin = change.Status == http.StatusNotImplemented
	if err == nil || p.byLogin {
		_, err = ask(check.Logout, http.MethodPost, "/logout", nil)
	}
	if p.idle = login.Lifetime(); p.contract {
		p.idle = contractLifetime
	}
	return p, err
}

// errNotSample says that a response is not in the form of the sample application.
var errNotSample = errors.New("answers, but not as the sample application does, with a session and the server's name")

// explain returns an error that describes a response that the sample application doesn't give to a probe.
func (r response) explain(target, request string) error {
	switch {
	case r.Error != "":
		return fmt.Errorf("%s doesn't answer %s (%s); lab up starts an application on this machine", target, request, r.Error)
	case r.location != "":
		return fmt.Errorf("%s redirects to %s: test that address", target, r.location)
	case r.unavailable():
		return fmt.Errorf("%s answers %s with %d %s, for %v; its servers or their store are down or overloaded",
			target, request, r.Status, http.StatusText(r.Status), availableTimeout)
	case r.Status != http.StatusOK:
		return fmt.Errorf("%s answers %s with %d %s; load tests need the routes of docs/explore.md",
			target, request, r.Status, http.StatusText(r.Status))
	}
	return nil
}

// unavailable reports whether a server, its store or the load balancer failed in a way that may pass.
func (r response) unavailable() bool {
	return r.Status == http.StatusBadGateway || r.Status == http.StatusServiceUnavailable || r.Status == http.StatusGatewayTimeout
}

// mustBeSession parses a response that must show a session.
func (r *response) mustBeSession(target string, kind check.Kind) error {
	if err := r.Parse(kind, r.Body); err != nil || r.Server == "" || kind == check.Login && r.Lifetime() <= 0 {
		return fmt.Errorf("%s %w; docs/explore.md has the routes that load tests need", target, errNotSample)
	}
	return nil
}
