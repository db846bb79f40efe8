package valkey

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	client "github.com/valkey-io/valkey-go"
)

// Options configure a Store.
type Options struct {
	// Address is host:port of the server: the configuration endpoint of a cluster, else the primary. Cluster mode is
	// found out by asking.
	Address string
	// TLS turns on TLS.
	TLS bool
	// Credentials, when not nil, authenticate each new connection. See IAM.
	Credentials Credentials
	// Prefix begins every key; default "session:".
	Prefix string
}

// Credentials returns the user name and password of a new connection.
type Credentials func(ctx context.Context) (user, password string, err error)

const (
	// connectionLifetime is below the 12 hours after which ElastiCache cuts connections that authenticated by IAM
	// (Amazon ElastiCache User Guide, "Authenticating with IAM", limitations).
	connectionLifetime = 11 * time.Hour
	dialTimeout        = 2 * time.Second
	credentialsTimeout = 5 * time.Second
)

// A connector makes the client when it's first needed, and tries again when that fails, so that a server may start
// before its store does.
type connector struct {
	option client.ClientOption
	ready  atomic.Pointer[client.Client]

	mu      sync.Mutex
	attempt *attempt // under way
	closed  bool
}

type attempt struct {
	done chan struct{} // closed when client and err are set
	client.Client
	err error
}

func newConnector(o Options) *connector {
	option := client.ClientOption{
		InitAddress:  []string{o.Address},
		DisableCache: true, // client-side caching would serve stale sessions
		Dialer:       net.Dialer{Timeout: dialTimeout},
	}
	if o.TLS {
		option.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if o.Credentials != nil {
		option.ConnLifetime = connectionLifetime
		option.AuthCredentialsFn = func(client.AuthCredentialsContext) (client.AuthCredentials, error) {
			ctx, cancel := context.WithTimeout(context.Background(), credentialsTimeout)
			defer cancel()
			user, password, err := o.Credentials(ctx)
			return client.AuthCredentials{Username: user, Password: password}, err
		}
	}
	return &connector{option: option}
}

// client returns the connected client, or why there is none yet.
func (c *connector) client(ctx context.Context) (client.Client, error) {
	if ready := c.ready.Load(); ready != nil {
		return *ready, nil
	}
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil, client.ErrClosing
	}
	current := c.attempt
	if current == nil {
		current = &attempt{done: make(chan struct{})}
		c.attempt = current
		go c.connect(current)
	}
	c.mu.Unlock()
	select {
	case <-current.done:
		return current.Client, current.err
	case <-ctx.Done():
		return nil, fmt.Errorf("connect to %s: %w", c.option.InitAddress[0], ctx.Err())
	}
}

func (c *connector) connect(a *attempt) {
	a.Client, a.err = client.NewClient(c.option)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.attempt = nil
	switch {
	case a.err != nil:
		a.err = fmt.Errorf("connect to %s: %w", c.option.InitAddress[0], a.err)
	case c.closed:
		a.Client.Close()
		a.Client, a.err = nil, client.ErrClosing
	default:
		c.ready.Store(&a.Client)
	}
	close(a.done)
}

func (c *connector) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if ready := c.ready.Load(); ready != nil {
		(*ready).Close()
	}
}
