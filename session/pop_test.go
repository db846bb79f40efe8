package session_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"stateless-servers/session"
)

const flash = session.Key[string]("flash")

// pop pops the flash message in a request of its own.
func (b *client) pop() (text string, found bool, err error) {
	b.do(func(_ http.ResponseWriter, r *http.Request, _ *session.Session) {
		text, found, err = flash.Pop(r.Context())
	})
	return text, found, err
}

func TestPop(t *testing.T) {
	b := newClient(t, session.Options{})
	if _, found, err := b.pop(); found || err != nil || b.store.takeCalls() != "" {
		t.Errorf("without a session: %v, %v", found, err)
	}
	b.visit()
	b.store.takeCalls()
	if _, found, err := b.pop(); found || err != nil || b.store.takeCalls() != "load" {
		t.Errorf("without a message: %v, %v", found, err)
	}
	b.do(func(_ http.ResponseWriter, r *http.Request, _ *session.Session) { flash.Set(r.Context(), "saved") })
	b.store.takeCalls()
	text, found, err := b.pop()
	if calls := b.store.takeCalls(); text != "saved" || !found || err != nil || calls != "load update" {
		t.Errorf("got %q, %v, %v with the calls %s", text, found, err, calls)
	}
	if _, found, err := b.pop(); found || err != nil || b.visit() != 2 {
		t.Errorf("again: %v, %v", found, err)
	}
}

// Within a request, Pop sees the changes before it, and reads after it don't see the value.
func TestPopWithinARequest(t *testing.T) {
	b := newClient(t, session.Options{})
	b.do(func(_ http.ResponseWriter, r *http.Request, _ *session.Session) {
		ctx := r.Context()
		visits.Add(ctx, 1)
		flash.Set(ctx, "first")
		text, found, err := flash.Pop(ctx)
		if text != "first" || !found || err != nil {
			t.Errorf("got %q, %v, %v", text, found, err)
		}
		if _, found, err := flash.Get(ctx); found || err != nil {
			t.Errorf("get after pop: %v, %v", found, err)
		}
		flash.Set(ctx, "second")
	})
	if text, _, err := b.pop(); text != "second" || err != nil || b.visit() != 2 {
		t.Errorf("got %q, %v", text, err)
	}
}

// Another request comes between the read and the removal.
func TestPopMeetsAnotherRequest(t *testing.T) {
	for name, other := range map[string]func(r *http.Request, s *session.Session){
		"pop":    func(r *http.Request, _ *session.Session) { flash.Pop(r.Context()) },
		"set":    func(r *http.Request, _ *session.Session) { flash.Set(r.Context(), "new") },
		"logout": func(r *http.Request, s *session.Session) { s.Logout(r.Context()) },
	} {
		b := newClient(t, session.Options{})
		b.do(func(_ http.ResponseWriter, r *http.Request, _ *session.Session) { flash.Set(r.Context(), "old") })
		tab := *b
		response := b.do(func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
			ctx := r.Context()
			s.User(ctx)
			tab.do(func(_ http.ResponseWriter, r *http.Request, s *session.Session) { other(r, s) })
			text, found, err := flash.Pop(ctx)
			if text != "" || found || (name == "logout") != errors.Is(err, session.ErrEnded) {
				t.Errorf("%s: got %q, %v, %v", name, text, found, err)
			}
			if text, found, _ := flash.Get(ctx); found {
				t.Errorf("%s: get after pop: %q", name, text)
			}
		})
		if (response.StatusCode != 200) != (name == "logout") {
			t.Errorf("%s: status %d", name, response.StatusCode)
		}
		if text, found, err := tab.pop(); found != (name == "set") || found && text != "new" || err != nil {
			t.Errorf("%s: the next pop got %q, %v, %v", name, text, found, err)
		}
	}
}

func TestPopFails(t *testing.T) {
	b := newClient(t, session.Options{})
	b.do(func(_ http.ResponseWriter, r *http.Request, _ *session.Session) { flash.Set(r.Context(), "saved") })
	b.do(func(_ http.ResponseWriter, r *http.Request, _ *session.Session) {
		if n, found, err := session.Key[int](flash).Pop(r.Context()); n != 0 || found || err == nil || !strings.Contains(err.Error(), `decode session key "flash"`) {
			t.Errorf("as another type: %d, %v, %v", n, found, err)
		}
	})
	b.do(func(w http.ResponseWriter, r *http.Request, s *session.Session) {
		s.User(r.Context())
		w.WriteHeader(200)
		if _, found, err := flash.Pop(r.Context()); found || !errors.Is(err, session.ErrResponseStarted) {
			t.Errorf("after the response has begun: %v, %v", found, err)
		}
	})
	b.store.fail["update"] = errStore
	response := b.do(func(_ http.ResponseWriter, r *http.Request, _ *session.Session) {
		if text, found, err := flash.Pop(r.Context()); text != "" || found || !errors.Is(err, session.ErrUnavailable) {
			t.Errorf("the store fails: %q, %v, %v", text, found, err)
		}
	})
	if response.StatusCode != 503 {
		t.Errorf("status %d", response.StatusCode)
	}
	b.store.fail["update"] = nil
	if text, found, err := b.pop(); text != "saved" || !found || err != nil {
		t.Errorf("got %q, %v, %v", text, found, err)
	}
}
