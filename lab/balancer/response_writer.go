package balancer

import (
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// A responseWriter gives the client the idle timeout to read each part of the response.
type responseWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	idle    time.Duration
	body    *requestBody // nil when the request has none
	early   bool         // the response began before the client had sent the whole request
}

// newResponseWriter returns the writer for the response to r, and a copy of r with a body that the writer observes.
func newResponseWriter(w http.ResponseWriter, r *http.Request, idle time.Duration) (*responseWriter, *http.Request) {
	rw := &responseWriter{ResponseWriter: w, control: http.NewResponseController(w), idle: idle}
	if r.ContentLength != 0 {
		rw.body = &requestBody{ReadCloser: r.Body}
		r = r.WithContext(r.Context()) // a copy, because net/http relies on the body of the original
		r.Body = rw.body
	}
	return rw, r
}

// Unwrap makes the methods of the underlying writer available to http.ResponseController.
func (rw *responseWriter) Unwrap() http.ResponseWriter { return rw.ResponseWriter }

// WriteHeader forwards an early response at once, because the client may wait for it before sending the rest of the request, and
// net/http would otherwise first read that rest. The connection ends with such a response: net/http would read the rest while it
// waits for the next request, and panic (conn.serve in Go 1.26).
func (rw *responseWriter) WriteHeader(status int) {
	rw.extendDeadline()
	if rw.early = status >= http.StatusOK && rw.body != nil && !rw.body.ended.Load(); rw.early {
		rw.Header().Set("Connection", "close")
		_ = rw.control.EnableFullDuplex() // fails only for HTTP/2, which needs no such mode
	}
	rw.ResponseWriter.WriteHeader(status)
	rw.flush()
}

func (rw *responseWriter) Write(p []byte) (int, error) {
	rw.extendDeadline()
	n, err := rw.ResponseWriter.Write(p)
	rw.flush()
	return n, err
}

// extendDeadline gives the client the idle timeout to read the next part.
func (rw *responseWriter) extendDeadline() {
	_ = rw.control.SetWriteDeadline(time.Now().Add(rw.idle)) // fails on a closed connection, as the write does
}

func (rw *responseWriter) flush() {
	if rw.early {
		_ = rw.control.Flush() // fails as the next write does
	}
}

// A requestBody wraps its read errors as requestBodyError, to tell them from errors of the target, and records its end.
type requestBody struct {
	io.ReadCloser
	ended  atomic.Bool // nothing more can be read
	mu     sync.Mutex  // held while it is being read
	failed error       // guarded by mu; nil when it ended well
}

type requestBodyError struct{ error }

func (b *requestBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.ended.Store(true)
		if err != io.EOF {
			b.failed = err
			err = requestBodyError{err}
		}
	}
	return n, err
}

// timedOut reports whether the client took too long to send the body. It waits for a read in progress.
func (rw *responseWriter) timedOut() bool {
	if rw.body == nil {
		return false
	}
	rw.body.mu.Lock()
	defer rw.body.mu.Unlock()
	return errors.Is(rw.body.failed, os.ErrDeadlineExceeded)
}
