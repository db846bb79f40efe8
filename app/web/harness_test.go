package web_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"stateless-servers/app/leaderboard"
	"stateless-servers/app/web"
	"stateless-servers/session"
	"stateless-servers/session/memory"
	"stateless-servers/session/sessiontest"
)

var errDown = errors.New("down")

// A store is a memory store that can fail and whose promises can be changed.
type store struct {
	session.UserStore
	down    atomic.Bool
	promise func(*session.Promises)
	updated atomic.Pointer[func()]                        // if not nil, it runs once, after the next update and before it returns
	pages   func(session.PageQuery) (session.Page, error) // if not nil, it replaces UserSessions
}

func newStore() *store { return &store{UserStore: memory.New(), promise: func(*session.Promises) {}} }

func (s *store) err() error {
	if s.down.Load() {
		return errDown
	}
	return nil
}

func (s *store) Promises() session.Promises {
	p := s.UserStore.Promises()
	s.promise(&p)
	return p
}

func (s *store) Ping(context.Context) error { return s.err() }

func (s *store) Create(ctx context.Context, id session.ID, r session.Record) error {
	if err := s.err(); err != nil {
		return err
	}
	return s.UserStore.Create(ctx, id, r)
}

func (s *store) Load(ctx context.Context, id session.ID, now time.Time) (session.Record, error) {
	if err := s.err(); err != nil {
		return session.Record{}, err
	}
	return s.UserStore.Load(ctx, id, now)
}

func (s *store) Update(ctx context.Context, id session.ID, u session.Update) (session.Record, error) {
	if err := s.err(); err != nil {
		return session.Record{}, err
	}
	record, err := s.UserStore.Update(ctx, id, u)
	if updated := s.updated.Swap(nil); updated != nil {
		(*updated)()
	}
	return record, err
}

func (s *store) Renew(ctx context.Context, r session.Renewal) (session.Record, error) {
	if err := s.err(); err != nil {
		return session.Record{}, err
	}
	return s.UserStore.Renew(ctx, r)
}

func (s *store) End(ctx context.Context, id session.ID, ending session.EndOptions) (session.Record, error) {
	if err := s.err(); err != nil {
		return session.Record{}, err
	}
	return s.UserStore.End(ctx, id, ending)
}

func (s *store) UserSessions(ctx context.Context, user string, query session.PageQuery) (session.Page, error) {
	if err := s.err(); err != nil {
		return session.Page{}, err
	}
	if s.pages != nil {
		return s.pages(query)
	}
	return s.UserStore.UserSessions(ctx, user, query)
}

// operations records the names of the store operations since the last call of since.
type operations struct {
	mu    sync.Mutex
	names []string
}

func (o *operations) ObserveOperation(_ context.Context, operation session.Operation) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.names = append(o.names, string(operation.Name))
}

func (o *operations) since() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	names := strings.Join(o.names, " ")
	o.names = nil
	return names
}

// A board is a leaderboard whose Top can be replaced.
type board struct {
	leaderboard.Board
	top func(context.Context) ([]leaderboard.Entry, error)
}

func (b *board) Top(ctx context.Context) ([]leaderboard.Entry, error) {
	if b.top != nil {
		return b.top(ctx)
	}
	return b.Board.Top(ctx)
}

// A fleet is one server or several that share a store.
type fleet struct {
	store      *store
	board      *board
	operations *operations
	log        *strings.Builder
	options    web.Options
	manage     func(session.Options) (*session.Manager, error)
}

func newFleet(t *testing.T) *fleet {
	t.Helper()
	f := &fleet{
		store: newStore(), board: &board{Board: leaderboard.NewMemory()}, operations: &operations{}, log: &strings.Builder{},
	}
	f.manage = func(o session.Options) (*session.Manager, error) { return session.New(f.store, o) }
	f.options = web.Options{
		Zone: "zone-a", Board: f.board, PlainHTTP: true, Logger: slog.New(slog.NewJSONHandler(f.log, nil)),
	}
	return f
}

// handler returns the handler of a server with that name.
func (f *fleet) handler(t *testing.T, name string) http.Handler {
	t.Helper()
	options := f.options
	options.Server = name
	manager, err := f.manage(session.Options{
		PlainHTTP: true, ErrorHandler: web.ErrorHandler(options.Logger), Observer: f.operations,
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	options.Sessions = manager
	return web.New(options)
}

// start starts a server with that name and returns its address.
func (f *fleet) start(t *testing.T, name string) string {
	t.Helper()
	server := httptest.NewServer(f.handler(t, name))
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	t.Cleanup(server.Close)
	return server.URL
}

// A client keeps cookies and sends its requests to one server.
type client struct {
	*sessiontest.Client
	t      *testing.T
	server string
}

func newClient(t *testing.T, server string) *client {
	return &client{sessiontest.NewClient(), t, server}
}

// on returns a client with the same cookies for another server.
func (c *client) on(server string) *client { return &client{c.Client, c.t, server} }

// oneServer starts a fleet of one server and returns it with a client.
func oneServer(t *testing.T, change ...func(*fleet)) (*fleet, *client) {
	t.Helper()
	f := newFleet(t)
	for _, c := range change {
		c(f)
	}
	return f, newClient(t, f.start(t, "server-1"))
}

// do sends a request; headers are "Name: value".
func (c *client) do(method, path, body string, headers ...string) response {
	c.t.Helper()
	got, err := c.Do(c.t.Context(), method, c.server+path, body, headers...)
	if err != nil {
		c.t.Fatal(err)
	}
	return response(got)
}

func (c *client) get(path string, headers ...string) response {
	c.t.Helper()
	return c.do(http.MethodGet, path, "", headers...)
}

func (c *client) post(path, body string, headers ...string) response {
	c.t.Helper()
	return c.do(http.MethodPost, path, body, headers...)
}

const html = "Accept: text/html,application/xhtml+xml;q=0.9,*/*;q=0.8" // as browsers send
