package sessiontest

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"stateless-servers/session"
	"stateless-servers/session/sessiontest/must"
)

// An Opener returns the Manager of one server. Two Managers of an Opener stand for two servers.
type Opener func(session.Options) (*session.Manager, error)

// A ServerCase is one test of two servers and their visitors.
type ServerCase struct {
	Name     string
	Promised func(session.Promises) bool
	run      func(ctx context.Context, f *fixture) error
}

// Run starts two servers and returns an error that describes how they fail, or nil.
func (c ServerCase) Run(ctx context.Context, open Opener) error {
	f, err := newFixture(open)
	if err != nil {
		return err
	}
	defer f.close()
	return c.run(ctx, f)
}

// ServerCases returns the cases for a whole session library: two servers, and visitors who use them over HTTP.
func ServerCases() []ServerCase {
	shared := func(p session.Promises) bool { return p.Shared }
	noLostUpdate := func(p session.Promises) bool { return p.Shared && p.NoLostUpdate }
	final := func(p session.Promises) bool { return p.Shared && p.LogoutIsFinal }
	finalWithin := func(p session.Promises) bool {
		return p.Shared && (p.LogoutIsFinal && p.ReadYourWrites || p.LogoutFinalWithin > 0)
	}
	changes := func(p session.Promises) bool { return p.Shared && p.Mutable }
	return []ServerCase{
		{"servers: all see a session", shared, verifyShared},
		{"servers: a session changes after login", changes, verifyChanges},
		{"servers: every acknowledged visit counts", noLostUpdate, verifyVisits},
		{"servers: the next server reads every write", func(p session.Promises) bool { return p.Shared && p.ReadYourWrites && p.Mutable }, verifyReadYourWrites},
		{"servers: login renews the id", final, verifyLogin},
		{"servers: a login loses no update", noLostUpdate, verifyLoginRace},
		{"servers: two logins with one cookie", changes, verifyLoginTwice},
		{"servers: another login after a lost response", changes, verifyLoginLost},
		{"servers: logout is final for requests in flight", final, verifyLogoutRace},
		{"servers: a client that hangs up loses no change", noLostUpdate, verifyHangUp},
		{"servers: a copied cookie is worthless after logout", finalWithin, verifyCopy},
		{"servers: a remembered login keeps its limits", shared, verifyRemembered},
		{"servers: a session ends after its idle timeout, never before", changes, verifyIdleTimeout},
		{"servers: two tabs never pop the same value", noLostUpdate, verifyPop},
		{"servers: logout everywhere", func(p session.Promises) bool {
			return p.Shared && (p.ListsByUser || p.LogoutFinalWithin > 0)
		}, verifyLogoutEverywhere},
	}
}

// RunServers runs every ServerCase as a subtest. A case that the store promises must succeed, and any other case must fail, so
// that the declared promises are exact.
func RunServers(t *testing.T, open Opener) {
	manager, err := open(fixtureOptions())
	must.Succeed(t, err)
	for _, c := range ServerCases() {
		t.Run(c.Name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), caseTimeout)
			defer cancel()
			err := c.Run(ctx, open)
			if promised := c.Promised(manager.Promises()); promised && err != nil {
				t.Error(err)
			} else if !promised && err == nil {
				t.Error("succeeded, want a failure: the store does not promise this")
			}
		})
	}
}

func verifyVisits(ctx context.Context, f *fixture) error {
	v := f.client()
	if _, err := v.must(ctx, 0, "/visit"); err != nil {
		return err
	}
	const more = 200
	err := concurrently(more, 16, func(i int) error {
		path := "/visit"
		if i%4 == 0 {
			path = "/blind" // the change is sent by the middleware
		}
		_, err := v.must(ctx, i, path)
		return err
	})
	if err != nil {
		return err
	}
	got, err := v.must(ctx, 1, "/read")
	if err == nil && got.Visits != more+1 {
		err = fmt.Errorf("%d visits were acknowledged, the counter says %d", more+1, got.Visits)
	}
	return err
}

// verifyShared logs in on one server and reads the session on the other.
func verifyShared(ctx context.Context, f *fixture) error {
	v := f.client()
	if _, err := v.must(ctx, 0, "/login?user=ada"); err != nil {
		return err
	}
	got, err := v.must(ctx, 1, "/read")
	if err == nil && got.User != "ada" {
		err = fmt.Errorf("the other server says that %q is logged in, want ada", got.User)
	}
	return err
}

func verifyChanges(ctx context.Context, f *fixture) error {
	v := f.client()
	for server, path := range []string{"/login?user=ada", "/visit", "/cart?sku=tea"} {
		if _, err := v.must(ctx, server, path); err != nil {
			return err
		}
	}
	got, err := v.must(ctx, 1, "/read")
	if err == nil && (got.Visits != 1 || got.Cart["tea"] != 1) {
		err = fmt.Errorf("got %+v, want 1 visit and 1 line in the cart", got)
	}
	return err
}

