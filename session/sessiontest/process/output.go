package process

import (
	"io"
	"sync"
)

// IgnoreErrors returns a writer that never fails: it drops what w refuses, and tells why, once. A child whose output can't be
// written therefore loses lines of its log, and not its stdout, which would end it with SIGPIPE. tell may be nil.
func IgnoreErrors(w io.Writer, tell func(err error)) io.Writer {
	l := &lossy{w: w, tell: func(error) {}}
	if tell != nil {
		var once sync.Once
		l.tell = func(err error) { once.Do(func() { tell(err) }) }
	}
	return l
}

type lossy struct {
	w    io.Writer
	tell func(error)
}

func (l *lossy) Write(b []byte) (int, error) {
	if _, err := l.w.Write(b); err != nil {
		l.tell(err)
	}
	return len(b), nil
}
