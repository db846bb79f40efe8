package sessiontest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"stateless-servers/session"
	"stateless-servers/session/memory"
	"stateless-servers/session/migrate"
)

// RunFaults runs every operation of a Manager on a real store while one message to the store fails. It repeats this for every
// message and every Fault. After each case it checks that the visitor lost nothing. The store listens on a TCP address without
// TLS; open returns a Store that connects to another address in its place. Afterwards RunFaults moves sessions from the store to
// another and back, while each call of either store fails.
func RunFaults(t *testing.T, address string, open func(t *testing.T, address string) session.Store) {
	healthy := open(t, address)
	for _, operation := range faultOperations() {
		if operation.promised != nil && !operation.promised(healthy.Promises()) {
			continue
		}
		t.Run(operation.name, func(t *testing.T) {
			t.Parallel() // much of the time is a wait for replies
			cases, err := operation.run(t.Context(), healthy, func(i *injector) (session.Store, error) {
				p, err := newProxy(address, i)
				if err != nil {
					return nil, err
				}
				t.Cleanup(p.Close)
				return open(t, p.Addr), nil
			})
			if err != nil {
				t.Error(err)
			}
			t.Logf("%d cases", cases)
		})
	}
	t.Run("between stores", func(t *testing.T) {
		Long(t)
		runCases(t, healthy, movingCases())
	})
}

// RunStoreFaults does the same as RunFaults for a store without a TCP address: the Manager's calls of the store fail.
func RunStoreFaults(t *testing.T, store session.Store) {
	runCases(t, store, append(faultCases(), movingCases()...))
}

// faultCases are cases in which the Manager's calls of the store fail.
func faultCases() []Case {
	var cases []Case
	for _, o := range faultOperations() {
		cases = append(cases, Case{Name: "faults: " + o.name, Promised: o.promised, Run: func(ctx context.Context, store session.Store) error {
			_, err := o.run(ctx, store, func(i *injector) (session.Store, error) { return newFaulty(store, i), nil })
			return err
		}})
	}
	return cases
}

// movingCases are cases in which sessions move between two stores and the calls of either store fail.
func movingCases() []Case {
	var cases []Case
	for _, o := range faultOperations() {
		move := func(ctx context.Context, old, next session.Store) error {
			_, err := o.run(ctx, migrate.Prepare(old, next), func(i *injector) (session.Store, error) {
				return migrate.Move(newFaulty(old, i), newFaulty(next, i)), nil
			})
			return err
		}
		cases = append(cases,
			Case{Name: "faults while moving away: " + o.name, Promised: o.promised, Run: func(ctx context.Context, store session.Store) error {
				return move(ctx, store, memory.New())
			}},
			Case{Name: "faults while moving here: " + o.name, Promised: o.promised, Run: func(ctx context.Context, store session.Store) error {
				return move(ctx, memory.New(), store)
			}})
	}
	return cases
}

// A faultOperation is a request during which a call of the store fails, with the effect that it promises if it succeeds.
type faultOperation struct {
	name     string
	path     string
	before   faultState // state before the request; without visits there is no session
	after    faultState // state after the request if it succeeds
	others   int        // number of other sessions of the user
	ends     bool       // the old cookie is invalid afterwards
	promised func(session.Promises) bool
}

// A faultState is the state of a session that a visitor sees.
type faultState struct {
	Visits int64  `json:"visits"`
	Tea    int64  `json:"tea"`
	User   string `json:"user"`
}

