package valkey

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	client "github.com/valkey-io/valkey-go"
	"golang.org/x/sync/singleflight"
)

// Options configure a Store.
type Options struct {
	// Address is host:port of the server: the configuration endpoint of a cluster, else the primary. Cluster mode is
	// found out by asking.
	Address string
	// TLS turns on TLS.
	TLS bool
	// RootCAs, when not nil, are the certificate authorities that TLS trusts instead of the system's.
	RootCAs *x509.CertPool
	// Credentials, when not nil, authenticate each new connection. See package elasticache.
	Credentials Credentials
	// Prefix begins every key; default "session:".
	Prefix string
}

// Credentials returns the user name and password of a new connection.
type Credentials func(ctx context.Context) (user, password string, err error)

const (
	// clientLifetime is below the 12 hours after which ElastiCache cuts connections that authenticated by IAM
	// (Amazon ElastiCache User Guide, "Authenticating with IAM", limitations).
	clientLifetime     = 11 * time.Hour
	dialTimeout        = 2 * time.Second
	credentialsTimeout = 5 * time.Second
	// A client that is replaced stays open that long, for those who use it still: more than any request has for one
	// operation.
	closeAfter = 30 * time.Second
	// A client of an old primary is replaced once in that time at most, until the address leads to the new one.
	replaceAfter = time.Second
)

// A connector makes the client when it's first needed, and tries again when that fails, so that a server may start
// before its store does. It makes another in place of one that has grown old, or that is connected to the wrong server.
type connector struct {
	option   client.ClientOption
	lifetime time.Duration // of a client; 0 is for ever
	ready    atomic.Pointer[connected]
	attempts singleflight.Group // to connect: one at a time
	done     chan struct{}      // closed by close

	mu     sync.Mutex
	closed bool
}

type connected struct {
	client.Client
	since time.Time
}

func newConnector(o Options, lifetime time.Duration) *connector {
	c := &connector{done: make(chan struct{}), option: client.ClientOption{
		InitAddress:  []string{o.Address},
		DisableCache: true, // client-side caching would serve stale sessions
		Dialer:       net.Dialer{Timeout: dialTimeout},
		DialCtxFn:    dial,
		// One connection, which pipelines. Several may lead to different servers after a failover, of which a ping notices
		// one. A cluster has one to a node in any case.
		PipelineMultiplex: -1,
	}}
	if o.TLS {
		c.option.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.RootCAs}
	}
	if o.Credentials != nil {
		// The client's own ConnLifetime would repeat a write whose answer was late when its connection expired.
		c.lifetime = lifetime
		c.option.AuthCredentialsFn = func(client.AuthCredentialsContext) (client.AuthCredentials, error) {
			ctx, cancel := context.WithTimeout(context.Background(), credentialsTimeout)
			defer cancel()
			user, password, err := o.Credentials(ctx)
			return client.AuthCredentials{Username: user, Password: password}, err
		}
	}
	return c
}

// dial connects as the client would by itself, and checks what the server answers.
func dial(ctx context.Context, address string, dialer *net.Dialer, config *tls.Config) (net.Conn, error) {
	var conn net.Conn
	var err error
	if config == nil {
		conn, err = dialer.DialContext(ctx, "tcp", address)
	} else {
		conn, err = (&tls.Dialer{NetDialer: dialer, Config: config}).DialContext(ctx, "tcp", address)
	}
	if err != nil {
		return nil, err
	}
	return newCheckedConn(conn), nil
}

// client returns the connected client, or why there is none yet.
func (c *connector) client(ctx context.Context) (client.Client, error) {
	ready := c.ready.Load()
	if ready != nil && c.lifetime > 0 && time.Since(ready.since) > c.lifetime {
		c.replace(ready)
		ready = nil
	}
	if ready != nil {
		return ready.Client, nil
	}
	select {
	case attempt := <-c.attempts.DoChan("", c.connect):
		made, _ := attempt.Val.(client.Client)
		return made, attempt.Err
	case <-ctx.Done():
		return nil, fmt.Errorf("connect to %s: %w", c.option.InitAddress[0], ctx.Err())
	}
}

func (c *connector) connect() (any, error) {
	c.mu.Lock()
	ready, closed := c.ready.Load(), c.closed
	c.mu.Unlock()
	if closed {
		return nil, client.ErrClosing
	}
	if ready != nil { // made since the caller asked
		return ready.Client, nil
	}
	made, err := client.NewClient(c.option)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", c.option.InitAddress[0], err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		made.Close()
		return nil, client.ErrClosing
	}
	c.ready.Store(&connected{made, time.Now()})
	return made, nil
}

// check looks at the error of a write. A server that only reads was the primary until a failover, and keeps its
// connections, while the address leads to the new one: the next call connects anew. It wrote nothing.
func (c *connector) check(used client.Client, err error) {
	answer, ok := client.IsValkeyErr(err)
	if !ok || !strings.Contains(answer.Error(), "READONLY") {
		return
	}
	if ready := c.ready.Load(); ready != nil && ready.Client == used && time.Since(ready.since) > replaceAfter {
		c.replace(ready)
	}
}

// replace has the next call connect anew, if old is still the client.
func (c *connector) replace(old *connected) {
	if !c.ready.CompareAndSwap(old, nil) {
		return
	}
	go func() {
		select {
		case <-time.After(closeAfter):
		case <-c.done:
		}
		old.Close()
	}()
}

func (c *connector) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	c.closed = true
	close(c.done)
	if ready := c.ready.Swap(nil); ready != nil {
		ready.Close()
	}
}
