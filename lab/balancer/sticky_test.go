package balancer

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"stateless-servers/session/sessiontest"
)

func TestSticky(t *testing.T) {
	cookieOf := func(t *testing.T, response *http.Response) *http.Cookie {
		t.Helper()
		i := slices.IndexFunc(response.Cookies(), func(c *http.Cookie) bool { return c.Name == stickyCookie })
		if i < 0 {
			t.Fatal("no cookie AWSALB")
		}
		return response.Cookies()[i]
	}
	tests := []struct {
		name string
		lose func(t *testing.T, b *fixture, s *stub)
	}{
		{"unhealthy", func(t *testing.T, b *fixture, s *stub) {
			s.unhealthy.Store(true)
			sessiontest.Await(t, "unhealthy", func() bool { return b.state(s.name) == StateUnhealthy })
		}},
		{"gone", func(t *testing.T, b *fixture, s *stub) {
			if err := b.Deregister(t.Context(), s.name); err != nil {
				t.Fatal(err)
			}
		}},
		{"draining", func(t *testing.T, b *fixture, s *stub) {
			b.setState(b.find(s.name), StateDraining, "")
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			stubs := map[string]*stub{"a": newStub(t, "a", nil), "b": newStub(t, "b", nil)}
			b := newFixture(t, Options{Sticky: true}, stubs["a"], stubs["b"])
			_, first, response := b.get(t, "/")
			cookie := cookieOf(t, response)
			if cookie.Path != "/" || time.Until(cookie.Expires) < 6*24*time.Hour {
				t.Errorf("cookie %v", cookie)
			}
			for range 10 {
				if _, body, _ := b.get(t, "/", cookie); body != first {
					t.Fatalf("pinned to %s, served by %s", first, body)
				}
			}
			test.lose(t, b, stubs[first])
			_, second, response := b.get(t, "/", cookie)
			if second == first {
				t.Fatalf("still served by %s", first)
			}
			for range 10 {
				if _, body, _ := b.get(t, "/", cookieOf(t, response)); body != second {
					t.Fatalf("pinned anew to %s, served by %s", second, body)
				}
			}
		})
	}
	t.Run("off", func(t *testing.T) {
		b := newFixture(t, Options{}, newStub(t, "a", nil), newStub(t, "b", nil))
		_, _, response := b.get(t, "/")
		if len(response.Cookies()) > 0 {
			t.Errorf("cookies %v without sticky sessions", response.Cookies())
		}
		pinned := &http.Cookie{Name: stickyCookie, Value: "a"}
		got := map[string]int{}
		for range 10 {
			_, body, _ := b.get(t, "/", pinned)
			got[body]++
		}
		if got["a"] != 5 {
			t.Errorf("served by %v, want a to get 5: the cookie must be ignored", got)
		}
	})
}
