package session_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"stateless-servers/session"
	"stateless-servers/session/memory"
	"stateless-servers/session/sessiontest/must"
)

// A renewingStore renews sessions right after it has listed them, as requests do that overlap a logout everywhere.
type renewingStore struct {
	*memory.Store
	mu     sync.Mutex
	rounds int // remaining listings after which sessions are renewed
	next   byte
}

func (s *renewingStore) UserSessions(ctx context.Context, user string, query session.PageQuery) (session.Page, error) {
	page, err := s.Store.UserSessions(ctx, user, query)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rounds == 0 || err != nil {
		return page, err
	}
	s.rounds--
	for _, found := range page.Sessions {
		s.next++
		if _, err := s.Renew(ctx, session.Renewal{Old: found.ID, New: session.ID{99, s.next}, Now: query.Now, Record: found.Record}); err != nil {
			return page, err
		}
	}
	return page, nil
}

func TestLogoutEverywhereEndsRenewedSessions(t *testing.T) {
	for rounds, want := range map[int]error{0: nil, 1: nil, 5: nil, 1000: session.ErrUnavailable} {
		store := &renewingStore{Store: memory.New(), rounds: rounds}
		manager := must.Get(session.New(store, session.Options{}))(t)
		now := time.Now()
		for i := range 3 {
			record := session.Record{User: "ada", Created: now, Expires: now.Add(time.Hour), IdleExpires: now.Add(time.Hour)}
			must.Succeed(t, store.Create(t.Context(), session.ID{byte(i), 1}, record))
		}
		if err := manager.EndUserSessions(t.Context(), "ada"); !errors.Is(err, want) {
			t.Errorf("%d rounds: got %v, want %v", rounds, err, want)
		}
		if page, err := store.Store.UserSessions(t.Context(), "ada", session.PageQuery{Now: now, Limit: 100}); want == nil && len(page.Sessions) > 0 {
			t.Errorf("%d rounds: %d sessions are live, want none, %v", rounds, len(page.Sessions), err)
		}
	}
}

// A logout everywhere ends the visitor's own session last, so that the visitor can retry after a failure.
func TestFailedLogoutEverywhereCanBeRetried(t *testing.T) {
	one := newClient(t, session.Options{})
	one.login("ada")
	for range 5 {
		other := *one
		other.cookie = nil
		other.now = other.now.Add(-time.Minute)
		other.login("ada")
	}
	everywhere := func() *http.Response {
		return one.do(func(w http.ResponseWriter, r *http.Request, s *session.Session) {
			if err := s.LogoutEverywhere(r.Context()); err != nil {
				http.Error(w, err.Error(), session.StatusCode(err))
			}
		})
	}
	one.store.fail["end"] = errStore
	if response := everywhere(); response.StatusCode != 503 {
		t.Errorf("while the store fails: status %d, want 503", response.StatusCode)
	}
	clear(one.store.fail)
	if _, user := one.sees(); user != "ada" {
		t.Errorf("after a failure, %q is logged in, want ada", user)
	}
	if response := everywhere(); response.StatusCode != 200 {
		t.Errorf("retry: status %d, want 200", response.StatusCode)
	}
	if page, err := one.store.UserSessions(t.Context(), "ada", session.PageQuery{Now: one.now, Limit: 100}); len(page.Sessions) > 0 || err != nil {
		t.Errorf("%d sessions are live, want none, %v", len(page.Sessions), err)
	}
}

// A logout everywhere ends even if new sessions start all the time. Those sessions may stay live.
func TestLogoutEverywhereTerminates(t *testing.T) {
	const before, limit = 3000, 20_000
	store := memory.New()
	manager, err := session.New(store, session.Options{})
	must.Succeed(t, err)
	start := time.Now()
	create := func(i int, created time.Time) {
		id := session.ID{byte(i), byte(i >> 8), byte(i >> 16), 1}
		record := session.Record{User: "ada", UserAgent: fmt.Sprint(i), Created: created, Expires: start.Add(time.Hour), IdleExpires: start.Add(time.Hour)}
		if err := store.Create(t.Context(), id, record); err != nil {
			t.Error(err)
		}
	}
	for i := range before {
		create(i, start.Add(-time.Duration(i%7)*time.Minute))
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for i := before; i < limit; i++ {
			select {
			case <-stop:
				return
			default:
				create(i, start.Add(2*session.MaxClockSkew))
			}
		}
	}()
	err = manager.EndUserSessions(t.Context(), "ada")
	close(stop)
	<-stopped
	must.Succeed(t, err)
	for query := (session.PageQuery{Now: start, Limit: session.MaxPage}); ; {
		page := must.Get(store.UserSessions(t.Context(), "ada", query))(t)
		for _, s := range page.Sessions {
			if !s.Record.Created.After(start) {
				t.Fatalf("session %s that started before the logout is live, want it ended", s.Record.UserAgent)
			}
		}
		if query.Cursor = page.Next; query.Cursor == "" {
			break
		}
	}
}
