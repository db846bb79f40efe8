package session

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
)

// Handler gives every request of next its Session.
func (m *Manager) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e := &exchange{Context: r.Context()}
		e.session = Session{manager: m, request: r, header: w.Header()}
		e.response = responseWriter{ResponseWriter: w, session: &e.session}
		next.ServeHTTP(&e.response, r.WithContext(e))
		e.response.begin(http.StatusOK)
	})
}

// An exchange is all that a request needs of this package, in one allocation. It is the request's context.
type exchange struct {
	context.Context
	session  Session
	response responseWriter
}

// Value finds the session.
func (e *exchange) Value(key any) any {
	if key == (contextKey{}) {
		return &e.session
	}
	return e.Context.Value(key)
}

// A responseWriter sends the session's changes before the first byte of the response.
type responseWriter struct {
	http.ResponseWriter
	session *Session
	refused bool // the ErrorHandler has answered: what the handler writes is dropped
}

var (
	_ http.Flusher    = (*responseWriter)(nil)
	_ http.Hijacker   = (*responseWriter)(nil)
	_ io.ReaderFrom   = (*responseWriter)(nil)
	_ io.StringWriter = (*responseWriter)(nil)
)

// Unwrap is for http.ResponseController.
func (w *responseWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *responseWriter) WriteHeader(status int) {
	if 100 <= status && status < 200 && status != http.StatusSwitchingProtocols {
		w.ResponseWriter.WriteHeader(status) // informational: the response itself is still to come
		return
	}
	if w.begin(status) {
		w.ResponseWriter.WriteHeader(status)
	}
}

func (w *responseWriter) Write(p []byte) (int, error) {
	if !w.begin(http.StatusOK) {
		return 0, w.session.unstored
	}
	return w.ResponseWriter.Write(p)
}

// WriteString spares io.WriteString a copy.
func (w *responseWriter) WriteString(text string) (int, error) {
	if !w.begin(http.StatusOK) {
		return 0, w.session.unstored
	}
	return io.WriteString(w.ResponseWriter, text)
}

func (w *responseWriter) ReadFrom(r io.Reader) (int64, error) {
	if !w.begin(http.StatusOK) {
		return 0, w.session.unstored
	}
	return io.Copy(w.ResponseWriter, r)
}

func (w *responseWriter) Flush() { w.FlushError() }

// FlushError is for http.ResponseController.
func (w *responseWriter) FlushError() error {
	if !w.begin(http.StatusOK) {
		return w.session.unstored
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

func (w *responseWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if !w.begin(http.StatusSwitchingProtocols) {
		return nil, nil, w.session.unstored
	}
	return http.NewResponseController(w.ResponseWriter).Hijack()
}

// begin sends the changes, once, and tells whether the handler's own response may go out.
func (w *responseWriter) begin(status int) bool {
	s := w.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.started {
		return !w.refused
	}
	s.started = true
	err := s.apply(s.request.Context())
	if err == nil && s.unstored != nil && status < http.StatusBadRequest {
		err = s.unstored // the handler was told, and answers a success all the same
	}
	if err != nil {
		w.refused = true
		s.clearResponse()
		s.manager.options.ErrorHandler(w.ResponseWriter, s.request, err)
		return false
	}
	if s.live && !s.updated && s.manager.needsTouch(s.record, s.manager.options.Now()) {
		// Nothing was promised to anybody yet: if it fails, the session ends when it would have.
		if ref, record, err := s.manager.update(s.request.Context(), s.ref, nil, &s.record); err == nil {
			s.become(ref, record)
		}
	}
	if s.asked {
		s.header.Add("Vary", "Cookie")
		if s.header.Get("Cache-Control") == "" {
			s.header.Set("Cache-Control", "no-store") // it shows one visitor's state
		}
	}
	return true
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
