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
	// maxStartupBytes limits all bytes until a connection is established: certificates, parameters, and the reply to ValidateConnect.
	maxStartupBytes = 256 << 10
	// maxReplyBytes limits the bytes between two writes of the client. A session may be 2.4 MB as JSON, and a list of a user's
	// sessions 1 MB.
	maxReplyBytes = 4 << 20
)

// A boundedConn limits what a server can send. Without it, the client would keep any number of rows, notifications and parameters.
type boundedConn struct {
	net.Conn
	established atomic.Bool
	received    atomic.Int64 // bytes since the last write; atomic because the client may write and read concurrently
}

// boundedDial returns a dial function whose connections fail when they receive too much.
func boundedDial(dial pgconn.DialFunc) pgconn.DialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &boundedConn{Conn: conn}, nil
	}
}

// markEstablished is the pool's AfterConnect. It marks a connection as established.
func markEstablished(_ context.Context, conn *pgx.Conn) error {
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
	limit := int64(maxStartupBytes)
	if c.established.Load() {
		limit = maxReplyBytes
	}
	n, err := c.Conn.Read(p)
	if c.received.Add(int64(n)) > limit {
		return 0, fmt.Errorf("%s sent more than %d bytes", c.RemoteAddr(), limit)
	}
	return n, err
}
