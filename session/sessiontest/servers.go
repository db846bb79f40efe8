package sessiontest

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"stateless-servers/session"
)

// An Opener opens one server's sessions. Two managers that it opens are two servers.
type Opener func(session.Options) (*session.Manager, error)

// A ServerCheck is one thing that visitors of two servers may rely on, or not.
type ServerCheck struct {
	Name     string
	Promised func(session.Promises) bool
	run      func(ctx context.Context, l *lab) error
}

// Run returns how the servers that open opens fail, nil if they don't.
func (c ServerCheck) Run(ctx context.Context, open Opener) error {
	l, err := newLab(open)
	if err != nil {
		return err
	}
	defer l.close()
	return c.run(ctx, l)
}

// ServerChecks run a whole session library: two servers, and visitors over HTTP.
func ServerChecks() []ServerCheck {
	shared := func(p session.Promises) bool { return p.Shared }
	noLostUpdate := func(p session.Promises) bool { return p.Shared && p.NoLostUpdate }
	final := func(p session.Promises) bool { return p.Shared && p.LogoutIsFinal }
	changes := func(p session.Promises) bool { return p.Shared && p.Mutable }
	return []ServerCheck{
		{"servers: all see a session", shared, checkShared},
		{"servers: a session changes after login", changes, checkChanges},
		{"servers: every acknowledged visit counts", noLostUpdate, checkVisits},
		{"servers: each write is read on the next server", func(p session.Promises) bool { return p.Shared && p.ReadYourWrites && p.Mutable }, checkReadYourWrites},
		{"servers: login renews the id", final, checkLogin},
		{"servers: a login loses nothing", noLostUpdate, checkLoginRace},
		{"servers: two logins with one cookie", changes, checkLoginTwice},
		{"servers: a login whose answer is lost, and another", changes, checkLoginLost},
		{"servers: logout is final for requests in flight", final, checkLogoutRace},
		{"servers: a client that hangs up loses no change", noLostUpdate, checkHangUp},
		{"servers: logout everywhere", func(p session.Promises) bool { return p.Shared && p.ListsByUser }, checkLogoutEverywhere},
	}
}

// RunServers runs every server check: what is promised must be kept, and what isn't must be seen to be broken, so that
// no declaration is idle.
func RunServers(t *testing.T, open Opener) {
	manager, err := open(labOptions())
	if err != nil {
		t.Fatal(err)
	}
	for _, check := range ServerChecks() {
		t.Run(check.Name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), maxTime)
			defer cancel()
			err := check.Run(ctx, open)
			if promised := check.Promised(manager.Promises()); promised && err != nil {
				t.Error(err)
			} else if !promised && err == nil {
				t.Error("not promised, and kept all the same")
			}
		})
	}
}

