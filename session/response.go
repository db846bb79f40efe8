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

// ErrHijackCookie means that a connection can't be hijacked because the response has to set a new cookie, and the code that
// hijacks may not send it. Change the session in an earlier request, or call WriteHeader with 101 before Hijack.
var ErrHijackCookie = errors.New("the session's new cookie can't be sent on a hijacked connection")

// Handler returns a handler that calls next with a Session in the request's context.
//
// When the response begins, it sends the recorded changes to the store and adds the session's cookie. A response begins with
// its first byte, a Flush or a Hijack, or when next returns. If next panics, the changes that have not been sent are
// dropped, and a new cookie stays in the header for the response of an outer handler that recovers. A change made after the
// response has begun, for example by a goroutine, fails with ErrResponseStarted.
func (m *Manager) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rw := &responseWriter{Context: r.Context(), ResponseWriter: w, manager: m, request: r}
		rw.saveHeader()
		defer rw.abandon()
		next.ServeHTTP(rw, r.WithContext(rw))
		rw.begin(http.StatusOK)
	})
}

// A responseWriter is both the context and the http.ResponseWriter of a request, so that a request needs one allocation. It
// creates the Session when a handler first asks for it.
type responseWriter struct {
	context.Context
	http.ResponseWriter
	manager     *Manager
	request     *http.Request
	outerHeader http.Header // content headers that outer handlers set

	mu      sync.Mutex
	session *Session // nil until a handler asks for it
	begun   bool     // the response has begun
	failure error    // the error for which the ErrorHandler has responded; writes of the handler are dropped
}

var (
	_ http.Flusher    = (*responseWriter)(nil)
	_ http.Hijacker   = (*responseWriter)(nil)
	_ io.ReaderFrom   = (*responseWriter)(nil)
	_ io.StringWriter = (*responseWriter)(nil)
)

// Value returns the Session for the keys of this package.
func (rw *responseWriter) Value(key any) any {
	switch key := key.(type) {
	case contextKey:
	case managerKey:
		if key.manager != rw.manager {
			return rw.Context.Value(key)
		}
	default:
		return rw.Context.Value(key)
	}
	rw.mu.Lock()
	defer rw.mu.Unlock()
	if rw.session == nil {
		rw.session = &Session{manager: rw.manager, request: rw.request, begun: rw.begun}
	}
	return rw.session
}

// Unwrap lets an http.ResponseController reach the wrapped writer.
func (rw *responseWriter) Unwrap() http.ResponseWriter { return rw.ResponseWriter }

func (rw *responseWriter) WriteHeader(status int) {
	if 100 <= status && status < 200 && status != http.StatusSwitchingProtocols {
		rw.ResponseWriter.WriteHeader(status) // informational: the response itself is still to come
		return
	}
	if rw.begin(status) == nil {
		rw.ResponseWriter.WriteHeader(status)
	}
}

func (rw *responseWriter) Write(p []byte) (int, error) {
	if err := rw.begin(http.StatusOK); err != nil {
		return 0, err
	}
	return rw.ResponseWriter.Write(p)
}

// WriteString lets io.WriteString write without a copy.
func (rw *responseWriter) WriteString(text string) (int, error) {
	if err := rw.begin(http.StatusOK); err != nil {
		return 0, err
	}
	return io.WriteString(rw.ResponseWriter, text)
}

func (rw *responseWriter) ReadFrom(r io.Reader) (int64, error) {
	if err := rw.begin(http.StatusOK); err != nil {
		return 0, err
	}
	return io.Copy(rw.ResponseWriter, r)
}

func (rw *responseWriter) Flush() { rw.FlushError() }

// FlushError lets an http.ResponseController flush and get the error.
func (rw *responseWriter) FlushError() error {
	if err := rw.begin(http.StatusOK); err != nil {
		return err
	}
	return http.NewResponseController(rw.ResponseWriter).Flush()
}

// Hijack sends the changes before it hands over the connection. If the response has to set a new cookie, it fails with
// ErrHijackCookie, and the handler can still respond.
func (rw *responseWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if err := rw.beginHijack(); err != nil {
		return nil, nil, err
	}
	return http.NewResponseController(rw.ResponseWriter).Hijack()
}

func (rw *responseWriter) beginHijack() error {
	rw.mu.Lock()
	if rw.session != nil && !rw.begun {
		if err := rw.session.beforeHijack(); err != nil {
			rw.mu.Unlock()
			return err
		}
	}
	rw.mu.Unlock()
	return rw.begin(http.StatusSwitchingProtocols)
}

// begin sends the changes on its first call. If it returns an error, the ErrorHandler has responded in place of the handler.
func (rw *responseWriter) begin(status int) error {
	rw.mu.Lock()
	defer rw.mu.Unlock()
	if rw.session == nil || rw.begun {
		rw.begun = true
		return rw.failure
	}
	rw.begun = true
	rw.failure = rw.session.begin(status)
	if rw.failure != nil {
		rw.restoreHeader()
	}
	rw.session.setHeader(rw.Header())
	if rw.failure != nil {
		rw.manager.options.ErrorHandler(rw.ResponseWriter, rw.request, rw.failure)
	}
	return rw.failure
}

// abandon drops the changes of a handler that panicked. It adds a new cookie to the header, for an outer handler that
// recovers and responds.
func (rw *responseWriter) abandon() {
	rw.mu.Lock()
	defer rw.mu.Unlock()
	if rw.begun {
		return
	}
	rw.begun = true
	if rw.session != nil {
		rw.session.abandon()
		rw.session.setHeader(rw.Header())
	}
}

// contentHeaders describe the handler's response and are wrong for the response of an ErrorHandler.
var contentHeaders = [...]string{
	"Cache-Control", "Content-Disposition", "Content-Encoding", "Content-Length", "Content-Type", "Etag", "Last-Modified", "Location",
}

// saveHeader saves the content headers that outer handlers set, such as a Content-Encoding.
func (rw *responseWriter) saveHeader() {
	header := rw.Header()
	if len(header) == 0 {
		return
	}
	for _, name := range contentHeaders {
		if values, ok := header[name]; ok {
			if rw.outerHeader == nil {
				rw.outerHeader = http.Header{}
			}
			rw.outerHeader[name] = values
		}
	}
}

// restoreHeader removes the content headers of the handler, whose response won't be sent, and restores those of outer
// handlers.
func (rw *responseWriter) restoreHeader() {
	header := rw.Header()
	for _, name := range contentHeaders {
		header.Del(name)
		if values, ok := rw.outerHeader[name]; ok {
			header[name] = values
		}
	}
}

// begin prepares the session for a response with the given status: it sends the changes and extends the session. It returns
// an error if a change failed and the handler would hide that: the change was recorded until now, or the status is below 400.
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
		return nil // extending it would need a new cookie
	}
	s.touch(ctx)
	return nil
}

// touch extends a session that was only read. It ignores errors: the session then keeps its old expiry.
func (s *Session) touch(ctx context.Context) {
	if s.state != stateLive || !s.manager.needsTouch(s.record, s.manager.options.Now()) {
		return
	}
	if ref, record, err := s.manager.update(ctx, s.refs[0], nil, &s.record); err == nil {
		s.adopt(ref, record)
	}
}

// beforeHijack sends the changes while the handler can still send an ordinary response.
func (s *Session) beforeHijack() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.apply(s.request.Context()); err != nil {
		return err
	}
	if s.hasToken {
		return ErrHijackCookie
	}
	return nil
}

// abandon drops the changes that have not been sent.
func (s *Session) abandon() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begun, s.changes = true, nil
}
