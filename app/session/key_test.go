package session_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"stateless-servers/app/session"
)

func TestTypedKeys(t *testing.T) {
	type address struct{ City string }
	const home = session.Key[address]("home")
	b := newBrowser(t, session.Options{})
	b.do(func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
		ctx := r.Context()
		home.Set(s, address{"Łódź"})
		theme.Set(s, "dark")
		cart.Counter("tea").Add(s, 2)
		cart.Counter("tea").Add(s, 3)
		visits.Add(s, 7)
		visits.Remove(s)
		if got, found, err := home.Get(ctx, s); got.City != "Łódź" || !found || err != nil {
			t.Errorf("home: %v %v %v", got, found, err)
		}
		if lines, err := cart.All(ctx, s); len(lines) != 1 || lines["tea"] != 5 || err != nil {
			t.Errorf("cart: %v %v", lines, err)
		}
		if n, err := visits.Get(ctx, s); n != 0 || err != nil {
			t.Errorf("visits: %v %v", n, err)
		}
		theme.Remove(s)
		if _, found, err := theme.Get(ctx, s); found || err != nil {
			t.Errorf("theme: %v %v", found, err)
		}
	})
}

func TestAValueOfAnotherTypeHurtsNoOtherKey(t *testing.T) {
	b := newBrowser(t, session.Options{})
	b.do(func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
		theme.Set(s, "dark")
		visits.Add(s, 1)
	})
	b.do(func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
		if _, _, err := session.Key[[]int]("theme").Get(r.Context(), s); err == nil {
			t.Error("a string was read as a list")
		}
		if _, err := session.Counter("theme").Get(r.Context(), s); !errors.Is(err, session.ErrCounter) {
			t.Errorf("a string was read as a counter: %v", err)
		}
		if n, err := visits.Get(r.Context(), s); n != 1 || err != nil {
			t.Errorf("visits: %v %v", n, err)
		}
	})
}

func TestBadKeysAreRefused(t *testing.T) {
	b := newBrowser(t, session.Options{})
	b.do(func(_ http.ResponseWriter, _ *http.Request, s *session.Session) {
		for _, key := range []string{"", "@user", strings.Repeat("k", 129), "\xff"} {
			if err := session.Key[int](key).Set(s, 1); err == nil {
				t.Errorf("key %q was taken", key)
			}
		}
	})
}
