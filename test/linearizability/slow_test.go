package linearizability

import (
	"io"
	random "math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"stateless-servers/session/sessiontest/must"
)

// slow listens until the test ends and forwards connections to an address. It delays every message in either direction by a
// random time below maxDelay.
func slow(t testing.TB, to string, maxDelay time.Duration) (addr string) {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	must.Succeed(t, err)
	var running sync.WaitGroup
	pass := func(from, to net.Conn) {
		running.Go(func() {
			defer from.Close()
			defer to.Close()
			io.Copy(delayedConn{to, maxDelay}, from)
		})
	}
	running.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", to)
			if err != nil {
				client.Close()
				continue
			}
			pass(client, server)
			pass(server, client)
		}
	})
	t.Cleanup(func() {
		listener.Close()
		running.Wait() // the test has closed all connections before
	})
	return listener.Addr().String()
}

// A delayedConn delays every write by a random time below maxDelay.
type delayedConn struct {
	net.Conn
	maxDelay time.Duration
}

func (c delayedConn) Write(b []byte) (int, error) {
	time.Sleep(random.N(c.maxDelay))
	return c.Conn.Write(b)
}
