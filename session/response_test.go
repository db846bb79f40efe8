package session_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"stateless-servers/session"
	"stateless-servers/session/sessiontest/must"
)

var errStore = errors.New("connection refused")

func TestFailedCommitIsAnErrorResponse(t *testing.T) {
	tests := []struct {
		name    string
		handler func(w http.ResponseWriter, r *http.Request, s *session.Session)
		status  int
	}{
		{"the handler writes nothing", func(http.ResponseWriter, *http.Request, *session.Session) {}, 503},
		{"the handler writes a body", func(w http.ResponseWriter, _ *http.Request, _ *session.Session) {
			w.Header().Set("Content-Type", "text/x-done")
			w.Header().Set("Etag", "1")
			if _, err := io.WriteString(w, "done"); !errors.Is(err, session.ErrUnavailable) {
				t.Errorf("write: %v", err)
			}
			io.WriteString(w, "done")
		}, 503},
		{"the handler redirects", func(w http.ResponseWriter, r *http.Request, _ *session.Session) {
			http.Redirect(w, r, "/done", http.StatusSeeOther)
		}, 503},
		{"the handler copies", func(w http.ResponseWriter, _ *http.Request, _ *session.Session) {
			io.Copy(w, strings.NewReader("done"))
		}, 503},
		{"the handler flushes", func(w http.ResponseWriter, _ *http.Request, _ *session.Session) {
			w.(http.Flusher).Flush()
		}, 503},
		{"the handler ignores the error", func(w http.ResponseWriter, r *http.Request, s *session.Session) {
			s.Apply(r.Context())
			io.WriteString(w, "done")
		}, 503},
		{"the handler responds with an error", func(w http.ResponseWriter, r *http.Request, s *session.Session) {
			if err := s.Apply(r.Context()); err != nil {
				http.Error(w, "sorry", session.StatusCode(err)+1)
			}
		}, 504},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := newClient(t, session.Options{})
			b.visit()
			before := b.cookie
			b.store.takeCalls()
			b.store.fail["update"] = errStore
			response := b.do(func(w http.ResponseWriter, r *http.Request, s *session.Session) {
				visits.Add(r.Context(), 1)
				test.handler(w, r, s)
			})
			body, _ := io.ReadAll(response.Body)
			if response.StatusCode != test.status || strings.Contains(string(body), "done") {
				t.Errorf("response %d %q", response.StatusCode, body)
			}
			if response.Header.Get("Etag")+response.Header.Get("Location") != "" {
				t.Errorf("headers of the handler's response were sent: %v", response.Header)
			}
			if test.status == 503 && response.Header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
			if got := b.store.takeCalls(); got != "update" || b.cookie != before {
				t.Errorf("store calls %q, want one update and the old cookie", got)
			}
		})
	}
}

func TestFailedReadIsNotRetried(t *testing.T) {
	b := newClient(t, session.Options{})
	b.visit()
	b.store.takeCalls()
	b.store.fail["load"] = errStore
	b.do(func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
		for range 3 {
			if _, err := visits.Get(r.Context()); !errors.Is(err, session.ErrUnavailable) || !errors.Is(err, errStore) {
				t.Errorf("read: %v", err)
			}
		}
	})
	if got := b.store.takeCalls(); got != "load" {
		t.Errorf("store calls %q, want one load", got)
	}
}

func TestHungStoreDelaysOnlyRequestsThatNeedIt(t *testing.T) {
	b := newClient(t, session.Options{StoreTimeout: 500 * time.Millisecond})
	b.visit()
	b.store.hang = true
	b.store.takeCalls()
	if response := b.do(func(http.ResponseWriter, *http.Request, *session.Session) {}); response.StatusCode != 200 || b.store.takeCalls() != "" {
		t.Errorf("untouched: status %d", response.StatusCode)
	}
	response := b.do(func(_ http.ResponseWriter, r *http.Request, s *session.Session) { visits.Add(r.Context(), 1) })
	if response.StatusCode != 503 {
		t.Errorf("write: status %d", response.StatusCode)
	}
	b.store.hang = false
	if n := b.visit(); n != 2 {
		t.Errorf("after the store has recovered, the counter is %d, want 2", n)
	}
}

