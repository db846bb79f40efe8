package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"unicode"
	"unicode/utf8"
)

// A screen is the lab's standard output or standard error. It escapes control characters, for example as \u001b, because text
// from files and servers could use them to move the cursor, hide lines or rename the window. It is safe for concurrent use.
type screen struct {
	mu   sync.Mutex
	w    io.Writer
	rest []byte // the beginning of a character at the end of the last write
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := append(s.rest, p...)
	out := make([]byte, 0, len(text))
	for len(text) > 0 && utf8.FullRune(text) {
		r, size := utf8.DecodeRune(text)
		switch {
		case r == utf8.RuneError && size == 1:
			out = fmt.Appendf(out, `\x%02x`, text[0])
		case r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)):
			out = fmt.Appendf(out, `\u%04x`, r)
		default:
			out = append(out, text[:size]...)
		}
		text = text[size:]
	}
	s.rest = append([]byte(nil), text...)
	if _, err := s.w.Write(out); err != nil {
		return 0, err
	}
	return len(p), nil
}

// control writes a control sequence of the lab itself, such as a colour, unescaped. It does nothing unless w is a screen or a
// terminal.
func control(w io.Writer, sequence string) {
	s, ok := w.(*screen)
	if !ok {
		if terminal(w) {
			_, _ = io.WriteString(w, sequence)
		}
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _ = io.WriteString(s.w, sequence)
}

// fileOf returns the file that w writes to, or nil if it isn't a file.
func fileOf(w io.Writer) *os.File {
	if s, ok := w.(*screen); ok {
		w = s.w
	}
	file, _ := w.(*os.File)
	return file
}

// The control sequences of the lab.
const (
	red       = "\x1b[31m"
	green     = "\x1b[32m"
	plain     = "\x1b[0m"
	eraseLine = "\r\x1b[K"
)

// paint writes the text, in the colour if colours is true.
func paint(w io.Writer, colours bool, colour, text string) {
	if colours {
		control(w, colour)
		defer control(w, plain)
	}
	_, _ = io.WriteString(w, text)
}