func verifyReadYourWrites(ctx context.Context, f *fixture) error {
	v := f.client()
	for i := range 30 {
		if _, err := v.must(ctx, i, "/blind"); err != nil {
			return err
		}
		got, err := v.must(ctx, i+1, "/read")
		if err != nil {
			return err
		}
		if got.Visits != int64(i+1) {
			return fmt.Errorf("after visit %d the other server says %d", i+1, got.Visits)
		}
	}
	return f.overtake(ctx, v, 30)
}

// overtake starts a visit, and makes another one while the first is held in its handler. Both must count in the end.
func (f *fixture) overtake(ctx context.Context, v *fixtureClient, before int64) error {
	held := make(chan error, 1)
	go func() {
		_, err := v.must(ctx, 0, "/held")
		held <- err
	}()
	select {
	case <-f.arrived:
	case err := <-held:
		return fmt.Errorf("the held request ended early: %w", err)
	}
	_, err := v.must(ctx, 1, "/visit")
	close(f.release)
	if heldErr := <-held; err == nil {
		err = heldErr
	}
	if err != nil {
		return err
	}
	got, err := v.must(ctx, 1, "/read")
	if err == nil && got.Visits != before+2 {
		err = fmt.Errorf("after two overlapping visits to %d, the counter says %d", before, got.Visits)
	}
	return err
}

func verifyLogin(ctx context.Context, f *fixture) error {
	v := f.client()
	if _, err := v.must(ctx, 0, "/visit"); err != nil {
		return err
	}
	thief := v.clone()
	got, err := v.must(ctx, 1, "/login?user=ada")
	if err != nil {
		return err
	}
	if got.User != "ada" || got.Visits != 1 {
		return fmt.Errorf("after login: got %+v, want user ada with 1 visit", got)
	}
	got, err = v.must(ctx, 0, "/read")
	if err != nil || got.User != "ada" || got.Visits != 1 {
		return fmt.Errorf("on the other server: got %+v, %v, want user ada with 1 visit", got, err)
	}
	for server := range 2 {
		if got, _, err := thief.post(ctx, server, "/read"); err != nil || got.User != "" || got.Visits != 0 {
			return fmt.Errorf("the id from before the login: got %+v, %v, want an empty session", got, err)
		}
		if _, status, err := thief.post(ctx, server, "/visit"); err != nil || status != http.StatusConflict {
			return fmt.Errorf("a write with the id from before the login: status %d, %v, want 409", status, err)
		}
	}
	return nil
}

// verifyLoginRace logs in while other requests change the old session. The new session must have every acknowledged change.
func verifyLoginRace(ctx context.Context, f *fixture) error {
	for range 10 {
		v := f.client()
		if _, err := v.must(ctx, 0, "/visit"); err != nil {
			return err
		}
		old := v.clone()
		var acknowledged atomic.Int64
		acknowledged.Store(1)
		err := concurrently(9, 5, func(i int) error {
			if i == 4 {
				_, err := v.must(ctx, 0, "/login?user=ada")
				return err
			}
			_, status, err := old.post(ctx, i, "/visit")
			if status == http.StatusOK {
				acknowledged.Add(1)
			}
			return err
		})
		if err != nil {
			return err
		}
		got, err := v.must(ctx, 1, "/read")
		if err != nil {
			return err
		}
		if got.User != "ada" || got.Visits != acknowledged.Load() {
			return fmt.Errorf("after login: got %+v, want user ada with %d visits", got, acknowledged.Load())
		}
	}
	return nil
}

// logins returns the number of logins in the cases of repeated logins.
func logins() int {
	if testing.Short() {
		return 10
	}
	return 100
}

// expectLoggedIn returns an error unless the visitor is logged in and has the cart from before the login.
func (v *fixtureClient) expectLoggedIn(ctx context.Context, server int, when string) error {
	got, err := v.must(ctx, server, "/read")
	if err == nil && (got.User != "ada" || got.Cart["tea"] != 1) {
		err = fmt.Errorf("%s: got %+v, want user ada with one line in the cart", when, got)
	}
	return err
}

// verifyLoginTwice submits a login twice, concurrently, on two servers. Whichever response comes last, the visitor must be logged
// in and have the cart.
func verifyLoginTwice(ctx context.Context, f *fixture) error {
	for range logins() {
		var tabs [2]*fixtureClient
		tabs[0] = f.client()
		if _, err := tabs[0].must(ctx, 0, "/cart?sku=tea"); err != nil {
			return err
		}
		tabs[1] = tabs[0].clone()
		err := concurrently(2, 2, func(i int) error {
			_, err := tabs[i].must(ctx, i, "/login?user=ada")
			return err
		})
		if err != nil {
			return err
		}
		for i, tab := range tabs {
			if err := tab.expectLoggedIn(ctx, i+1, "after two logins at the same time"); err != nil {
				return err
			}
		}
	}
	return nil
}

