package postgres

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Bounds on what the server sends, in bytes.
const (
	// maxGreeting is for all until a connection is established: certificates, parameters, and the answer of ValidateConnect.
	maxGreeting = 256 << 10
	// maxAnswer is for what comes before the client speaks again. A session may be 2.4 MB as JSON, and a list of a user's
	// sessions 1 MB.
	maxAnswer = 4 << 20
)

// A boundedConn is a connection to a server that isn't trusted to come to an end: the client keeps all rows, notifications
// and parameters that it is sent.
type boundedConn struct {
	net.Conn
	established atomic.Bool
	received    atomic.Int64 // that counts: the client may speak and read at once
}

// bounded returns a dial of connections that fail when they receive too much.
func bounded(dial pgconn.DialFunc) pgconn.DialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &boundedConn{Conn: conn}, nil
	}
}

// establish is for pgxpool.Config.AfterConnect.
func establish(_ context.Context, conn *pgx.Conn) error {
	network := conn.PgConn().Conn()
	if secured, ok := network.(*tls.Conn); ok {
		network = secured.NetConn()
	}
	if bounded, ok := network.(*boundedConn); ok {
		bounded.established.Store(true)
	}
	return nil
}

func (c *boundedConn) Write(p []byte) (int, error) {
	if c.established.Load() {
		c.received.Store(0)
	}
	return c.Conn.Write(p)
}

func (c *boundedConn) Read(p []byte) (int, error) {
	most := int64(maxGreeting)
	if c.established.Load() {
		most = maxAnswer
	}
	n, err := c.Conn.Read(p)
	if c.received.Add(int64(n)) > most {
		return 0, fmt.Errorf("%s sends more than %d bytes", c.RemoteAddr(), most)
	}
	return n, err
}
