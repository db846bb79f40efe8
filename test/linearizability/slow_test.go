package linearizability

import (
	"io"
	random "math/rand/v2"
	"net"
	"testing"
	"time"

	"stateless-servers/session/sessiontest/must"
	"stateless-servers/session/sessiontest/relay"
)

// slow listens until the test ends and forwards connections to an address. It delays every message in either direction by a
// random time below maxDelay.
func slow(t testing.TB, to string, maxDelay time.Duration) (addr string) {
	t.Helper()
	r, err := relay.Listen(to, func(client, server net.Conn) (up, down func()) {
		return func() { io.Copy(delayedConn{server, maxDelay}, client) }, func() { io.Copy(delayedConn{client, maxDelay}, server) }
	})
	must.Succeed(t, err)
	t.Cleanup(r.Close)
	return r.Addr
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
