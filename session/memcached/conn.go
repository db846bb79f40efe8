package memcached

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// maxReply is the maximum size in bytes of a reply of a node: sixteen times the maximum item of a default server.
const maxReply = 16 << 20

// maxLine is the maximum length in bytes of a line of a reply. The line of an item has a key of 250 bytes and three numbers.
const maxLine = 1024

// A checkedConn checks that a node follows the protocol. Without it, the client would allocate any length that a reply announces,
// read items without end, or take the rest of one reply for the next.
type checkedConn struct {
	net.Conn
	deadline time.Time // the last deadline that the client has set
	reading  bool      // a reply has begun

	line  []byte // beginning of an incomplete line
	skip  int    // remaining bytes of an item
	bytes int    // size of the reply so far
	ended bool   // the reply is complete

	failed error
}

// newCheckedConn returns a checkedConn on which the client writes first.
func newCheckedConn(conn net.Conn) *checkedConn { return &checkedConn{Conn: conn, ended: true} }

// SetDeadline sets the deadline of the next exchange. The client sets a later deadline before each item; SetDeadline ignores it
// during a reply, so that items that arrive slowly can't continue without end.
func (c *checkedConn) SetDeadline(t time.Time) error {
	c.deadline = t
	if c.reading {
		return nil
	}
	return c.Conn.SetDeadline(t)
}

// Write sends a command or a part of one. The next read returns its reply.
func (c *checkedConn) Write(p []byte) (int, error) {
	if c.reading {
		c.reading = false
		if err := c.Conn.SetDeadline(c.deadline); err != nil {
			return 0, err
		}
	}
	c.ended, c.bytes = false, 0
	return c.Conn.Write(p)
}

// Read returns the bytes before a protocol violation together with the error, so that the client gets a complete reply.
func (c *checkedConn) Read(p []byte) (int, error) {
	if c.failed != nil {
		return 0, c.failed
	}
	c.reading = true
	n, err := c.Conn.Read(p)
	good, violation := c.scan(p[:n])
	if violation != nil {
		c.failed = fmt.Errorf("the reply of %s: %w", c.RemoteAddr(), violation)
		return good, c.failed
	}
	return n, err
}

// scan scans the next piece of a reply. It skips the contents of items. With an error, it returns the number of bytes before the
// violation that the client may see: they don't complete the line at fault.
func (c *checkedConn) scan(piece []byte) (int, error) {
	for at := 0; at < len(piece); {
		if c.ended {
			return at, errors.New("more than one reply to a command")
		}
		if c.skip > 0 {
			n := min(c.skip, len(piece)-at)
			c.skip -= n
			at += n
			continue
		}
		part := piece[at:]
		end := bytes.IndexByte(part, '\n') + 1
		if end > 0 {
			part = part[:end]
		}
		if len(c.line)+len(part) > maxLine {
			return at, fmt.Errorf("a line of more than %d bytes", maxLine)
		}
		c.line = append(c.line, part...)
		err := c.count(len(part))
		if err == nil && end > 0 {
			err = c.endLine()
		}
		if err != nil {
			return at + len(part) - 1, err
		}
		at += len(part)
	}
	return len(piece), nil
}

// endLine handles a complete line. After "VALUE key flags size" an item follows. Any other line ends the reply.
func (c *checkedConn) endLine() error {
	text, isItem := strings.CutPrefix(string(c.line), "VALUE ")
	c.line = c.line[:0]
	words := strings.Split(strings.TrimSuffix(text, "\r\n"), " ")
	if !isItem || len(words) < 3 {
		c.ended = true
		return nil
	}
	size, err := strconv.ParseUint(words[2], 10, 31)
	if err != nil {
		return fmt.Errorf("an item of %.32q bytes", words[2])
	}
	c.skip = int(size) + len("\r\n")
	return c.count(c.skip)
}

func (c *checkedConn) count(n int) error {
	if c.bytes += n; c.bytes > maxReply {
		return fmt.Errorf("more than %d bytes", maxReply)
	}
	return nil
}
