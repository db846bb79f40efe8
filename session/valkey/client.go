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
	// Address is host:port of the configuration endpoint of a cluster, or of the primary without a cluster. The store detects
	// cluster mode by itself.
	Address string
	// TLS enables TLS.
	TLS bool
	// RootCAs are the certificate authorities that TLS trusts; default those of the system.
	RootCAs *x509.CertPool
	// Credentials, if not nil, authenticates each new connection. See package elasticache.
	Credentials Credentials
	// Prefix is the beginning of every key; default "session:".
	Prefix string
	// Configure, if not nil, edits the options of the client that follow from the fields above, for Sentinel, a unix socket, a
	// password, a database, or a dialer of the caller. New calls it once. The store then sets the options that its promises
	// need, whatever Configure did: it reads from primaries only and without a cache in the process, uses one connection per
	// node, leaves the lifetime of connections to Credentials, and checks what arrives on each connection.
	//
	// For Sentinel, set InitAddress to the Sentinels and Sentinel.MasterSet to the name of the primary. Address is then not
	// needed. A failover loses what the former primary acknowledges until it is demoted, unless its min-replicas-to-write
	// makes it refuse writes without a replica.
	Configure func(*client.ClientOption)
}

// Credentials returns the user name and the password for a new connection.
type Credentials func(ctx context.Context) (user, password string, err error)

const (
	// clientLifetime is less than the 12 hours after which ElastiCache closes connections that were authenticated by IAM
	// (Amazon ElastiCache User Guide, "Authenticating with IAM", limitations).
	clientLifetime     = 11 * time.Hour
	dialTimeout        = 2 * time.Second
	credentialsTimeout = 5 * time.Second
	// closeAfter is the time after which a replaced client is closed. It is longer than any operation that may still use the
	// client.
	closeAfter = 30 * time.Second
	// replaceAfter is the minimum age at which a client of a former primary is replaced. It limits reconnects until the
	// address resolves to the new primary.
	replaceAfter = time.Second
)

// A connector creates the client on first use and retries on later uses if that fails, so that a server can start before its
// store. It replaces a client that is too old or is connected to a former primary.
type connector struct {
	option   client.ClientOption
	lifetime time.Duration // of a client; 0 for no limit
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
		InitAddress: []string{o.Address},
		Dialer:      net.Dialer{Timeout: dialTimeout},
	}}
	c.option.Sentinel.Dialer.Timeout = dialTimeout
	if o.TLS {
		c.option.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.RootCAs}
	}
	if o.Credentials != nil {
		c.lifetime = lifetime
		c.option.AuthCredentialsFn = func(client.AuthCredentialsContext) (client.AuthCredentials, error) {
			ctx, cancel := context.WithTimeout(context.Background(), credentialsTimeout)
			defer cancel()
			user, password, err := o.Credentials(ctx)
			return client.AuthCredentials{Username: user, Password: password}, err
		}
	}
	if o.Configure != nil {
		o.Configure(&c.option)
	}
	c.option = keepPromises(c.option)
	return c
}

// keepPromises returns the option with the settings that the store's promises need.
func keepPromises(o client.ClientOption) client.ClientOption {
	o.DisableCache = true // client-side caching would serve stale sessions
	o.ReplicaOnly, o.SendToReplicas = false, nil
	o.Standalone = client.StandaloneOption{} // replicas, and redirections that repeat a command
	o.ConnLifetime = 0                       // would retry a write whose reply is late when the connection expires
	// Use one connection with pipelining. After a failover, several connections could lead to different servers, and a ping
	// would check only one of them. On a cluster there is one connection per node in any case.
	o.PipelineMultiplex, o.DisableAutoPipelining = -1, false
	connect := o.DialCtxFn
	if connect == nil && o.DialFn != nil {
		connect = func(_ context.Context, address string, dialer *net.Dialer, config *tls.Config) (net.Conn, error) {
			return o.DialFn(address, dialer, config)
		}
	}
	if connect == nil {
		connect = dial
	}
	pushes := o.Sentinel.MasterSet != ""
	o.DialCtxFn = func(ctx context.Context, address string, dialer *net.Dialer, config *tls.Config) (net.Conn, error) {
		conn, err := connect(ctx, address, dialer, config)
		if err != nil {
			return nil, err
		}
		return newCheckedConn(conn, pushes), nil
	}
	return o
}

// dial connects as the client does by default.
func dial(ctx context.Context, address string, dialer *net.Dialer, config *tls.Config) (net.Conn, error) {
	if config == nil {
		return dialer.DialContext(ctx, "tcp", address)
	}
	return (&tls.Dialer{NetDialer: dialer, Config: config}).DialContext(ctx, "tcp", address)
}

// client returns the connected client. It connects if necessary.
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
		return nil, fmt.Errorf("connect to %s: %w", strings.Join(c.option.InitAddress, ", "), ctx.Err())
	}
}

func (c *connector) connect() (any, error) {
	c.mu.Lock()
	ready, closed := c.ready.Load(), c.closed
	c.mu.Unlock()
	if closed {
		return nil, client.ErrClosing
	}
	if ready != nil { // another caller has connected meanwhile
		return ready.Client, nil
	}
	made, err := client.NewClient(c.option)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", strings.Join(c.option.InitAddress, ", "), err)
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

// check replaces the client if err, the error of a write, says that the server is read-only. Such a server was the primary
// before a failover and keeps its connections open, while the address already leads to the new primary. The write had no
// effect.
func (c *connector) check(used client.Client, err error) {
	reply, ok := client.IsValkeyErr(err)
	if !ok || !strings.Contains(reply.Error(), "READONLY") {
		return
	}
	if ready := c.ready.Load(); ready != nil && ready.Client == used && time.Since(ready.since) > replaceAfter {
		c.replace(ready)
	}
}

// replace makes the next call reconnect, if old is still the current client.
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