func TestFailedTouchIsIgnored(t *testing.T) {
	b := newClient(t, session.Options{IdleTimeout: time.Minute})
	b.visit()
	b.now = b.now.Add(40 * time.Second)
	b.store.fail["touch"] = errStore
	b.store.takeCalls()
	response := b.do(func(_ http.ResponseWriter, r *http.Request, s *session.Session) { visits.Get(r.Context()) })
	if got := b.store.takeCalls(); response.StatusCode != 200 || got != "load touch" {
		t.Errorf("status %d, store calls %q", response.StatusCode, got)
	}
}

func TestChangesAreSentBeforeTheFirstByte(t *testing.T) {
	b := newClient(t, session.Options{})
	b.do(func(w http.ResponseWriter, r *http.Request, s *session.Session) {
		visits.Add(r.Context(), 1)
		w.WriteHeader(http.StatusEarlyHints)
		if got := b.store.takeCalls(); got != "" {
			t.Errorf("store calls %q before the response, want none", got)
		}
		io.WriteString(w, "x")
		if got := b.store.takeCalls(); got != "create" {
			t.Errorf("store calls %q with the first byte, want one create", got)
		}
		visits.Add(r.Context(), 1)
		for name, err := range map[string]error{"add": s.Apply(r.Context()), "login": s.Login(r.Context(), "ada"), "logout": s.Logout(r.Context())} {
			if !errors.Is(err, session.ErrResponseStarted) {
				t.Errorf("%s after the first byte: %v", name, err)
			}
		}
		if n, err := visits.Get(r.Context()); n != 1 || err != nil {
			t.Errorf("a read after the first byte: %d, %v", n, err)
		}
	})
}

func TestResponsesOfSessionsAreNotCached(t *testing.T) {
	b := newClient(t, session.Options{})
	b.visit()
	response := b.do(func(_ http.ResponseWriter, r *http.Request, s *session.Session) { s.User(r.Context()) })
	if response.Header.Get("Cache-Control") != "no-store" || response.Header.Get("Vary") != "Cookie" {
		t.Errorf("used: %v", response.Header)
	}
	response = b.do(func(http.ResponseWriter, *http.Request, *session.Session) {})
	if len(response.Header) != 0 {
		t.Errorf("untouched: %v", response.Header)
	}
}

func TestFailedLoginKeepsTheOldSession(t *testing.T) {
	b := newClient(t, session.Options{})
	b.visit()
	before := *b.cookie
	b.store.fail["renew"] = errStore
	response := b.do(func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
		if err := s.Login(r.Context(), "ada"); !errors.Is(err, session.ErrUnavailable) {
			t.Errorf("login: %v", err)
		}
	})
	delete(b.store.fail, "renew")
	if response.StatusCode != 503 || b.cookie.Value != before.Value {
		t.Errorf("status %d, cookie %v", response.StatusCode, b.cookie)
	}
	if n := b.visit(); n != 2 {
		t.Errorf("the counter is %d, want 2", n)
	}
}

func TestRenewNeverUndoesALogout(t *testing.T) {
	b := newClient(t, session.Options{})
	b.do(func(_ http.ResponseWriter, r *http.Request, s *session.Session) { s.Login(r.Context(), "ada") })
	logoutElsewhere := func() {
		cookie := *b.cookie
		b.do(func(_ http.ResponseWriter, r *http.Request, s *session.Session) { s.Logout(r.Context()) })
		b.cookie = &cookie
	}
	response := b.do(func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
		if user, err := s.User(r.Context()); user != "ada" || err != nil {
			t.Fatalf("user %q, %v", user, err)
		}
		if ended, err := s.Ended(r.Context()); ended || err != nil {
			t.Errorf("before the logout, ended is %v, %v", ended, err)
		}
		logoutElsewhere()
		if err := s.Renew(r.Context()); !errors.Is(err, session.ErrEnded) {
			t.Errorf("renew: %v", err)
		}
	})
	if response.StatusCode != http.StatusConflict || len(response.Cookies()) != 0 {
		t.Errorf("status %d, cookies %v", response.StatusCode, response.Cookies())
	}
	b.do(func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
		if ended, err := s.Ended(r.Context()); !ended || err != nil {
			t.Errorf("after the logout, ended is %v, %v", ended, err)
		}
	})
}

