package session_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"stateless-servers/session"
)

func TestTypedKeys(t *testing.T) {
	type address struct{ City string }
	const home = session.Key[address]("home")
	b := newClient(t, session.Options{})
	b.do(func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
		ctx := r.Context()
		home.Set(r.Context(), address{"Łódź"})
		theme.Set(r.Context(), "dark")
		cart.Counter("tea").Add(r.Context(), 2)
		cart.Counter("tea").Add(r.Context(), 3)
		visits.Add(r.Context(), 7)
		visits.Remove(r.Context())
		if got, found, err := home.Get(ctx); got.City != "Łódź" || !found || err != nil {
			t.Errorf("home: %v %v %v", got, found, err)
		}
		if lines, err := cart.All(ctx); len(lines) != 1 || lines["tea"] != 5 || err != nil {
			t.Errorf("cart: %v %v", lines, err)
		}
		if n, err := visits.Get(ctx); n != 0 || err != nil {
			t.Errorf("visits: %v %v", n, err)
		}
		theme.Remove(r.Context())
		if _, found, err := theme.Get(ctx); found || err != nil {
			t.Errorf("theme: %v %v", found, err)
		}
	})
}

func TestValueOfAnotherType(t *testing.T) {
	b := newClient(t, session.Options{})
	b.do(func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
		theme.Set(r.Context(), "dark")
		visits.Add(r.Context(), 1)
	})
	b.do(func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
		if _, _, err := session.Key[[]int]("theme").Get(r.Context()); err == nil {
			t.Error("reading a string as a list succeeded, want an error")
		}
		if _, err := session.Counter("theme").Get(r.Context()); !errors.Is(err, session.ErrCounter) {
			t.Errorf("reading a string as a counter: got %v, want ErrCounter", err)
		}
		if n, err := visits.Get(r.Context()); n != 1 || err != nil {
			t.Errorf("visits: %v %v", n, err)
		}
	})
}

func TestRefusedChangesAreNeverAcknowledged(t *testing.T) {
	tests := map[string]struct {
		change func(ctx context.Context)
		want   error // nil for any error
		status int
	}{
		"no key":             {func(ctx context.Context) { session.Key[int]("").Set(ctx, 1) }, session.ErrInvalid, 422},
		"a key of the store": {func(ctx context.Context) { session.Key[int]("@user").Set(ctx, 1) }, session.ErrInvalid, 422},
		"a long key":         {func(ctx context.Context) { session.Counter(strings.Repeat("k", 129)).Add(ctx, 1) }, session.ErrInvalid, 422},
		"a key of bytes":     {func(ctx context.Context) { session.Key[int]("\xff").Remove(ctx) }, session.ErrInvalid, 422},
		"a value of bytes": {func(ctx context.Context) {
			session.Key[json.RawMessage]("raw").Set(ctx, json.RawMessage("\"\xff\""))
		}, session.ErrInvalid, 422},
		"a value that is no JSON": {func(ctx context.Context) { session.Key[chan int]("c").Set(ctx, make(chan int)) }, nil, 500},
		"a huge addition":         {func(ctx context.Context) { visits.Add(ctx, 1<<60) }, session.ErrCounter, 422},
		"additions that overflow": {func(ctx context.Context) {
			visits.Add(ctx, session.MaxCounter)
			visits.Add(ctx, 1)
		}, session.ErrCounter, 422},
		"an addition to text": {func(ctx context.Context) {
			session.Key[string]("text").Set(ctx, "x")
			session.Counter("text").Add(ctx, 1)
		}, session.ErrCounter, 422},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			for _, known := range []bool{false, true} {
				b := newClient(t, session.Options{})
				if known {
					b.visit()
				}
				b.store.takeCalls()
				response := b.do(func(_ http.ResponseWriter, r *http.Request, _ *session.Session) {
					theme.Set(r.Context(), "dark")
					test.change(r.Context())
					visits.Add(r.Context(), 1)
				})
				if response.StatusCode != test.status {
					t.Errorf("the handler ignores the error: status %d, want %d", response.StatusCode, test.status)
				}
				b.do(func(w http.ResponseWriter, r *http.Request, s *session.Session) {
					test.change(r.Context())
					_, err := visits.Get(r.Context())
					if err == nil || test.want != nil && !errors.Is(err, test.want) || session.StatusCode(err) != test.status {
						t.Errorf("the next read: got %v, want %v", err, test.want)
					}
					if err := s.Apply(r.Context()); err == nil {
						t.Error("apply succeeded, want an error")
					}
					w.WriteHeader(http.StatusTeapot)
				})
				if calls := b.store.takeCalls(); calls != "" {
					t.Errorf("store calls %s, want none", calls)
				}
			}
		})
	}
}
