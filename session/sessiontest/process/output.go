package process

import (
	"io"
	"sync"
)

// IgnoreErrors returns a writer that never fails: it drops data that w can't write, and calls report with the first error. report
// may be nil. A child whose log can't be written therefore loses lines of its log instead of its stdout, which would end it with
// SIGPIPE.
func IgnoreErrors(w io.Writer, report func(err error)) io.Writer {
	l := &errorIgnorer{w: w, report: func(error) {}}
	if report != nil {
		var once sync.Once
		l.report = func(err error) { once.Do(func() { report(err) }) }
	}
	return l
}

type errorIgnorer struct {
	w      io.Writer
	report func(error)
}

func (l *errorIgnorer) Write(b []byte) (int, error) {
	if _, err := l.w.Write(b); err != nil {
		l.report(err)
	}
	return len(b), nil
}
