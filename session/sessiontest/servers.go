package sessiontest

import (
	"context"
	"errors"
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
	run      func(f *fixture)
}

// Run starts two servers and returns an error that describes how they fail, or nil.
func (c ServerCase) Run(ctx context.Context, open Opener) error {
	f, err := newFixture(ctx, open)
	if err != nil {
		return err
	}
	defer f.close()
	return attempt(func() { c.run(f) })
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

func verifyVisits(f *fixture) {
	v := f.client()
	v.must(0, "/visit")
	const more = 200
	check("concurrently", concurrently(more, 16, func(i int) error {
		path := "/visit"
		if i%4 == 0 {
			path = "/blind" // the change is sent by the middleware
		}
		_, err := v.send(i, path)
		return err
	}))
	if got := v.must(1, "/read"); got.Visits != more+1 {
		fail("%d visits were acknowledged, the counter says %d", more+1, got.Visits)
	}
}

// verifyShared logs in on one server and reads the session on the other.
func verifyShared(f *fixture) {
	v := f.client()
	v.must(0, "/login?user=ada")
	if got := v.must(1, "/read"); got.User != "ada" {
		fail("the other server says that %q is logged in, want ada", got.User)
	}
}

func verifyChanges(f *fixture) {
	v := f.client()
	for server, path := range []string{"/login?user=ada", "/visit", "/cart?sku=tea"} {
		v.must(server, path)
	}
	if got := v.must(1, "/read"); got.Visits != 1 || got.Cart["tea"] != 1 {
		fail("got %+v, want 1 visit and 1 line in the cart", got)
	}
}

func verifyReadYourWrites(f *fixture) {
	v := f.client()
	for i := range 30 {
		v.must(i, "/blind")
		got := v.must(i+1, "/read")
		if got.Visits != int64(i+1) {
			fail("after visit %d the other server says %d", i+1, got.Visits)
		}
	}
	request := func(server int, path string) func() error {
		return func() error {
			_, err := v.send(server, path)
			return err
		}
	}
	f.whileHeld(request(0, "/held"), request(1, "/visit"))
	if got := v.must(1, "/read"); got.Visits != 32 {
		fail("after two overlapping visits to 30, the counter says %d", got.Visits)
	}
}

// whileHeld calls meanwhile while the request that held sends waits in its handler. Both must succeed.
func (f *fixture) whileHeld(held, meanwhile func() error) {
	done := make(chan error, 1)
	go func() { done <- held() }()
	select {
	case <-f.arrived:
	case err := <-done:
		fail("the held request ended early: %v", err)
	}
	err := meanwhile()
	close(f.release)
	check("two requests at the same time", errors.Join(err, <-done))
}

func verifyLogin(f *fixture) {
	v := f.client()
	v.must(0, "/visit")
	thief := v.clone()
	got := v.must(1, "/login?user=ada")
	if got.User != "ada" || got.Visits != 1 {
		fail("after login: got %+v, want user ada with 1 visit", got)
	}
	got = v.must(0, "/read")
	if got.User != "ada" || got.Visits != 1 {
		fail("on the other server: got %+v, want user ada with 1 visit", got)
	}
	for server := range 2 {
		if got, _, err := thief.post(server, "/read"); err != nil || got.User != "" || got.Visits != 0 {
			fail("the id from before the login: got %+v, %v, want an empty session", got, err)
		}
		if _, status, err := thief.post(server, "/visit"); err != nil || status != http.StatusConflict {
			fail("a write with the id from before the login: status %d, %v, want 409", status, err)
		}
	}
}

// verifyLoginRace logs in while other requests change the old session. The new session must have every acknowledged change.
func verifyLoginRace(f *fixture) {
	for range 10 {
		v := f.client()
		v.must(0, "/visit")
		old := v.clone()
		var acknowledged atomic.Int64
		acknowledged.Store(1)
		check("concurrently", concurrently(9, 5, func(i int) error {
			if i == 4 {
				_, err := v.send(0, "/login?user=ada")
				return err
			}
			_, status, err := old.post(i, "/visit")
			if status == http.StatusOK {
				acknowledged.Add(1)
			}
			return err
		}))
		got := v.must(1, "/read")
		if got.User != "ada" || got.Visits != acknowledged.Load() {
			fail("after login: got %+v, want user ada with %d visits", got, acknowledged.Load())
		}
	}
}

// logins returns the number of logins in the cases of repeated logins.
func logins() int {
	if testing.Short() {
		return 10
	}
	return 100
}

// mustBeLoggedIn ends the trial unless the visitor is logged in and has the cart from before the login.
func (v *fixtureClient) mustBeLoggedIn(server int, when string) {
	if got := v.must(server, "/read"); got.User != "ada" || got.Cart["tea"] != 1 {
		fail("%s: got %+v, want user ada with one line in the cart", when, got)
	}
}

// verifyLoginTwice submits a login twice, concurrently, on two servers. Whichever response comes last, the visitor must be logged
// in and have the cart.
func verifyLoginTwice(f *fixture) {
	for range logins() {
		var tabs [2]*fixtureClient
		tabs[0] = f.client()
		tabs[0].must(0, "/cart?sku=tea")
		tabs[1] = tabs[0].clone()
		check("concurrently", concurrently(2, 2, func(i int) error {
			_, err := tabs[i].send(i, "/login?user=ada")
			return err
		}))
		for i, tab := range tabs {
			tab.mustBeLoggedIn(i+1, "after two logins at the same time")
		}
	}
}

// verifyLoginLost drops the response of a login. The browser still has the old cookie and logs in with it again.
func verifyLoginLost(f *fixture) {
	for range logins() {
		lost := f.client()
		lost.must(0, "/cart?sku=tea")
		v := lost.clone()
		lost.must(0, "/login?user=ada")
		v.must(1, "/login?user=ada")
		v.mustBeLoggedIn(0, "after another login when the first response was lost")
	}
}

func verifyLogoutRace(f *fixture) {
	v := f.client()
	v.must(0, "/login?user=ada")
	inFlight := v.clone()
	f.whileHeld(func() error {
		_, status, err := inFlight.post(0, "/held")
		if err == nil && status != http.StatusConflict {
			err = fmt.Errorf("the request in flight: status %d, want 409", status)
		}
		return err
	}, func() error {
		_, err := v.send(1, "/logout")
		return err
	})
	for server := range 2 {
		if got, _, err := inFlight.post(server, "/read"); err != nil || got.User != "" || got.Visits != 0 {
			fail("after logout: got %+v, %v, want an empty session", got, err)
		}
	}
}

func verifyHangUp(f *fixture) {
	v := f.client()
	v.must(0, "/visit")
	gone, hangUp := context.WithCancel(f.ctx)
	responded := make(chan struct{})
	go func() {
		v.Do(gone, http.MethodPost, v.url(0, "/held"), "")
		close(responded)
	}()
	select {
	case <-f.arrived:
	case <-responded:
		hangUp()
		fail("the held request ended early")
	}
	hangUp()
	<-responded
	close(f.release)
	for range 500 { // the server still has to commit
		if v.must(1, "/read").Visits == 2 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	fail("the change of a client that hung up is lost")
}

func verifyLogoutEverywhere(f *fixture) {
	user := NewID().String()
	var visitors []*fixtureClient
	for i := range 3 {
		v := f.client()
		v.must(i, "/login?user="+user)
		visitors = append(visitors, v)
	}
	visitors[1].must(0, "/logout/everywhere")
	for i, v := range visitors {
		v.mustBeLoggedOut(fmt.Sprintf("visitor %d after logout everywhere", i))
	}
	v := f.client()
	for server, path := range []string{"/login?user=" + user, "/read"} {
		if got := v.must(server, path); got.User != user {
			fail("a login after logout everywhere: got %+v, want the user logged in", got)
		}
	}
}

// verifyCopy copies a cookie, logs its owner out, and uses the copy. It does the same with the cookie before a second login.
func verifyCopy(f *fixture) {
	for _, end := range []string{"/logout", "/login?user=eve"} {
		v := f.client()
		v.must(1, "/login?user=ada")
		thief := v.clone()
		if got := thief.must(1, "/read"); got.User != "ada" {
			fail("a copy before %s: got %+v", end, got)
		}
		v.must(0, end)
		thief.mustBeLoggedOut("a copy after " + end)
	}
}

// mustBeLoggedOut ends the trial if server 0, which has ended the client's session, still accepts it, or if server 1 does after
// the promised time. A server that doesn't know responds 503, which is not accepting it.
func (v *fixtureClient) mustBeLoggedOut(when string) {
	if got := v.must(0, "/read"); got.User != "" {
		fail("%s: the same server: got %+v, want nobody logged in", when, got)
	}
	select {
	case <-time.After(v.fixture.within):
	case <-v.fixture.ctx.Done():
	}
	for {
		got, status, err := v.post(1, "/read")
		check(when, err)
		if status == http.StatusOK && got.User == "" {
			return
		}
		if status != http.StatusServiceUnavailable {
			fail("%s: the other server: got %+v, status %d, want nobody logged in", when, got, status)
		}
	}
}
