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

// maxAnswer bounds one answer of a node, in bytes: sixteen times the largest item of a server's default configuration.
const maxAnswer = 16 << 20

// maxLine bounds a line of an answer, in bytes. That of an item has a key of 250 bytes and three numbers.
const maxLine = 1024

// A checkedConn is a connection to a node that isn't trusted to keep to the protocol. Its reads fail where the client would
// allocate any length that it is told, read items without end, or take the rest of one answer for the next one.
type checkedConn struct {
	net.Conn
	deadline time.Time // that the client asked for last
	reading  bool      // an answer has begun

	line  []byte // its beginning, while the rest is still to come
	skip  int    // bytes of an item that are still to come
	bytes int    // of the answer
	ended bool   // the answer is complete

	failed error
}

// newCheckedConn expects that the client writes first.
func newCheckedConn(conn net.Conn) *checkedConn { return &checkedConn{Conn: conn, ended: true} }

// SetDeadline sets the deadline of the next exchange. The client asks for a later one before each item, with which items
// that come slowly would never end.
func (c *checkedConn) SetDeadline(t time.Time) error {
	c.deadline = t
	if c.reading {
		return nil
	}
	return c.Conn.SetDeadline(t)
}

// Write sends a command, or a part of it. What comes next is its answer.
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

// Read returns what comes before a violation together with the error: an answer that is complete is good.
func (c *checkedConn) Read(p []byte) (int, error) {
	if c.failed != nil {
		return 0, c.failed
	}
	c.reading = true
	n, err := c.Conn.Read(p)
	good, violation := c.follow(p[:n])
	if violation != nil {
		c.failed = fmt.Errorf("the answer of %s: %w", c.RemoteAddr(), violation)
		return good, c.failed
	}
	return n, err
}

// follow reads the next piece of an answer. It skips the contents of items. With an error comes how many bytes are
// harmless: they don't complete the line at fault.
func (c *checkedConn) follow(piece []byte) (int, error) {
	for at := 0; at < len(piece); {
		if c.ended {
			return at, errors.New("more than one answer to a command")
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
		err := c.hold(len(part))
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

// endLine reads a line. An item follows on "VALUE key flags size". Every other line ends the answer.
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
	return c.hold(c.skip)
}

func (c *checkedConn) hold(n int) error {
	if c.bytes += n; c.bytes > maxAnswer {
		return fmt.Errorf("more than %d bytes", maxAnswer)
	}
	return nil
}
