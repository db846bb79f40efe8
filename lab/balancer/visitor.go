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

// visitor writes the answer to a visitor, who may leave each part of it unread for the idle timeout.
type visitor struct {
	http.ResponseWriter
	control *http.ResponseController
	idle    time.Duration
	body    *visitorBody // nil when the request has none
	early   bool         // the answer began before the visitor had sent all of the request
}

// newVisitor returns the writer of the answer to r, and r with a body that the writer watches.
func newVisitor(w http.ResponseWriter, r *http.Request, idle time.Duration) (*visitor, *http.Request) {
	v := &visitor{ResponseWriter: w, control: http.NewResponseController(w), idle: idle}
	if r.ContentLength != 0 {
		v.body = &visitorBody{ReadCloser: r.Body}
		r = r.WithContext(r.Context()) // a copy: the server looks at the body of its own
		r.Body = v.body
	}
	return v, r
}

// Unwrap is for http.ResponseController.
func (v *visitor) Unwrap() http.ResponseWriter { return v.ResponseWriter }

// WriteHeader passes an early answer on at once. The visitor may wait for it before sending the rest, and what reads the
// rest would hold the answer up. The connection ends with such an answer: net/http would read what is left of the request
// while it waits for the next one, and panic (conn.serve in Go 1.26).
func (v *visitor) WriteHeader(status int) {
	v.extend()
	if v.early = status >= http.StatusOK && v.body != nil && !v.body.ended.Load(); v.early {
		v.Header().Set("Connection", "close")
		_ = v.control.EnableFullDuplex() // fails only where nobody sends bodies early
	}
	v.ResponseWriter.WriteHeader(status)
	v.flush()
}

func (v *visitor) Write(p []byte) (int, error) {
	v.extend()
	n, err := v.ResponseWriter.Write(p)
	v.flush()
	return n, err
}

// extend gives the visitor the idle timeout for the next part.
func (v *visitor) extend() {
	_ = v.control.SetWriteDeadline(time.Now().Add(v.idle)) // fails on a closed connection, as the write does
}

func (v *visitor) flush() {
	if v.early {
		_ = v.control.Flush() // fails as the next write does
	}
}

// visitorBody marks the errors of reading it, so that they can be told from the target's, and notes its end.
type visitorBody struct {
	io.ReadCloser
	ended  atomic.Bool // nothing more can be read
	mu     sync.Mutex  // held while it is being read
	failed error       // guarded by mu; nil when it ended well
}

type visitorError struct{ error }

func (b *visitorBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.ended.Store(true)
		if err != io.EOF {
			b.failed = err
			err = visitorError{err}
		}
	}
	return n, err
}

// late reports whether the visitor took too long to send the body. It waits for the read that is under way.
func (v *visitor) late() bool {
	if v.body == nil {
		return false
	}
	v.body.mu.Lock()
	defer v.body.mu.Unlock()
	return errors.Is(v.body.failed, os.ErrDeadlineExceeded)
}
