package load_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"stateless-servers/app/leaderboard"
	"stateless-servers/app/web"
	"stateless-servers/lab/balancer"
	"stateless-servers/lab/load"
	"stateless-servers/session"
)

// fleet runs several servers of the sample application on one store behind a load balancer, in this process.
type fleet struct {
	t        *testing.T
	sessions func(session.Options) (*session.Manager, error)
	balancer *balancer.Balancer
	url      string

	mu      sync.Mutex
	servers []*httptest.Server
	started int
}

func newFleet(t *testing.T, store session.Store, servers int) *fleet {
	t.Helper()
	return startFleet(t, func(o session.Options) (*session.Manager, error) { return session.New(store, o) }, servers)
}

func startFleet(t *testing.T, sessions func(session.Options) (*session.Manager, error), servers int) *fleet {
	t.Helper()
	f := &fleet{t: t, sessions: sessions}
	f.balancer = balancer.New(balancer.Options{HealthInterval: 100 * time.Millisecond})
	front := httptest.NewServer(f.balancer)
	f.url = front.URL
	t.Cleanup(func() {
		front.Close()
		f.balancer.Close()
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, server := range f.servers {
			server.Close()
		}
	})
	for range servers {
		f.add()
	}
	return f
}

// add starts a server and returns when the load balancer sends it requests.
func (f *fleet) add() {
	f.mu.Lock()
	f.started++
	name := fmt.Sprintf("server-%d", f.started)
	f.mu.Unlock()
	manager, err := f.sessions(session.Options{PlainHTTP: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		f.t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(web.New(web.Options{
		Server: name, Zone: "a", Sessions: manager, Board: leaderboard.NewMemory(), Logger: slog.New(slog.DiscardHandler),
	}))
	server.Config.ErrorLog = quiet
	server.Start()
	f.mu.Lock()
	f.servers = append(f.servers, server)
	f.mu.Unlock()
	if err := f.balancer.Register(name, server.Listener.Addr().String()); err != nil {
		f.t.Error(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := f.balancer.Await(ctx, name, balancer.StateHealthy); err != nil {
		f.t.Error(err)
	}
}

// kill simulates the crash of the oldest server: its connections are cut, and new ones are refused.
func (f *fleet) kill() {
	f.mu.Lock()
	server := f.servers[0]
	f.servers = f.servers[1:]
	f.mu.Unlock()
	server.Listener.Close()
	server.CloseClientConnections()
	f.t.Cleanup(server.Close)
}

// parsed parses text, and fails the test if it is not valid.
func parsed[T any](t *testing.T, parse func(string) (T, bool), text string) T {
	t.Helper()
	value, ok := parse(text)
	if !ok {
		t.Fatalf("%q is no %T", text, value)
	}
	return value
}

// options returns the options of a short test.
func options(t *testing.T, url string) load.Options {
	return load.Options{
		URL: url, Rate: parsed(t, load.ParseRate, "150"), Duration: time.Second, Sessions: 20, Mix: load.DefaultMix(), Timeout: time.Minute,
	}
}

// run runs a load test.
func run(t *testing.T, options load.Options) load.Result {
	t.Helper()
	return do(t, begin(t, options))
}

// runUntil runs a load test until found reports true, for at most a minute. The result that found gets has the figures of a
// Progress only. The rate is low, because queued requests all overlap, and then hardly any response is a violation.
func runUntil(t *testing.T, options load.Options, found func(load.Result) bool) load.Result {
	t.Helper()
	var r *load.Run
	options.Rate, options.Duration = parsed(t, load.ParseRate, "40"), time.Minute
	options.Progress = func(p load.Progress) {
		if found(load.Result{Requests: p.Requests, OK: p.OK, Errors: p.Errors, Sessions: p.Sessions}) {
			r.Finish()
		}
	}
	r = begin(t, options)
	return do(t, r)
}

func begin(t *testing.T, options load.Options) *load.Run {
	t.Helper()
	r, err := load.Start(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func do(t *testing.T, r *load.Run) load.Result {
	t.Helper()
	result, err := r.Do(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// quiet discards the error logs of servers that are supposed to fail.
var quiet = log.New(io.Discard, "", 0)

// target starts a server with the handler.
func target(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = quiet
	server.Start()
	t.Cleanup(server.Close)
	return server.URL
}
