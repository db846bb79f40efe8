package memcached

import (
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"stateless-servers/session/sessiontest/must"
)

// A fakeConn is a connection to a node that sends the text of the Reader.
type fakeConn struct {
	net.Conn
	io.Reader
	deadline time.Time
}

func (c *fakeConn) Read(p []byte) (int, error)    { return c.Reader.Read(p) }
func (c *fakeConn) Write(p []byte) (int, error)   { return len(p), nil }
func (c *fakeConn) SetDeadline(t time.Time) error { c.deadline = t; return nil }
func (c *fakeConn) RemoteAddr() net.Addr          { return &net.TCPAddr{} }

// Valid replies pass unchanged, and an invalid reply ends before the line at fault, however the stream is split.
func TestRepliesAreChecked(t *testing.T) {
	tests := []struct{ name, reply, good string }{
		{"a miss", "END\r\n", "END\r\n"},
		{"an item", "VALUE k 0 7 1\r\nEND\r\n\r\n\r\nEND\r\n", "VALUE k 0 7 1\r\nEND\r\n\r\n\r\nEND\r\n"},
		{"two items", "VALUE a 0 0 1\r\n\r\nVALUE b 0 1\r\nb\r\nEND\r\n", "VALUE a 0 0 1\r\n\r\nVALUE b 0 1\r\nb\r\nEND\r\n"},
		{"an error", "SERVER_ERROR no\r\n", "SERVER_ERROR no\r\n"},

		{"an item of 4 GB", "VALUE k 0 4294967295 1\r\n", "VALUE k 0 4294967295 1\r"},
		{"an item of 16 MB", "VALUE k 0 16777216 1\r\n", "VALUE k 0 16777216 1\r"},
		{"an item of 4 GB, another way", "VALUE k\t9 0 4294967295 1\r\n", "VALUE k\t9 0 4294967295 1\r"},
		{"a negative item", "VALUE k 0 -1 1\r\n", "VALUE k 0 -1 1\r"},
		{"two replies", "END\r\nEND\r\n", "END\r\n"},
		{"items of 16 MB together", strings.Repeat("VALUE k 0 8388600 1\r\n"+strings.Repeat("a", 8388600)+"\r\n", 2),
			"VALUE k 0 8388600 1\r\n" + strings.Repeat("a", 8388600) + "\r\nVALUE k 0 8388600 1\r"},
	}
	for _, test := range tests {
		for name, pieces := range map[string]func(io.Reader) io.Reader{
			"whole": func(r io.Reader) io.Reader { return r }, "halves": iotest.HalfReader, "bytes": iotest.OneByteReader,
		} {
			if name == "bytes" && len(test.reply) > 1_000_000 {
				continue
			}
			t.Run(test.name+" in "+name, func(t *testing.T) {
				conn := newCheckedConn(&fakeConn{Reader: pieces(strings.NewReader(test.reply))})
				must.Get(io.WriteString(conn, "gets k\r\n"))(t)
				got, err := io.ReadAll(conn)
				if string(got) != test.good || (err != nil) != (test.reply != test.good) {
					t.Errorf("%.60q… (%d bytes), %v, want %.60q…", got, len(got), err, test.good)
				}
			})
		}
	}
}

// An exchange has one deadline, which is not extended during the reply.
func TestDeadlineOfAnExchange(t *testing.T) {
	fake := &fakeConn{Reader: strings.NewReader("VALUE k 0 0 1\r\n\r\nEND\r\n")}
	conn := newCheckedConn(fake)
	first, second := time.Unix(1, 0), time.Unix(2, 0)
	conn.SetDeadline(first)
	io.WriteString(conn, "gets k\r\n")
	conn.Read(make([]byte, 4))
	conn.SetDeadline(second)
	if fake.deadline != first {
		t.Error("the deadline was extended during the reply")
	}
	io.WriteString(conn, "gets k\r\n")
	if fake.deadline != second {
		t.Error("the next exchange has the deadline of the previous one")
	}
}
