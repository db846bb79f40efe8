package session

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
)

// Handler gives every request of next its Session.
func (m *Manager) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e := &exchange{Context: r.Context(), ResponseWriter: w, manager: m, request: r}
		next.ServeHTTP(e, r.WithContext(e))
		e.begin(http.StatusOK)
	})
}

// An exchange is the context and the response of a request. It is all that a request costs which doesn't use its session.
// Before the first byte of the response, it sends the session's changes.
type exchange struct {
	context.Context
	http.ResponseWriter
	manager *Manager
	request *http.Request

	mu      sync.Mutex
	session *Session // nil until it is asked for
	started bool     // the response has begun
	refused bool     // the ErrorHandler has answered: what the handler writes is dropped
}

var (
	_ http.Flusher    = (*exchange)(nil)
	_ http.Hijacker   = (*exchange)(nil)
	_ io.ReaderFrom   = (*exchange)(nil)
	_ io.StringWriter = (*exchange)(nil)
)

// Value finds the session.
func (e *exchange) Value(key any) any {
	if key != (contextKey{}) {
		return e.Context.Value(key)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.session == nil {
		e.session = &Session{manager: e.manager, request: e.request, header: e.Header(), started: e.started}
	}
	return e.session
}

// Unwrap is for http.ResponseController.
func (e *exchange) Unwrap() http.ResponseWriter { return e.ResponseWriter }

func (e *exchange) WriteHeader(status int) {
	if 100 <= status && status < 200 && status != http.StatusSwitchingProtocols {
		e.ResponseWriter.WriteHeader(status) // informational: the response itself is still to come
		return
	}
	if e.begin(status) == nil {
		e.ResponseWriter.WriteHeader(status)
	}
}

func (e *exchange) Write(p []byte) (int, error) {
	if err := e.begin(http.StatusOK); err != nil {
		return 0, err
	}
	return e.ResponseWriter.Write(p)
}

// WriteString spares io.WriteString a copy.
func (e *exchange) WriteString(text string) (int, error) {
	if err := e.begin(http.StatusOK); err != nil {
		return 0, err
	}
	return io.WriteString(e.ResponseWriter, text)
}

func (e *exchange) ReadFrom(r io.Reader) (int64, error) {
	if err := e.begin(http.StatusOK); err != nil {
		return 0, err
	}
	return io.Copy(e.ResponseWriter, r)
}

func (e *exchange) Flush() { e.FlushError() }

// FlushError is for http.ResponseController.
func (e *exchange) FlushError() error {
	if err := e.begin(http.StatusOK); err != nil {
		return err
	}
	return http.NewResponseController(e.ResponseWriter).Flush()
}

func (e *exchange) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if err := e.begin(http.StatusSwitchingProtocols); err != nil {
		return nil, nil, err
	}
	return http.NewResponseController(e.ResponseWriter).Hijack()
}

// begin sends the changes, once. An error is why the handler's own response may not go out.
func (e *exchange) begin(status int) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.session == nil {
		e.started = true
		return nil
	}
	if !e.started {
		e.started = true
		if err := e.session.begin(status); err != nil {
			e.refused = true
			e.manager.options.ErrorHandler(e.ResponseWriter, e.request, err)
		}
	}
	if e.refused {
		return e.session.unstored
	}
	return nil
}

// begin readies the session and the response's header for a response of that status.
func (s *Session) begin(status int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.started = true
	ctx := s.request.Context()
	err := s.apply(ctx)
	if err == nil && s.unstored != nil && status < http.StatusBadRequest {
		err = s.unstored // the handler was told, and answers a success all the same
	}
	if err != nil {
		s.clearResponse()
		return err
	}
	if s.live && !s.updated && s.manager.needsTouch(s.record, s.manager.options.Now()) {
		// Nothing was promised to anybody yet: if it fails, the session ends when it would have.
		if ref, record, err := s.manager.update(ctx, s.ref, nil, &s.record); err == nil {
			s.become(ref, record)
		}
	}
	if s.asked {
		s.header.Add("Vary", "Cookie")
		if s.header.Get("Cache-Control") == "" {
			s.header.Set("Cache-Control", "no-store") // it shows one visitor's state
		}
	}
	return nil
}

// clearResponse takes back what the handler said of a response that won't be sent.
func (s *Session) clearResponse() {
	for _, name := range []string{"Cache-Control", "Content-Disposition", "Content-Encoding", "Content-Length", "Content-Type", "Etag", "Last-Modified", "Location"} {
		s.header.Del(name)
	}
	s.removeCookie()
}

// removeCookie takes back a session cookie of this response.
func (s *Session) removeCookie() {
	cookies := s.header["Set-Cookie"]
	kept := cookies[:0]
	for _, cookie := range cookies {
		if !strings.HasPrefix(cookie, s.manager.cookie+"=") {
			kept = append(kept, cookie)
		}
	}
	if len(kept) == 0 {
		s.header.Del("Set-Cookie")
		return
	}
	s.header["Set-Cookie"] = kept
}