func faultOperations() []faultOperation {
	anonymous, ada := faultState{3, 2, ""}, faultState{3, 2, "ada"}
	more := func(s faultState) faultState { s.Visits++; return s }
	byUser := func(p session.Promises) bool { return p.ListsByUser }
	return []faultOperation{
		{name: "first change", path: "/visit", after: faultState{Visits: 1}},
		{name: "change", path: "/visit", before: ada, after: more(ada)},
		{name: "read and change", path: "/read-visit", before: ada, after: more(ada)},
		{name: "many changes", path: "/many", before: ada, after: more(ada)},
		{name: "first login", path: "/login", after: faultState{User: "ada"}, ends: true},
		{name: "login", path: "/login", before: anonymous, after: ada, ends: true},
		{name: "login after a read", path: "/read-login", before: anonymous, after: ada, ends: true},
		{name: "login and change", path: "/login-visit", before: anonymous, after: more(ada), ends: true},
		{name: "renewal", path: "/renew", before: ada, after: ada, ends: true},
		{name: "renewal and change", path: "/renew-visit", before: ada, after: more(ada), ends: true},
		{name: "pop", path: "/pop", before: ada, after: faultState{Visits: ada.Visits, User: ada.User}},
		{name: "logout", path: "/logout", before: ada, ends: true},
		{name: "logout of another session", path: "/logout-other", before: ada, after: ada, others: 1, promised: byUser},
		{name: "logout everywhere", path: "/logout-everywhere", before: ada, others: 2, ends: true, promised: byUser},
	}
}

// run injects every fault at every call of the operation. It returns the number of cases and the errors of all that failed. The
// faults run side by side, because much of their time is a wait for replies.
func (o faultOperation) run(ctx context.Context, healthy session.Store, open func(*injector) (session.Store, error)) (cases int, broken error) {
	faults := []Fault{Refuse, DropReply, DropReplies, Die}
	counts, errs := make([]int, len(faults)), make([]error, len(faults))
	var running sync.WaitGroup
	for n, fault := range faults {
		running.Go(func() { counts[n], errs[n] = o.runFault(ctx, healthy, open, fault) })
	}
	running.Wait()
	for _, n := range counts {
		cases += n
	}
	return cases, errors.Join(errs...)
}

// runFault injects the fault at every call of the operation, one case after the other.
func (o faultOperation) runFault(
	ctx context.Context, healthy session.Store, open func(*injector) (session.Store, error), fault Fault,
) (cases int, broken error) {
	const maxCalls = 50
	for call := range maxCalls {
		var i injector
		store, err := open(&i)
		if err == nil {
			err = o.runCase(ctx, healthy, store, &i, fault, call)
		}
		reached := i.reached()
		if !reached && call == 0 {
			err = errors.Join(err, errors.New("the operation makes no call"))
		}
		if err != nil {
			broken = errors.Join(broken, fmt.Errorf("%s at call %d: %w", fault, call+1, err))
		}
		if !reached {
			return call, broken
		}
	}
	return maxCalls, errors.Join(broken, fmt.Errorf("%s: the operation makes more than %d calls", fault, maxCalls))
}

const tea = session.Counter("cart/tea")

// faultServer returns a server with sessions in the store.
func faultServer(store session.Store, timeout time.Duration) (*httptest.Server, error) {
	manager, err := session.New(store, session.Options{PlainHTTP: true, Logger: slog.New(slog.DiscardHandler), StoreTimeout: timeout})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	handle := func(path string, steps ...func(ctx context.Context, r *http.Request) error) {
		mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
			for _, step := range steps {
				if err := step(r.Context(), r); err != nil {
					http.Error(w, err.Error(), session.StatusCode(err))
					return
				}
			}
		})
	}
	read := func(ctx context.Context, _ *http.Request) error { _, err := visits.Get(ctx); return err }
	visit := func(ctx context.Context, _ *http.Request) error { visits.Add(ctx, 1); return nil }
	login := func(ctx context.Context, r *http.Request) error {
		return session.From(ctx).Login(ctx, r.FormValue("user"))
	}
	renew := func(ctx context.Context, _ *http.Request) error { return session.From(ctx).Renew(ctx) }
	handle("/visit", visit)
	handle("/read-visit", read, visit)
	handle("/many", visit, func(ctx context.Context, _ *http.Request) error {
		for i := range 100 {
			session.Key[int](fmt.Sprint("one of many, number ", i)).Set(ctx, i)
		}
		return nil
	})
	handle("/login", login)
	handle("/read-login", read, login)
	handle("/login-visit", login, visit)
	handle("/renew", renew)
	handle("/renew-visit", renew, visit)
	handle("/logout", func(ctx context.Context, _ *http.Request) error { return session.From(ctx).Logout(ctx) })
	handle("/logout-everywhere", func(ctx context.Context, _ *http.Request) error { return session.From(ctx).LogoutEverywhere(ctx) })
	handle("/logout-other", func(ctx context.Context, r *http.Request) error {
		id, _ := session.ParseID(r.FormValue("id"))
		return session.From(ctx).LogoutOther(ctx, id)
	})
	handle("/pop", func(ctx context.Context, _ *http.Request) error {
		n, found, err := session.Key[int](tea).Pop(ctx)
		if err == nil && (!found || n != 2) {
			err = fmt.Errorf("pop: got %d, %v, want 2", n, found)
		}
		return err
	})
	handle("/fill", func(ctx context.Context, _ *http.Request) error {
		visits.Add(ctx, 3)
		tea.Add(ctx, 2)
		return nil
	})
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		var state faultState
		var err error
		if state.Visits, err = visits.Get(ctx); err == nil {
			state.Tea, err = tea.Get(ctx)
		}
		if err == nil {
			state.User, err = session.From(ctx).User(ctx)
		}
		if err != nil {
			http.Error(w, err.Error(), session.StatusCode(err))
			return
		}
		info, _, _ := session.From(ctx).Info(ctx)
		w.Header().Set("X-Session", info.ID.String())
		json.NewEncoder(w).Encode(state)
	})
	return httptest.NewServer(manager.Handler(mux)), nil
}

