package valkey

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"

	"stateless-servers/session/sessiontest/must"
)

// A streamConn is a connection to a server that sends the text of the Reader.
type streamConn struct {
	net.Conn
	io.Reader
}

func (s streamConn) Read(p []byte) (int, error)  { return s.Reader.Read(p) }
func (s streamConn) Write(p []byte) (int, error) { return len(p), nil }
func (s streamConn) RemoteAddr() net.Addr        { return &net.TCPAddr{} }

const command = "*2\r\n$3\r\nGET\r\n$2\r\n*9\r\n"

// Valid replies pass unchanged, and an invalid reply ends before the line at fault, however the stream is split.
func TestRepliesAreChecked(t *testing.T) {
	tests := []struct {
		name     string
		commands int
		replies  string
		good     string // the valid beginning of the replies
	}{
		{"every type", 9, "+OK\r\n-ERR no\r\n:-5\r\n,1.5\r\n(123\r\n_\r\n#t\r\n$3\r\n\r\n*\r\n=7\r\ntxt:$-5\r\n", ""},
		{"nulls", 2, "$-1\r\n*-1\r\n", ""},
		{"nothing", 4, "$0\r\n\r\n*0\r\n%0\r\n~0\r\n", ""},
		{"arrays", 2, "*2\r\n%1\r\n$1\r\na\r\n*2\r\n:1\r\n*0\r\n~1\r\n*-1\r\n+OK\r\n", ""},
		{"a moved key", 1, "-MOVED 1 127.0.0.1:7000\r\n", ""},
		{"the largest string", 1, "$16000000\r\n" + strings.Repeat("*", 16_000_000) + "\r\n", ""},
		{"a map of 200,000 fields", 1, "%200000\r\n" + strings.Repeat("$1\r\na\r\n$1\r\n1\r\n", 200_000), ""},

		{"a negative length", 1, "$-5\r\n", "$-5\r"},
		{"a negative length within", 1, "*2\r\n+a\r\n$-5\r\n", "*2\r\n+a\r\n$-5\r"},
		{"a negative map", 1, "%-1\r\n", "%-1\r"},
		{"too large", 1, "$16777217\r\n", "$16777217\r"},
		{"too large together", 1, "*2\r\n$9000000\r\n" + strings.Repeat("a", 9_000_000) + "\r\n$9000000\r\n",
			"*2\r\n$9000000\r\n" + strings.Repeat("a", 9_000_000) + "\r\n$9000000\r"},
		{"too many", 1, "*524289\r\n", "*524289\r"},
		{"too many together", 1, "*400000\r\n*400000\r\n", "*400000\r\n*400000\r"},
		{"too many pairs", 1, "%262145\r\n", "%262145\r"},
		{"more pairs than a number", 1, "%9223372036854775807\r\n", "%9223372036854775807\r"},
		{"too deep", 1, strings.Repeat("*1\r\n", 17), strings.Repeat("*1\r\n", 16) + "*1\r"},
		{"a length that overflows", 1, "$99999999999999999999999999999999\r\n", "$99999999999999999999999999999999\r"},
		{"a number without a carriage return", 1, "$10\n", "$10"},
		{"a null that isn't empty", 1, "_$-5\r\n", "_$-5\r"},
		{"a boolean that isn't one", 1, "#t$-5\r\n", "#t$-5\r"},
		{"an unknown type", 2, "+OK\r\n@", "+OK\r\n"},
		{"a push", 2, "+OK\r\n>2\r\n", "+OK\r\n"},
		{"moved to nowhere", 1, "-MOVED 1\r\n", "-MOVED 1\r"},
		{"a reply too many", 2, "+a\r\n+b\r\n+c\r\n", "+a\r\n+b\r\n"},
		{"a reply to nothing", 0, "+a\r\n", ""},
	}
	for _, test := range tests {
		for name, pieces := range map[string]func(io.Reader) io.Reader{
			"whole": func(r io.Reader) io.Reader { return r }, "halves": iotest.HalfReader, "bytes": iotest.OneByteReader,
		} {
			if name == "bytes" && len(test.replies) > 1_000_000 {
				continue
			}
			t.Run(test.name+" in "+name, func(t *testing.T) {
				conn := newCheckedConn(streamConn{Reader: pieces(strings.NewReader(test.replies))}, false)
				for _, b := range []byte(strings.Repeat(command, test.commands)) {
					must.Get(conn.Write([]byte{b}))(t)
				}
				got, err := io.ReadAll(conn)
				bad := test.good != "" || test.commands == 0
				want := test.replies
				if bad {
					want = test.good
				}
				if string(got) != want || (err != nil) != bad {
					t.Errorf("%.60q… (%d bytes), %v, want %.60q… (%d)", got, len(got), err, want, len(want))
				}
			})
		}
	}
}

// A reply to half a command is invalid.
func TestCommandsAreCounted(t *testing.T) {
	conn := newCheckedConn(streamConn{Reader: strings.NewReader("+a\r\n")}, false)
	must.Get(io.WriteString(conn, command[:len(command)-1]))(t)
	if got, err := io.ReadAll(conn); err == nil {
		t.Errorf("got the reply %q to half a command, want an error", got)
	}
}

func BenchmarkCheckedRead(b *testing.B) {
	for name, fields := range map[string]int{"of 10 fields": 10, "of 400 KB": 0} {
		reply := "*1\r\n$400000\r\n" + strings.Repeat("a", 400_000) + "\r\n"
		if fields > 0 {
			reply = fmt.Sprintf("%%%d\r\n", fields) + strings.Repeat("$8\r\nlastseen\r\n$13\r\n1764290000000\r\n", fields)
		}
		b.Run(name, func(b *testing.B) {
			var f respScanner
			piece := []byte(reply)
			b.ReportAllocs()
			for b.Loop() {
				if n, err := f.scan(piece, f.messages+1); n != len(piece) || err != nil {
					b.Fatal(n, err)
				}
			}
		})
	}
}

// A Sentinel's push is not the reply to a command, and its size is limited.
func TestPushesOfASentinel(t *testing.T) {
	const push = ">3\r\n$7\r\nmessage\r\n$1\r\na\r\n*1\r\n:1\r\n"
	for replies, good := range map[string]string{
		push + "+OK\r\n" + push:            push + "+OK\r\n" + push,
		push + "+OK\r\n" + push + "+b\r\n": push + "+OK\r\n" + push,
		">524289\r\n":                      ">524289\r",
		"*1\r\n>1\r\n":                     "*1\r\n",
	} {
		conn := newCheckedConn(streamConn{Reader: strings.NewReader(replies)}, true)
		must.Get(io.WriteString(conn, command))(t)
		if got, err := io.ReadAll(conn); string(got) != good || (err != nil) != (replies != good) {
			t.Errorf("%q: got %q, %v, want %q", replies, got, err, good)
		}
	}
}
