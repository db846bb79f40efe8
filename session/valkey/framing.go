package valkey

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"net"
	"strings"
	"sync/atomic"
)

// Bounds on one answer of the server. The largest session is 1.2 MB of text, or a map of 200,000 fields.
const (
	maxAnswerBytes    = 16 << 20
	maxAnswerElements = 1 << 19 // the client takes 40 bytes for each as soon as it knows their number
	maxAnswerDepth    = 16      // CLUSTER SHARDS nests 4 deep
)

// A checkedConn is a connection to a server that isn't trusted to keep to the protocol. Its reads fail before the first
// answer that the client can't take: valkey-go 1.0.79 allocates any length that it is told, recurses as deep as it is told,
// and panics on an answer to no command. It does so on goroutines of its own, where the panic ends the process.
type checkedConn struct {
	net.Conn
	commands framing // of what is written
	answers  framing // of what is read
	sent     atomic.Int64
	failed   error // of reading
}

func newCheckedConn(conn net.Conn) *checkedConn {
	c := &checkedConn{Conn: conn}
	c.commands.trusted = true
	return c
}

// Write counts the commands before the server sees them: their answers may be read before Write returns.
func (c *checkedConn) Write(p []byte) (int, error) {
	if _, err := c.commands.follow(p, math.MaxInt64); err != nil {
		return 0, fmt.Errorf("a command: %w", err)
	}
	c.sent.Store(c.commands.messages)
	return c.Conn.Write(p)
}

// Read returns what comes before a violation together with the error, so that the client still gets the answers that are
// complete.
func (c *checkedConn) Read(p []byte) (int, error) {
	if c.failed != nil {
		return 0, c.failed
	}
	n, err := c.Conn.Read(p)
	good, violation := c.answers.follow(p[:n], c.sent.Load())
	if violation != nil {
		c.failed = fmt.Errorf("the answer of %s: %w", c.RemoteAddr(), violation)
		return good, c.failed
	}
	return n, err
}

// A framing follows the messages of a stream (RESP2 and RESP3), a piece at a time. It reads the lines of the elements and
// skips the contents of strings, so that its cost depends on the number of elements alone.
type framing struct {
	trusted  bool  // no bounds
	messages int64 // complete ones

	kind   byte     // of the element whose line comes next; 0 before an element
	line   [32]byte // its beginning
	length int      // of the whole line, as far as it has come
	skip   int      // bytes of a string that are still to come

	lacking [maxAnswerDepth]int // elements that the open arrays lack, the outermost first
	depth   int                 // open arrays

	bytes, elements int // of the message
}

// kinds are the types of elements that a server sends to a client which neither subscribes nor tracks keys. The client
// can't take some of the others.
const kinds = "+-:,(_#$=*~%"

// follow reads the next piece. A message that would be more than most is a violation. With the error comes how many bytes
// are harmless: they don't complete the line at fault.
func (f *framing) follow(piece []byte, most int64) (int, error) {
	for at := 0; at < len(piece); {
		switch {
		case f.skip > 0:
			n := min(f.skip, len(piece)-at)
			f.skip -= n
			at += n
			if f.skip == 0 {
				f.complete()
			}
		case f.kind == 0:
			if f.depth == 0 && f.messages >= most {
				return at, errors.New("no command asked for it")
			}
			if strings.IndexByte(kinds, piece[at]) < 0 {
				return at, fmt.Errorf("the unknown type %q", piece[at])
			}
			f.kind, f.length = piece[at], 0
			at++
		default:
			part := piece[at:]
			end := bytes.IndexByte(part, '\n')
			if end >= 0 {
				part = part[:end+1]
			}
			line := part
			if end < 0 || f.length > 0 {
				line = f.keep(part)
			}
			err := f.hold(len(part), 0)
			if err == nil && end >= 0 {
				err = f.endLine(line)
			}
			if err != nil {
				return at + len(part) - 1, err
			}
			at += len(part)
		}
	}
	return len(piece), nil
}

// keep adds to a line that comes in pieces, and returns its beginning.
func (f *framing) keep(part []byte) []byte {
	if f.length < len(f.line) {
		copy(f.line[f.length:], part)
	}
	f.length += len(part)
	return f.line[:min(f.length, len(f.line))]
}

// endLine reads a line that is complete, of which it needs no more than its beginning.
func (f *framing) endLine(line []byte) error {
	switch f.kind {
	case '_', '#':
		if text := string(line); f.kind == '_' && text != "\r\n" || f.kind == '#' && text != "t\r\n" && text != "f\r\n" {
			return fmt.Errorf("the line %.32q of type %q", line, f.kind)
		}
		f.complete()
		return nil
	case '-':
		if !addressed(line) {
			return fmt.Errorf("the redirection %.32q has no address", line)
		}
		f.complete()
		return nil
	case '$', '=', '*', '~', '%':
		n, ok := parseLength(line)
		if !ok || n < 0 && f.kind != '$' && f.kind != '*' {
			return fmt.Errorf("the length %.32q of type %q", line, f.kind)
		}
		return f.begin(n)
	default:
		f.complete()
		return nil
	}
}

// parseLength reads a length: up to 18 digits, or -1 for null.
func parseLength(line []byte) (n int, ok bool) {
	digits, ok := bytes.CutSuffix(line, []byte("\r\n"))
	if !ok || len(digits) == 0 || len(digits) > 18 {
		return 0, false
	}
	if string(digits) == "-1" {
		return -1, true
	}
	for _, digit := range digits {
		if digit < '0' || digit > '9' {
			return 0, false
		}
		n = 10*n + int(digit-'0')
	}
	return n, true
}

// begin begins a string of n bytes, or an array of n elements; -1 is null.
func (f *framing) begin(n int) error {
	switch {
	case n < 0:
		f.complete()
		return nil
	case f.kind == '$' || f.kind == '=':
		f.kind, f.skip = 0, n+len("\r\n")
		return f.hold(n, 0)
	}
	if err := f.hold(0, n); err != nil {
		return err
	}
	if f.kind == '%' {
		if err := f.hold(0, n); err != nil {
			return err
		}
		n *= 2
	}
	if n == 0 {
		f.complete()
		return nil
	}
	if f.depth == maxAnswerDepth {
		return fmt.Errorf("arrays within more than %d arrays", maxAnswerDepth)
	}
	f.lacking[f.depth] = n
	f.depth++
	f.kind = 0
	return nil
}

// complete ends an element, and the arrays of which it is the last.
func (f *framing) complete() {
	f.kind = 0
	for f.depth > 0 {
		f.lacking[f.depth-1]--
		if f.lacking[f.depth-1] > 0 {
			return
		}
		f.depth--
	}
	f.messages++
	f.bytes, f.elements = 0, 0
}

// hold counts what the message makes the client allocate.
func (f *framing) hold(bytes, elements int) error {
	if f.trusted {
		return nil
	}
	if bytes > maxAnswerBytes-f.bytes {
		return fmt.Errorf("more than %d bytes", maxAnswerBytes)
	}
	if elements > maxAnswerElements-f.elements {
		return fmt.Errorf("more than %d elements", maxAnswerElements)
	}
	f.bytes += bytes
	f.elements += elements
	return nil
}

// addressed reports whether an error that redirects the client has an address, in the field in which the client looks for it.
func addressed(line []byte) bool {
	least := 0 // spaces before the address
	switch {
	case bytes.HasPrefix(line, []byte("MOVED")), bytes.HasPrefix(line, []byte("ASK")):
		least = 2
	case bytes.HasPrefix(line, []byte("REDIRECT")):
		least = 1
	}
	return bytes.Count(line, []byte(" ")) >= least
}
