package load

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"stateless-servers/lab/check"
)

const (
	// probeTimeout is the least timeout of a response to a probe, since the target may not be warm yet.
	probeTimeout = 10 * time.Second

	// A 503 says that the store or the server is not ready, which may pass in the first seconds.
	availableTimeout  = 10 * time.Second
	availableInterval = 250 * time.Millisecond
)

// probe checks that the target is the sample application. It logs in as user and returns the idle timeout of sessions, and
// whether sessions must be opened with a login because the store keeps no later changes.
func probe(ctx context.Context, client client, target, user string) (idle time.Duration, byLogin bool, err error) {
	jar, began := &cookies{}, time.Now()
	client.timeout = max(client.timeout, probeTimeout)
	ask := func(kind check.Kind, method, path string, form url.Values) (response, error) {
		o := outgoing{kind: kind, method: method, path: path, form: form.Encode(), cookies: jar.header}
		response := client.send(ctx, o)
		for response.Status == http.StatusServiceUnavailable && time.Since(began) < availableTimeout && ctx.Err() == nil {
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
	if _, err = ask(check.Read, http.MethodGet, "/api/session", nil); err != nil {
		return 0, false, err
	}
	login, err := ask(check.Login, http.MethodPost, "/login", url.Values{"user": {user}})
	if err != nil {
		return 0, false, err
	}
	change, err := ask(check.Write, http.MethodPost, "/api/visits", nil)
	byLogin = change.Status == http.StatusNotImplemented
	if err == nil || byLogin {
		_, err = ask(check.Logout, http.MethodPost, "/logout", nil)
	}
	return login.Lifetime(), byLogin, err
}

// explain returns an error that describes a response that the sample application doesn't give to a probe.
func (r response) explain(target, request string) error {
	switch {
	case r.Error != "":
		return fmt.Errorf("%s doesn't answer %s (%s); lab up starts an application on this machine", target, request, r.Error)
	case r.location != "":
		return fmt.Errorf("%s redirects to %s: test that address", target, r.location)
	case r.Status == http.StatusServiceUnavailable:
		return fmt.Errorf("%s answers %s with %d %s, for %v; its servers or their store are down or overloaded",
			target, request, r.Status, http.StatusText(r.Status), availableTimeout)
	case r.Status != http.StatusOK:
		return fmt.Errorf("%s answers %s with %d %s; load tests are for the sample application",
			target, request, r.Status, http.StatusText(r.Status))
	}
	return nil
}

// mustBeSession parses a response that must show a session.
func (r *response) mustBeSession(target string, kind check.Kind) error {
	if err := r.Parse(kind, r.Body); err != nil || r.Server == "" || kind == check.Login && r.Lifetime() <= 0 {
		return fmt.Errorf("%s answers, but not as the sample application does, with a session and the server's name", target)
	}
	return nil
}