// A faultClient is a client that keeps one cookie. Copies of it are independent.
type faultClient struct{ cookie string }

// send sends a request and keeps the cookie of the response.
func (v *faultClient) send(ctx context.Context, server *httptest.Server, method, path string) (status int, header http.Header, body []byte, err error) {
	request, err := http.NewRequestWithContext(ctx, method, server.URL+path, nil)
	if err != nil {
		return 0, nil, nil, err
	}
	if v.cookie != "" {
		request.AddCookie(&http.Cookie{Name: "session", Value: v.cookie})
	}
	response, err := server.Client().Do(request)
	if err != nil {
		return 0, nil, nil, err
	}
	defer response.Body.Close()
	body, err = io.ReadAll(response.Body)
	for _, cookie := range response.Cookies() {
		if v.cookie = cookie.Value; cookie.MaxAge < 0 {
			v.cookie = ""
		}
	}
	return response.StatusCode, response.Header, body, err
}

// must sends a POST request and returns an error unless the status is 200.
func (v *faultClient) must(ctx context.Context, server *httptest.Server, path string) error {
	status, _, body, err := v.send(ctx, server, http.MethodPost, path)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("POST %s: status %d: %s", path, status, body)
	}
	return err
}

// state returns the session's state and id.
func (v faultClient) state(ctx context.Context, server *httptest.Server) (state faultState, id string, err error) {
	status, header, body, err := v.send(ctx, server, http.MethodGet, "/")
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("GET /: status %d: %s", status, body)
	}
	if err == nil {
		err = json.Unmarshal(body, &state)
	}
	return state, header.Get("X-Session"), err
}

