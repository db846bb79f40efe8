package main

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"
)

// A screen is the lab's standard output or standard error. It escapes control characters, for example as \u001b, because text
// from files and servers could use them to move the cursor, hide lines or rename the window. On a terminal it breaks lines
// between words. It is safe for concurrent use.
type screen struct {
	mu   sync.Mutex
	w    io.Writer
	rest []byte // the beginning of a character at the end of the last write
	line line
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
	if width := columns(s.w); width > 0 {
		out = s.line.fit(out, width)
	}
	if _, err := s.w.Write(out); err != nil {
		return 0, err
	}
	return len(p), nil
}

// A line is the state of the line at the cursor.
type line struct{ column, indent, spaces int } // spaces counts the spaces at the end, which are not written yet

var spacesOrWord = regexp.MustCompile(`\n| +|[^ \n]+`)

// fit breaks text that follows on the line between words, to the width of a terminal. A continuation is indented like the last
// column of the line that begins in the left two thirds: columns have two spaces or more between them.
func (l *line) fit(text []byte, width int) []byte {
	var out []byte
	for _, token := range spacesOrWord.FindAll(text, -1) {
		switch token[0] {
		case '\n':
			*l, out = line{}, append(out, '\n')
			continue
		case ' ':
			l.spaces += len(token)
			continue
		}
		if at := l.column + l.spaces; (l.column == 0 || l.spaces > 1) && at <= 2*width/3 {
			l.indent = at
		}
		length := utf8.RuneCount(token)
		if l.spaces > 0 && l.column > l.indent && l.column+l.spaces+length > width {
			out = append(out, '\n')
			l.column, l.spaces = 0, l.indent
		}
		out = append(append(out, strings.Repeat(" ", l.spaces)...), token...)
		l.column, l.spaces = l.column+l.spaces+length, 0
	}
	return out
}

// columns returns the width of the terminal that w writes to, or 0 if it isn't one.
func columns(w io.Writer) int {
	if !terminal(w) {
		return 0
	}
	width, _, err := term.GetSize(int(fileOf(w).Fd()))
	if err != nil || width < 20 {
		return 80
	}
	return width
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
	if sequence == eraseLine {
		s.line = line{}
	}
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
