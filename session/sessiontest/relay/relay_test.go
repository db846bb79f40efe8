package relay

import (
	"bufio"
	"io"
	"net"
	"testing"

	"stateless-servers/session/sessiontest/must"
)

// A relay passes data in both directions, and closes a connection when one of its functions returns.
func TestRelay(t *testing.T) {
	echo, err := net.Listen("tcp4", "127.0.0.1:0")
	must.Succeed(t, err)
	defer echo.Close()
	go func() {
		for {
			conn, err := echo.Accept()
			if err != nil {
				return
			}
			go io.Copy(conn, conn)
		}
	}()
	r, err := Listen(echo.Addr().String(), func(client, server net.Conn) (up, down func()) {
		line := bufio.NewReader(server)
		return func() { io.Copy(server, client) }, func() {
			text, _ := line.ReadString('\n')
			io.WriteString(client, "> "+text)
		}
	})
	must.Succeed(t, err)
	conn, err := net.Dial("tcp", r.Addr)
	must.Succeed(t, err)
	io.WriteString(conn, "hello\n")
	if got, err := io.ReadAll(conn); err != nil || string(got) != "> hello\n" {
		t.Errorf("got %q, %v", got, err)
	}

	open, err := net.Dial("tcp", r.Addr)
	must.Succeed(t, err)
	r.Close()
	if _, err := open.Read(make([]byte, 1)); err == nil {
		t.Error("a connection is open after Close")
	}
	if _, err := net.Dial("tcp", r.Addr); err == nil {
		t.Error("the relay listens after Close")
	}
}
