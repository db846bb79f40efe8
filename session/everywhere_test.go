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
)

// evasive renews sessions just after they were listed, as a request does that overlaps a logout everywhere.
type evasive struct {
	*memory.Store
	mu     sync.Mutex
	rounds int // renewals of every listed session that are left
	next   byte
}

func (s *evasive) UserSessions(ctx context.Context, user string, query session.PageQuery) (session.Page, error) {
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

func TestARenewalDoesNotDodgeALogoutEverywhere(t *testing.T) {
	for rounds, want := range map[int]error{0: nil, 1: nil, 5: nil, 1000: session.ErrUnavailable} {
		store := &evasive{Store: memory.New(), rounds: rounds}
		manager, err := session.New(store, session.Options{})
		if err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		for i := range 3 {
			record := session.Record{User: "ada", Created: now, Expires: now.Add(time.Hour), IdleExpires: now.Add(time.Hour)}
			if err := store.Create(t.Context(), session.ID{byte(i), 1}, record); err != nil {
				t.Fatal(err)
			}
		}
		if err := manager.EndUserSessions(t.Context(), "ada"); !errors.Is(err, want) {
			t.Errorf("%d rounds: got %v, want %v", rounds, err, want)
		}
		if page, err := store.Store.UserSessions(t.Context(), "ada", session.PageQuery{Now: now, Limit: 100}); want == nil && len(page.Sessions) > 0 {
			t.Errorf("%d rounds: %d sessions are left, %v", rounds, len(page.Sessions), err)
		}
	}
}

// A logout everywhere that fails half way ends the visitor's own session last, so that he can try again.
func TestALogoutEverywhereThatFailsCanBeTriedAgain(t *testing.T) {
	one := newBrowser(t, session.Options{})
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
		t.Errorf("the store fails: status %d", response.StatusCode)
	}
	clear(one.store.fail)
	if _, user := one.sees(); user != "ada" {
		t.Errorf("after a failure, %q is logged in", user)
	}
	if response := everywhere(); response.StatusCode != 200 {
		t.Errorf("again: status %d", response.StatusCode)
	}
	if page, err := one.store.UserSessions(t.Context(), "ada", session.PageQuery{Now: one.now, Limit: 100}); len(page.Sessions) > 0 || err != nil {
		t.Errorf("%d sessions are left, %v", len(page.Sessions), err)
	}
}

// Sessions that start during a logout everywhere neither keep it from ending nor have to end.
func TestALogoutEverywhereEnds(t *testing.T) {
	const before, most = 3000, 20_000
	store := memory.New()
	manager, err := session.New(store, session.Options{})
	if err != nil {
		t.Fatal(err)
	}
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
		for i := before; i < most; i++ {
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
	if err != nil {
		t.Fatal(err)
	}
	for query := (session.PageQuery{Now: start, Limit: session.MaxPage}); ; {
		page, err := store.UserSessions(t.Context(), "ada", query)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range page.Sessions {
			if !s.Record.Created.After(start) {
				t.Fatalf("session %s that started before the logout is alive", s.Record.UserAgent)
			}
		}
		if query.Cursor = page.Next; query.Cursor == "" {
			break
		}
	}
}