// runCase runs the operation with one fault, and returns an error if a promise is broken.
func (o faultOperation) runCase(ctx context.Context, healthy, store session.Store, i *injector, fault Fault, call int) error {
	const enough = 30 * time.Second // for every call that gets a reply, on a busy machine too
	timeout := enough
	if fault.noReplies() {
		timeout = 2 * time.Second // some operations wait for it
	}
	healthyServer, err := faultServer(healthy, enough)
	if err != nil {
		return err
	}
	defer healthyServer.Close()
	faultyServer, err := faultServer(store, timeout)
	if err != nil {
		return err
	}
	defer faultyServer.Close()
	// The suite runs on stores that hold other sessions.
	user := "ada " + NewID().String()
	named := func(s faultState) faultState {
		if s.User != "" {
			s.User = user
		}
		return s
	}
	before, after := named(o.before), named(o.after)
	query := "?user=" + url.QueryEscape(user)

	var client faultClient
	if before.Visits > 0 {
		if err := client.must(ctx, healthyServer, "/fill"); err != nil {
			return err
		}
	}
	if before.User != "" {
		if err := client.must(ctx, healthyServer, "/login"+query); err != nil {
			return err
		}
	}
	others := make([]faultClient, o.others)
	for n := range others {
		if err := others[n].must(ctx, healthyServer, "/login"+query); err != nil {
			return err
		}
		_, id, err := others[n].state(ctx, healthyServer)
		if err != nil {
			return err
		}
		if n == 0 {
			query += "&id=" + id
		}
	}
	if err := store.Ping(ctx); err != nil { // connects, before calls count
		return fmt.Errorf("ping: %w", err)
	}
	old := client
	i.arm(fault, call)
	responded := client
	status, _, _, err := responded.send(ctx, faultyServer, http.MethodPost, o.path+query)
	if err != nil {
		return err
	}
	acknowledged := status == http.StatusOK
	if i.reached() && fault == Die {
		acknowledged = false // no client got the response
	} else {
		client = responded
	}
	c := faultCase{
		operation: o, before: before, after: after, old: old, client: client, acknowledged: acknowledged,
		unknown: i.reached() && fault.noReplies(),
	}
	if err := c.check(ctx, healthyServer, query); err != nil {
		return fmt.Errorf("status %d, cookie changed %v: %w", status, client.cookie != old.cookie, err)
	}
	ended := 0
	for _, other := range others {
		state, _, err := other.state(ctx, healthyServer)
		if err != nil {
			return err
		}
		if state.User == "" {
			ended++
		}
	}
	if acknowledged && ended != o.others {
		return fmt.Errorf("status %d: %d of %d other sessions ended", status, ended, o.others)
	}
	return nil
}

// A faultCase is the result of an operation with a fault, which check compares with the promises.
type faultCase struct {
	operation     faultOperation
	before, after faultState
	old, client   faultClient // client before the request, and after it
	acknowledged  bool
	unknown       bool // the server got no reply to its call, or the client got no response
}

func (c faultCase) check(ctx context.Context, healthyServer *httptest.Server, query string) error {
	got, _, err := c.client.state(ctx, healthyServer)
	if err != nil {
		return err
	}
	oldState, _, err := c.old.state(ctx, healthyServer)
	if err != nil {
		return err
	}
	lost := got == faultState{} && c.before != faultState{}
	switch {
	case c.acknowledged && got != c.after:
		return fmt.Errorf("acknowledged, and the client sees %+v, want %+v", got, c.after)
	case c.acknowledged && c.operation.ends && oldState != faultState{}:
		return fmt.Errorf("acknowledged, and the old cookie still sees %+v", oldState)
	case c.acknowledged:
		return nil
	case lost && c.after == faultState{}:
		return nil // an unacknowledged logout may have ended the session
	case lost && c.unknown:
		if got, err = c.recover(ctx, healthyServer, query); err != nil {
			return err
		}
		want := c.after
		want.User = got.User
		if got.Visits != c.before.Visits && got.Visits != want.Visits || got.Tea != want.Tea {
			return fmt.Errorf("not acknowledged, and a login with the old cookie sees %+v, want %+v", got, c.before)
		}
		return nil
	case lost:
		return fmt.Errorf("not acknowledged, and the client sees nothing, want %+v or %+v", c.before, c.after)
	}
	if got.Visits != c.before.Visits && got.Visits != c.after.Visits || got.User != c.before.User && got.User != c.after.User ||
		got.Tea != c.before.Tea && got.Tea != c.after.Tea {
		return fmt.Errorf("not acknowledged, and the client sees %+v, want %+v or %+v", got, c.before, c.after)
	}
	if c.client != c.old && oldState != (faultState{}) && got != (faultState{}) {
		return fmt.Errorf("the client has a new cookie, and the old one still sees %+v", oldState)
	}
	return nil
}

// recover logs in with the cookie from before the request.
func (c faultCase) recover(ctx context.Context, healthyServer *httptest.Server, query string) (faultState, error) {
	visitor := c.old
	if err := visitor.must(ctx, healthyServer, "/login"+query); err != nil {
		return faultState{}, fmt.Errorf("log in again: %w", err)
	}
	state, _, err := visitor.state(ctx, healthyServer)
	return state, err
}
