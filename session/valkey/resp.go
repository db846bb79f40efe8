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

// Limits on one reply of the server. The largest session is 1.2 MB of text, or a map of 200,000 fields.
const (
	maxReplyBytes    = 16 << 20
	maxReplyElements = 1 << 19 // the client allocates 40 bytes for each as soon as it knows their number
	maxReplyDepth    = 16      // CLUSTER SHARDS has a depth of 4
)

// A checkedConn checks that a server follows the protocol. A read fails before the first reply that the client can't handle:
// valkey-go 1.0.79 allocates any length and recurses to any depth that a reply announces, and panics on a reply without a
// command. It does so on its own goroutines, where a panic ends the process.
type checkedConn struct {
	net.Conn
	commands respScanner // of the written data
	replies  respScanner // of the read data
	sent     atomic.Int64
	failed   error // of reading
}

// newCheckedConn returns a checkedConn. pushes allows messages that no command asked for, which a Sentinel sends to report a
// failover. The client trusts the contents of a push.
func newCheckedConn(conn net.Conn, pushes bool) *checkedConn {
	c := &checkedConn{Conn: conn}
	c.commands.trusted, c.replies.pushes = true, pushes
	return c
}

// Write counts the commands before it sends them, because their replies may be read before Write returns.
func (c *checkedConn) Write(p []byte) (int, error) {
	if _, err := c.commands.scan(p, math.MaxInt64); err != nil {
		return 0, fmt.Errorf("a command: %w", err)
	}
	c.sent.Store(c.commands.messages)
	return c.Conn.Write(p)
}

// Read returns the bytes before a protocol violation together with the error, so that the client gets the complete replies.
func (c *checkedConn) Read(p []byte) (int, error) {
	if c.failed != nil {
		return 0, c.failed
	}
	n, err := c.Conn.Read(p)
	good, violation := c.replies.scan(p[:n], c.sent.Load())
	if violation != nil {
		c.failed = fmt.Errorf("the reply of %s: %w", c.RemoteAddr(), violation)
		return good, c.failed
	}
	return n, err
}

// A respScanner scans the messages of a stream (RESP2 and RESP3) piece by piece. It reads the line of each element and skips
// the contents of strings, so its cost depends only on the number of elements.
type respScanner struct {
	trusted  bool  // don't check the limits
	pushes   bool  // allow pushes, which don't count as messages
	pushed   bool  // the current message is a push
	messages int64 // number of complete messages

	kind   byte     // of the element whose line comes next; 0 before an element
	line   [32]byte // its beginning
	length int      // of the line so far
	skip   int      // remaining bytes of a string

	missing [maxReplyDepth]int // remaining elements of each open array, the outermost first
	depth   int                // number of open arrays

	bytes, elements int // of the current message
}

// kinds are the types of elements that a server sends to a client without subscriptions and key tracking. The client can't
// handle some of the other types.
const kinds = "+-:,(_#$=*~%"

// scan scans the next piece of the stream. A message beyond the first maxMessages is a violation. With an error, scan returns
// the number of bytes before the violation that the client may see: they don't complete the line at fault.
func (f *respScanner) scan(piece []byte, maxMessages int64) (int, error) {
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
			if f.depth == 0 {
				f.pushed = f.pushes && piece[at] == '>'
			}
			if f.depth == 0 && !f.pushed && f.messages >= maxMessages {
				return at, errors.New("no command asked for it")
			}
			if strings.IndexByte(kinds, piece[at]) < 0 && !(f.depth == 0 && f.pushed) {
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
			err := f.count(len(part), 0)
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

// keep adds part to the current line, and returns the beginning of the line.
func (f *respScanner) keep(part []byte) []byte {
	if f.length < len(f.line) {
		copy(f.line[f.length:], part)
	}
	f.length += len(part)
	return f.line[:min(f.length, len(f.line))]
}

// endLine handles a complete line. Only its beginning is needed.
func (f *respScanner) endLine(line []byte) error {
	switch f.kind {
	case '_', '#':
		if text := string(line); f.kind == '_' && text != "\r\n" || f.kind == '#' && text != "t\r\n" && text != "f\r\n" {
			return fmt.Errorf("the line %.32q of type %q", line, f.kind)
		}
		f.complete()
		return nil
	case '-':
		if !hasAddress(line) {
			return fmt.Errorf("the redirection %.32q has no address", line)
		}
		f.complete()
		return nil
	case '$', '=', '*', '~', '%', '>':
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

// parseLength parses a length of up to 18 digits, or -1 for null.
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

// begin starts a string of n bytes, or an array of n elements; -1 is null.
func (f *respScanner) begin(n int) error {
	switch {
	case n < 0:
		f.complete()
		return nil
	case f.kind == '$' || f.kind == '=':
		f.kind, f.skip = 0, n+len("\r\n")
		return f.count(n, 0)
	}
	if err := f.count(0, n); err != nil {
		return err
	}
	if f.kind == '%' {
		if err := f.count(0, n); err != nil {
			return err
		}
		n *= 2
	}
	if n == 0 {
		f.complete()
		return nil
	}
	if f.depth == maxReplyDepth {
		return fmt.Errorf("arrays within more than %d arrays", maxReplyDepth)
	}
	f.missing[f.depth] = n
	f.depth++
	f.kind = 0
	return nil
}

// complete ends an element, and every array of which it is the last element.
func (f *respScanner) complete() {
	f.kind = 0
	for f.depth > 0 {
		f.missing[f.depth-1]--
		if f.missing[f.depth-1] > 0 {
			return
		}
		f.depth--
	}
	if !f.pushed {
		f.messages++
	}
	f.bytes, f.elements = 0, 0
}

// count adds to the memory that the message makes the client allocate, and returns an error beyond the limits.
func (f *respScanner) count(bytes, elements int) error {
	if f.trusted {
		return nil
	}
	if bytes > maxReplyBytes-f.bytes {
		return fmt.Errorf("more than %d bytes", maxReplyBytes)
	}
	if elements > maxReplyElements-f.elements {
		return fmt.Errorf("more than %d elements", maxReplyElements)
	}
	f.bytes += bytes
	f.elements += elements
	return nil
}

// hasAddress reports whether an error that redirects the client has an address in the field where the client reads it.
func hasAddress(line []byte) bool {
	least := 0 // spaces before the address
	switch {
	case bytes.HasPrefix(line, []byte("MOVED")), bytes.HasPrefix(line, []byte("ASK")):
		least = 2
	case bytes.HasPrefix(line, []byte("REDIRECT")):
		least = 1
	}
	return bytes.Count(line, []byte(" ")) >= least
}