func TestSessionsOfAUser(t *testing.T) {
	one := newClient(t, session.Options{})
	two := *one
	login := func(b *client) {
		b.now = b.now.Add(time.Second)
		b.do(func(_ http.ResponseWriter, r *http.Request, s *session.Session) { s.Login(r.Context(), "ada") })
	}
	login(one)
	login(&two)
	var others []session.Info
	one.do(func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
		list, _, err := s.UserSessions(r.Context(), "", 10)
		if err != nil || len(list) != 2 {
			t.Fatalf("list: %v, %v", list, err)
		}
		for _, info := range list {
			if !info.Current {
				others = append(others, info)
			}
		}
		if len(others) != 1 || others[0].UserAgent != "test" || others[0].User != "ada" {
			t.Fatalf("others: %+v", others)
		}
		if err := s.LogoutOther(r.Context(), session.ID{}); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("logout of an unknown session: %v", err)
		}
		if err := s.LogoutOther(r.Context(), others[0].ID); err != nil {
			t.Error(err)
		}
	})
	two.do(func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
		if user, err := s.User(r.Context()); user != "" || err != nil {
			t.Errorf("the other session: %q, %v", user, err)
		}
	})
	stranger := *one
	stranger.cookie = nil
	stranger.do(func(_ http.ResponseWriter, r *http.Request, s *session.Session) {
		s.Login(r.Context(), "eve")
		if err := s.LogoutOther(r.Context(), others[0].ID); !errors.Is(err, session.ErrEnded) && !errors.Is(err, session.ErrNotFound) {
			t.Errorf("logout of another user's session: %v", err)
		}
	})
}

// TestRealConnections tests streaming and hijacking, which httptest.ResponseRecorder doesn't support.
func TestRealConnections(t *testing.T) {
	b := newClient(t, session.Options{})
	b.visit()
	b.store.takeCalls()
	mux := http.NewServeMux()
	mux.HandleFunc("/stream", func(w http.ResponseWriter, r *http.Request) {
		visits.Add(r.Context(), 1)
		for range 3 {
			io.WriteString(w, "x")
			if err := http.NewResponseController(w).Flush(); err != nil {
				t.Error(err)
			}
		}
	})
	mux.HandleFunc("/hijack", func(w http.ResponseWriter, r *http.Request) {
		visits.Add(r.Context(), 1)
		conn, buffer, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		buffer.WriteString("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi")
		buffer.Flush()
	})
	server := httptest.NewServer(b.manager.Handler(mux))
	defer server.Close()
	for _, test := range [][2]string{{"/stream", "xxx"}, {"/hijack", "hi"}} {
		path, want := test[0], test[1]
		request, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+path, nil)
		request.AddCookie(b.cookie)
		response := must.Get(server.Client().Do(request))(t)
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if string(body) != want {
			t.Errorf("%s: got %q", path, body)
		}
		if got := b.store.takeCalls(); got != "update" {
			t.Errorf("%s: store calls %q", path, got)
		}
	}
}

// TestAcknowledgedMeansStored sends changes from clients that disconnect before the response. The changes must be stored.
func TestAcknowledgedMeansStored(t *testing.T) {
	const writes = 20
	b := newClient(t, session.Options{Logger: slog.New(slog.DiscardHandler)})
	b.visit()
	left := make(chan struct{}, writes)
	done := make(chan struct{}, writes)
	server := httptest.NewServer(b.manager.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-r.Context().Done() // the client has left
		left <- struct{}{}
		visits.Add(r.Context(), 1)
	})))
	server.Config.Handler = func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(w, r); done <- struct{}{} })
	}(server.Config.Handler)
	defer server.Close()
	for range writes {
		conn := must.Get(net.Dial("tcp", server.Listener.Addr().String()))(t)
		request, _ := http.NewRequestWithContext(context.Background(), http.MethodPost, server.URL, nil)
		request.AddCookie(b.cookie)
		writer := bufio.NewWriter(conn)
		request.Write(writer)
		writer.Flush()
		conn.Close()
		<-left
		<-done
	}
	if n := b.visit(); n != writes+2 {
		t.Errorf("the counter is %d, want %d", n, writes+2)
	}
}