// verifyLoginLost drops the response of a login. The browser still has the old cookie and logs in with it again.
func verifyLoginLost(ctx context.Context, f *fixture) error {
	for range logins() {
		lost := f.client()
		if _, err := lost.must(ctx, 0, "/cart?sku=tea"); err != nil {
			return err
		}
		v := lost.clone()
		if _, err := lost.must(ctx, 0, "/login?user=ada"); err != nil {
			return err
		}
		if _, err := v.must(ctx, 1, "/login?user=ada"); err != nil {
			return err
		}
		if err := v.expectLoggedIn(ctx, 0, "after another login when the first response was lost"); err != nil {
			return err
		}
	}
	return nil
}

func verifyLogoutRace(ctx context.Context, f *fixture) error {
	v := f.client()
	if _, err := v.must(ctx, 0, "/login?user=ada"); err != nil {
		return err
	}
	held := make(chan error, 1)
	inFlight := v.clone()
	go func() {
		_, status, err := inFlight.post(ctx, 0, "/held")
		if err == nil && status != http.StatusConflict {
			err = fmt.Errorf("the request in flight: status %d, want 409", status)
		}
		held <- err
	}()
	select {
	case <-f.arrived:
	case err := <-held:
		return fmt.Errorf("the request in flight ended early: %w", err)
	}
	_, err := v.must(ctx, 1, "/logout")
	close(f.release)
	if heldErr := <-held; err == nil {
		err = heldErr
	}
	if err != nil {
		return err
	}
	for server := range 2 {
		if got, _, err := inFlight.post(ctx, server, "/read"); err != nil || got.User != "" || got.Visits != 0 {
			return fmt.Errorf("after logout: got %+v, %v, want an empty session", got, err)
		}
	}
	return nil
}

func verifyHangUp(ctx context.Context, f *fixture) error {
	v := f.client()
	if _, err := v.must(ctx, 0, "/visit"); err != nil {
		return err
	}
	gone, hangUp := context.WithCancel(ctx)
	responded := make(chan struct{})
	go func() {
		v.post(gone, 0, "/held")
		close(responded)
	}()
	select {
	case <-f.arrived:
	case <-responded:
		hangUp()
		return fmt.Errorf("the held request ended early")
	}
	hangUp()
	<-responded
	close(f.release)
	for range 500 { // the server still has to commit
		if got, err := v.must(ctx, 1, "/read"); err != nil || got.Visits == 2 {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
	return fmt.Errorf("the change of a client that hung up is lost")
}

func verifyLogoutEverywhere(ctx context.Context, f *fixture) error {
	user := newID().String()
	var visitors []*fixtureClient
	for i := range 3 {
		v := f.client()
		if _, err := v.must(ctx, i, "/login?user="+user); err != nil {
			return err
		}
		visitors = append(visitors, v)
	}
	if _, err := visitors[1].must(ctx, 0, "/logout/everywhere"); err != nil {
		return err
	}
	for i, v := range visitors {
		if err := v.mustBeLoggedOut(ctx); err != nil {
			return fmt.Errorf("visitor %d after logout everywhere: %w", i, err)
		}
	}
	v := f.client()
	for server, path := range []string{"/login?user=" + user, "/read"} {
		if got, err := v.must(ctx, server, path); err != nil || got.User != user {
			return fmt.Errorf("a login after logout everywhere: got %+v, %v, want the user logged in", got, err)
		}
	}
	return nil
}

// verifyCopy copies a cookie, logs its owner out, and uses the copy. It does the same with the cookie before a second login.
func verifyCopy(ctx context.Context, f *fixture) error {
	for _, end := range []string{"/logout", "/login?user=eve"} {
		v := f.client()
		if _, err := v.must(ctx, 1, "/login?user=ada"); err != nil {
			return err
		}
		thief := v.clone()
		if got, err := thief.must(ctx, 1, "/read"); err != nil || got.User != "ada" {
			return fmt.Errorf("a copy before %s: got %+v, %v", end, got, err)
		}
		if _, err := v.must(ctx, 0, end); err != nil {
			return err
		}
		if err := thief.mustBeLoggedOut(ctx); err != nil {
			return fmt.Errorf("a copy after %s: %w", end, err)
		}
	}
	return nil
}

// mustBeLoggedOut returns an error if server 0, which has ended the client's session, still accepts it, or if server 1 does after
// the promised time. A server that doesn't know responds 503, which is not accepting it.
func (v *fixtureClient) mustBeLoggedOut(ctx context.Context) error {
	if got, err := v.must(ctx, 0, "/read"); err != nil || got.User != "" {
		return fmt.Errorf("the same server: got %+v, %v, want nobody logged in", got, err)
	}
	select {
	case <-time.After(v.fixture.within):
	case <-ctx.Done():
	}
	for {
		got, status, err := v.post(ctx, 1, "/read")
		if err != nil || status != http.StatusServiceUnavailable {
			if err == nil && (status != http.StatusOK || got.User != "") {
				err = fmt.Errorf("the other server: got %+v, status %d, want nobody logged in", got, status)
			}
			return err
		}
	}
}
