package session

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
)

// ErrHijackCookie means that a connection can't be hijacked because the response has to bring a new cookie, which a
// hijacker may not send. Change the session in a request of its own before, or call WriteHeader with 101 first.
var ErrHijackCookie = errors.New("the session's new cookie can't be sent on a hijacked connection")

// Handler gives every request of next its Session.
//
// It sends the changes, and adds the session's cookie, when the response begins: at the first byte, at a Flush or a
// Hijack, or when next returns. If next panics, the changes that have not been sent are dropped; a new cookie is in the
// header of whatever a recovering handler outside answers. What a goroutine does to the session after the response has
// begun fails with ErrResponseStarted.
func (m *Manager) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e := &responseWriter{Context: r.Context(), ResponseWriter: w, manager: m, request: r}
		e.keepHeader()
		defer e.abandon()
		next.ServeHTTP(e, r.WithContext(e))
		e.begin(http.StatusOK)
	})
}

// A responseWriter is the context and the response of a request. A request that doesn't use its session costs nothing else.
type responseWriter struct {
	context.Context
	http.ResponseWriter
	manager *Manager
	request *http.Request
	outer   http.Header // what handlers outside have said of the response

	mu      sync.Mutex
	session *Session // nil until it is asked for
	begun   bool     // the response has begun
	refused error    // why the ErrorHandler has answered: what the handler writes is dropped
}

var (
	_ http.Flusher    = (*responseWriter)(nil)
	_ http.Hijacker   = (*responseWriter)(nil)
	_ io.ReaderFrom   = (*responseWriter)(nil)
	_ io.StringWriter = (*responseWriter)(nil)
)

// Value finds the session.
func (e *responseWriter) Value(key any) any {
	switch key := key.(type) {
	case contextKey:
	case managerKey:
		if key.manager != e.manager {
			return e.Context.Value(key)
		}
	default:
		return e.Context.Value(key)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.session == nil {
		e.session = &Session{manager: e.manager, request: e.request, begun: e.begun}
	}
	return e.session
}

// Unwrap is for http.ResponseController.
func (e *responseWriter) Unwrap() http.ResponseWriter { return e.ResponseWriter }

func (e *responseWriter) WriteHeader(status int) {
	if 100 <= status && status < 200 && status != http.StatusSwitchingProtocols {
		e.ResponseWriter.WriteHeader(status) // informational: the response itself is still to come
		return
	}
	if e.begin(status) == nil {
		e.ResponseWriter.WriteHeader(status)
	}
}

func (e *responseWriter) Write(p []byte) (int, error) {
	if err := e.begin(http.StatusOK); err != nil {
		return 0, err
	}
	return e.ResponseWriter.Write(p)
}

// WriteString spares io.WriteString a copy.
func (e *responseWriter) WriteString(text string) (int, error) {
	if err := e.begin(http.StatusOK); err != nil {
		return 0, err
	}
	return io.WriteString(e.ResponseWriter, text)
}

func (e *responseWriter) ReadFrom(r io.Reader) (int64, error) {
	if err := e.begin(http.StatusOK); err != nil {
		return 0, err
	}
	return io.Copy(e.ResponseWriter, r)
}

func (e *responseWriter) Flush() { e.FlushError() }

// FlushError is for http.ResponseController.
func (e *responseWriter) FlushError() error {
	if err := e.begin(http.StatusOK); err != nil {
		return err
	}
	return http.NewResponseController(e.ResponseWriter).Flush()
}

// Hijack sends the changes before it hands over the connection. When the response would have to bring a new cookie, it
// fails with ErrHijackCookie, and the handler can still answer.
func (e *responseWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if err := e.beginHijack(); err != nil {
		return nil, nil, err
	}
	return http.NewResponseController(e.ResponseWriter).Hijack()
}

func (e *responseWriter) beginHijack() error {
	e.mu.Lock()
	if e.session != nil && !e.begun {
		if err := e.session.beforeHijack(); err != nil {
			e.mu.Unlock()
			return err
		}
	}
	e.mu.Unlock()
	return e.begin(http.StatusSwitchingProtocols)
}

// begin sends the changes, once. An error says why the handler's own response may not go out.
func (e *responseWriter) begin(status int) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.session == nil || e.begun {
		e.begun = true
		return e.refused
	}
	e.begun = true
	e.refused = e.session.begin(status)
	if e.refused != nil {
		e.restoreHeader()
	}
	e.session.finishHeader(e.Header())
	if e.refused != nil {
		e.manager.options.ErrorHandler(e.ResponseWriter, e.request, e.refused)
	}
	return e.refused
}

// abandon ends the response of a handler that panicked. The visitor still gets a new cookie, if somebody answers him.
func (e *responseWriter) abandon() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.begun {
		return
	}
	e.begun = true
	if e.session != nil {
		e.session.abandon()
		e.session.finishHeader(e.Header())
	}
}

// ownHeaders are about the handler's own response, and wrong for that of an ErrorHandler.
var ownHeaders = [...]string{
	"Cache-Control", "Content-Disposition", "Content-Encoding", "Content-Length", "Content-Type", "Etag", "Last-Modified", "Location",
}

// keepHeader keeps what handlers outside have said of the response, such as how they encode it.
func (e *responseWriter) keepHeader() {
	header := e.Header()
	if len(header) == 0 {
		return
	}
	for _, name := range ownHeaders {
		if values, ok := header[name]; ok {
			if e.outer == nil {
				e.outer = http.Header{}
			}
			e.outer[name] = values
		}
	}
}

// restoreHeader takes back what the handler has said of a response that won't be sent.
func (e *responseWriter) restoreHeader() {
	header := e.Header()
	for _, name := range ownHeaders {
		header.Del(name)
		if values, ok := e.outer[name]; ok {
			header[name] = values
		}
	}
}

// begin readies the session for a response of that status. An error says why the response can't be the handler's own: a
// change failed, and the handler answers a success all the same.
func (s *Session) begin(status int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() { s.begun = true }()
	ctx := s.request.Context()
	recorded := len(s.changes) > 0
	if err := s.apply(ctx); err != nil && (recorded || status < http.StatusBadRequest) {
		return err
	}
	if status == http.StatusSwitchingProtocols && s.manager.isClientSide() {
		return nil // the extended session would be a new cookie
	}
	s.touch(ctx)
	return nil
}

// touch extends a session that was only read. Nothing was promised to anybody yet: if it fails, the session ends when it
// would have.
func (s *Session) touch(ctx context.Context) {
	if s.state != stateLive || !s.manager.needsTouch(s.record, s.manager.options.Now()) {
		return
	}
	if ref, record, err := s.manager.update(ctx, s.refs[0], nil, &s.record); err == nil {
		s.adopt(ref, record)
	}
}

// beforeHijack sends the changes while the handler can still answer otherwise.
func (s *Session) beforeHijack() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.apply(s.request.Context()); err != nil {
		return err
	}
	if s.cookie != "" {
		return ErrHijackCookie
	}
	return nil
}

// abandon drops the changes that were not sent.
func (s *Session) abandon() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begun, s.changes = true, nil
}