func checkVisits(ctx context.Context, l *lab) error {
	v := l.visitor()
	if _, err := v.must(ctx, 0, "/visit"); err != nil {
		return err
	}
	const more = 200
	err := together(more, 16, func(i int) error {
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

// checkShared logs in on one server and asks the other.
func checkShared(ctx context.Context, l *lab) error {
	v := l.visitor()
	if _, err := v.must(ctx, 0, "/login?user=ada"); err != nil {
		return err
	}
	got, err := v.must(ctx, 1, "/read")
	if err == nil && got.User != "ada" {
		err = fmt.Errorf("the other server says that %q is logged in, want ada", got.User)
	}
	return err
}

func checkChanges(ctx context.Context, l *lab) error {
	v := l.visitor()
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

func checkReadYourWrites(ctx context.Context, l *lab) error {
	v := l.visitor()
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
	return l.overtake(ctx, v, 30)
}

// overtake has a visit acknowledged while an earlier request is still under way: once that has ended too, both count.
func (l *lab) overtake(ctx context.Context, v *visitor, before int64) error {
	held := make(chan error, 1)
	go func() {
		_, err := v.must(ctx, 0, "/held")
		held <- err
	}()
	select {
	case <-l.arrived:
	case err := <-held:
		return fmt.Errorf("the held request ended early: %w", err)
	}
	_, err := v.must(ctx, 1, "/visit")
	close(l.release)
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

func checkLogin(ctx context.Context, l *lab) error {
	v := l.visitor()
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

// checkLoginRace logs in while the old id is still being written to: what was acknowledged is in the new session.
func checkLoginRace(ctx context.Context, l *lab) error {
	for range 10 {
		v := l.visitor()
		if _, err := v.must(ctx, 0, "/visit"); err != nil {
			return err
		}
		old := v.clone()
		var acknowledged atomic.Int64
		acknowledged.Store(1)
		err := together(9, 5, func(i int) error {
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

// logins returns how often a visitor logs in, in the checks of repeated logins.
func logins() int {
	if testing.Short() {
		return 10
	}
	return 100
}

// expectLoggedIn checks that the visitor has the cart from before the login, and is logged in.
func (v *visitor) expectLoggedIn(ctx context.Context, server int, when string) error {
	got, err := v.must(ctx, server, "/read")
	if err == nil && (got.User != "ada" || got.Cart["tea"] != 1) {
		err = fmt.Errorf("%s: got %+v, want user ada with one line in the cart", when, got)
	}
	return err
}

// checkLoginTwice submits a login twice, at the same time, on two servers: whichever answer comes last, the visitor is
// logged in and has his cart.
func checkLoginTwice(ctx context.Context, l *lab) error {
	for range logins() {
		var tabs [2]*visitor
		tabs[0] = l.visitor()
		if _, err := tabs[0].must(ctx, 0, "/cart?sku=tea"); err != nil {
			return err
		}
		tabs[1] = tabs[0].clone()
		err := together(2, 2, func(i int) error {
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

// checkLoginLost loses the answer of a login: the browser still has the old cookie, and logs in with it.
func checkLoginLost(ctx context.Context, l *lab) error {
	for range logins() {
		lost := l.visitor()
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
		if err := v.expectLoggedIn(ctx, 0, "after a login whose answer was lost, and another"); err != nil {
			return err
		}
	}
	return nil
}

func checkLogoutRace(ctx context.Context, l *lab) error {
	v := l.visitor()
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
	case <-l.arrived:
	case err := <-held:
		return fmt.Errorf("the request in flight ended early: %w", err)
	}
	_, err := v.must(ctx, 1, "/logout")
	close(l.release)
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

func checkHangUp(ctx context.Context, l *lab) error {
	v := l.visitor()
	if _, err := v.must(ctx, 0, "/visit"); err != nil {
		return err
	}
	gone, hangUp := context.WithCancel(ctx)
	answered := make(chan struct{})
	go func() {
		v.post(gone, 0, "/held")
		close(answered)
	}()
	select {
	case <-l.arrived:
	case <-answered:
		hangUp()
		return fmt.Errorf("the held request ended early")
	}
	hangUp()
	<-answered
	close(l.release)
	for range 500 { // the server still has to commit
		if got, err := v.must(ctx, 1, "/read"); err != nil || got.Visits == 2 {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
	return fmt.Errorf("the change of a client that hung up is lost")
}

func checkLogoutEverywhere(ctx context.Context, l *lab) error {
	user := newID().String()
	var visitors []*visitor
	for i := range 3 {
		v := l.visitor()
		if _, err := v.must(ctx, i, "/login?user="+user); err != nil {
			return err
		}
		visitors = append(visitors, v)
	}
	if _, err := visitors[1].must(ctx, 0, "/logout/everywhere"); err != nil {
		return err
	}
	for i, v := range visitors {
		for server := range 2 {
			if got, err := v.must(ctx, server, "/read"); err != nil || got.User != "" {
				return fmt.Errorf("after logout everywhere, visitor %d: got %+v, %v, want nobody logged in", i, got, err)
			}
		}
	}
	return nil
}
