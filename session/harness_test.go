package session_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"stateless-servers/session"
	"stateless-servers/session/memory"
)

const (
	visits = session.Counter("visits")
	theme  = session.Key[string]("theme")
	cart   = session.Counters("cart")
)

// A recordingStore is a memory store that records its calls. It fails or hangs on request.
type recordingStore struct {
	*memory.Store
	mu    sync.Mutex
	calls []string
	ids   []session.ID
	fail  map[string]error
	hang  bool
}

func (s *recordingStore) call(ctx context.Context, name string, id session.ID) error {
	s.mu.Lock()
	s.calls, s.ids = append(s.calls, name), append(s.ids, id)
	hang, err := s.hang, s.fail[name]
	s.mu.Unlock()
	if hang {
		<-ctx.Done()
		return ctx.Err()
	}
	return err
}

func (s *recordingStore) Create(ctx context.Context, id session.ID, r session.Record) error {
	if err := s.call(ctx, "create", id); err != nil {
		return err
	}
	return s.Store.Create(ctx, id, r)
}

func (s *recordingStore) Load(ctx context.Context, id session.ID, now time.Time) (session.Record, error) {
	if err := s.call(ctx, "load", id); err != nil {
		return session.Record{}, err
	}
	return s.Store.Load(ctx, id, now)
}

func (s *recordingStore) Update(ctx context.Context, id session.ID, u session.Update) (session.Record, error) {
	name := "update"
	if len(u.Changes) == 0 {
		name = "touch"
	}
	if err := s.call(ctx, name, id); err != nil {
		return session.Record{}, err
	}
	return s.Store.Update(ctx, id, u)
}

func (s *recordingStore) Renew(ctx context.Context, r session.Renewal) (session.Record, error) {
	if err := s.call(ctx, "renew", r.Old); err != nil {
		return session.Record{}, err
	}
	return s.Store.Renew(ctx, r)
}

func (s *recordingStore) End(ctx context.Context, id session.ID, ending session.EndOptions) (session.Record, error) {
	if err := s.call(ctx, "end", id); err != nil {
		return session.Record{}, err
	}
	return s.Store.End(ctx, id, ending)
}

// takeCalls returns the calls since the previous takeCalls, separated by spaces.
func (s *recordingStore) takeCalls() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls := strings.Join(s.calls, " ")
	s.calls = nil
	return calls
}

// A client sends requests to handlers of one Manager and keeps the session's cookie.
type client struct {
	t       *testing.T
	store   *recordingStore
	manager *session.Manager
	now     time.Time
	cookie  *http.Cookie
}

func newClient(t *testing.T, options session.Options) *client {
	b := &client{t: t, store: &recordingStore{Store: memory.New(), fail: map[string]error{}}, now: time.Now()}
	options.Now = func() time.Time { return b.now }
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	var err error
	if b.manager, err = session.New(b.store, options); err != nil {
		t.Fatal(err)
	}
	return b
}

// do runs a handler and keeps the cookie that it sets.
func (b *client) do(handler func(w http.ResponseWriter, r *http.Request, s *session.Session)) *http.Response {
	b.t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/", nil)
	r.Header.Set("User-Agent", "test")
	if b.cookie != nil {
		r.AddCookie(b.cookie)
	}
	w := httptest.NewRecorder()
	b.manager.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler(w, r, session.From(r.Context()))
	})).ServeHTTP(w, r)
	response := w.Result()
	for _, cookie := range response.Cookies() {
		b.cookie = cookie
		if cookie.MaxAge < 0 {
			b.cookie = nil
		}
	}
	return response
}

// visit adds one and returns the new value.
func (b *client) visit() (n int64) {
	b.t.Helper()
	response := b.do(func(w http.ResponseWriter, r *http.Request, s *session.Session) {
		visits.Add(r.Context(), 1)
		var err error
		if n, err = visits.Get(r.Context()); err != nil {
			b.t.Error(err)
		}
	})
	if response.StatusCode != http.StatusOK {
		b.t.Errorf("visit: status %d", response.StatusCode)
	}
	return n
}
