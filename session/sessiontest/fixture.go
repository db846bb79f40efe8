package sessiontest

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"time"

	"stateless-servers/session"
)

const (
	visits = session.Counter("visits")
	cart   = session.Counters("cart")
	flash  = session.Key[string]("flash")
)

// A fixture is two servers that share a store. Handlers can be held.
type fixture struct {
	ctx     context.Context
	servers [2]*httptest.Server
	ahead   [2]atomic.Int64 // nanoseconds that each server's clock is ahead
	within  time.Duration   // Promises.LogoutFinalWithin
	arrived chan struct{}   // the handlers below /held send after they have read their session
	release chan struct{}   // the handlers below /held then wait until it is closed
}

func fixtureOptions() session.Options {
	return session.Options{PlainHTTP: true, Logger: slog.New(slog.DiscardHandler), StoreTimeout: 20 * time.Second}
}

func newFixture(ctx context.Context, open Opener) (*fixture, error) {
	f := &fixture{ctx: ctx, arrived: make(chan struct{}, 8), release: make(chan struct{})}
	for i := range f.servers {
		options := fixtureOptions()
		options.Now = func() time.Time { return time.Now().Add(time.Duration(f.ahead[i].Load())) }
		manager, err := open(options)
		if err != nil {
			f.close()
			return nil, err
		}
		f.within = manager.Promises().LogoutFinalWithin
		f.servers[i] = httptest.NewServer(manager.Handler(f.routes()))
	}
	return f, nil
}

// advance advances the clocks of both servers.
func (f *fixture) advance(by time.Duration) {
	for i := range f.ahead {
		f.ahead[i].Add(int64(by))
	}
}

func (f *fixture) close() {
	for _, server := range f.servers {
		if server != nil {
			server.Close()
		}
	}
}

// A state is the response of every route. A field that the route does not know is empty.
type state struct {
	Visits int64            `json:"visits"`
	User   string           `json:"user"`
	Cart   map[string]int64 `json:"cart"`
	// Expires is the time at which the session ends if it is not used again.
	Expires time.Time `json:"expires"`
	Flash   string    `json:"flash"` // the value that the request has popped
}

func (f *fixture) routes() http.Handler {
	mux := http.NewServeMux()
	handle := func(route string, f func(ctx context.Context, r *http.Request) error) {
		mux.HandleFunc("POST "+route, func(w http.ResponseWriter, r *http.Request) {
			ctx := r.Context()
			if err := f(ctx, r); err != nil {
				http.Error(w, err.Error(), session.StatusCode(err))
				return
			}
			if route == "/blind" {
				return
			}
			n, err := visits.Get(ctx)
			info, _, _ := session.From(ctx).Info(ctx)
			lines, _ := cart.All(ctx)
			if err != nil {
				http.Error(w, err.Error(), session.StatusCode(err))
				return
			}
			json.NewEncoder(w).Encode(state{Visits: n, User: info.User, Cart: lines, Expires: info.Expires})
		})
	}
	visit := func(ctx context.Context, _ *http.Request) error {
		visits.Add(ctx, 1)
		return nil
	}
	handle("/visit", visit)
	handle("/blind", visit)
	handle("/cart", func(ctx context.Context, r *http.Request) error {
		cart.Counter(r.FormValue("sku")).Add(ctx, 1)
		return nil
	})
	handle("/read", func(context.Context, *http.Request) error { return nil })
	handle("/login", func(ctx context.Context, r *http.Request) error {
		return session.From(ctx).Login(ctx, r.FormValue("user"), session.Remember(r.FormValue("remember") != ""))
	})
	handle("/renew", func(ctx context.Context, _ *http.Request) error { return session.From(ctx).Renew(ctx) })
	handle("/logout", func(ctx context.Context, _ *http.Request) error { return session.From(ctx).Logout(ctx) })
	handle("/logout/everywhere", func(ctx context.Context, _ *http.Request) error {
		return session.From(ctx).LogoutEverywhere(ctx)
	})
	handle("/held", func(ctx context.Context, r *http.Request) error {
		if err := f.hold(ctx); err != nil {
			return err
		}
		return visit(ctx, r)
	})
	handle("/flash", func(ctx context.Context, r *http.Request) error {
		flash.Set(ctx, r.FormValue("text"))
		return nil
	})
	mux.HandleFunc("POST /held/pop", func(w http.ResponseWriter, r *http.Request) {
		err := f.hold(r.Context())
		var got state
		if err == nil {
			got.Flash, _, err = flash.Pop(r.Context())
		}
		if err != nil {
			http.Error(w, err.Error(), session.StatusCode(err))
			return
		}
		json.NewEncoder(w).Encode(got)
	})
	return mux
}

// hold reads the session, sends to f.arrived, and waits for f.release.
func (f *fixture) hold(ctx context.Context) error {
	if _, _, err := session.From(ctx).Info(ctx); err != nil {
		return err
	}
	f.arrived <- struct{}{}
	<-f.release
	return nil
}

// A fixtureClient is a visitor's client of the fixture's servers.
type fixtureClient struct {
	fixture *fixture
	*Client
}

func (f *fixture) client() *fixtureClient { return &fixtureClient{f, NewClient()} }

// clone returns another client with the same cookies.
func (v *fixtureClient) clone() *fixtureClient { return &fixtureClient{v.fixture, v.Clone()} }

// post sends a request to a server and returns the status and, for status 200, the state.
func (v *fixtureClient) post(server int, path string) (got state, status int, err error) {
	response, err := v.Do(v.fixture.ctx, http.MethodPost, v.url(server, path), "")
	if err != nil {
		return got, 0, err
	}
	if response.StatusCode == http.StatusOK && response.Body != "" {
		err = json.Unmarshal([]byte(response.Body), &got)
	}
	return got, response.StatusCode, err
}

func (v *fixtureClient) url(server int, path string) string {
	return v.fixture.servers[server%2].URL + path
}

// send sends a request and returns an error unless the status is 200. Unlike must, it may be called in any goroutine.
func (v *fixtureClient) send(server int, path string) (state, error) {
	got, status, err := v.post(server, path)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("POST %s: status %d", path, status)
	}
	return got, err
}

// must sends a request and ends the trial unless the status is 200.
func (v *fixtureClient) must(server int, path string) state {
	got, err := v.send(server, path)
	check("sending a request", err)
	return got
}
