package balancer

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"sync"
	"sync/atomic"
	"time"
)

// connectTimeout is an ALB's connection timeout; a target that takes longer is a 504.
const connectTimeout = 10 * time.Second

// idleConnections bounds the connections kept per target; more than a load test on one machine opens.
const idleConnections = 4096

// target is one registered server.
type target struct {
	name, address string
	state         State // guarded by Balancer.mu
	proxy         *httputil.ReverseProxy
	transport     *http.Transport
	connections   connections

	requests, inFlight atomic.Int64
	draining           atomic.Bool

	stopChecks       context.CancelFunc
	drained, removed chan struct{} // closed when nothing is in flight any more, when it is gone
	finish, close    func()        // close them, once; close also cuts the connections
}

func (b *Balancer) newTarget(name, address string, stopChecks context.CancelFunc) *target {
	t := &target{
		name: name, address: address, state: StateInitial, stopChecks: stopChecks,
		drained: make(chan struct{}), removed: make(chan struct{}),
	}
	t.finish = sync.OnceFunc(func() { close(t.drained) })
	t.close = sync.OnceFunc(func() { stopChecks(); close(t.removed); t.connections.close() })
	t.transport = &http.Transport{
		DialContext:           t.connections.dial,
		MaxIdleConnsPerHost:   idleConnections,
		IdleConnTimeout:       b.options.IdleTimeout,
		ResponseHeaderTimeout: b.options.IdleTimeout,
		ExpectContinueTimeout: time.Second,
		DisableCompression:    true, // what the visitor asked for is what the target is asked for
	}
	t.proxy = &httputil.ReverseProxy{
		Transport: t.transport,
		Rewrite:   t.rewrite,
		ModifyResponse: func(response *http.Response) error {
			if response.Header.Get(servedBy) == "" { // of a server that doesn't know its name
				response.Header.Set(servedBy, t.name)
			}
			b.answered(t, response)
			return nil
		},
		ErrorHandler: b.failed,
		ErrorLog:     log.New(io.Discard, "", 0), // what goes wrong is counted, not logged
		BufferPool:   &buffers{},
	}
	return t
}

// servedBy is the header that names the server which has answered. Load tests count requests by it.
const servedBy = "X-Served-By"

// acquire counts a request as in flight, unless the target drains. It counts before it looks, and drain looks after it
// has marked, so that no request slips in after the last one finished.
func (t *target) acquire() bool {
	t.inFlight.Add(1)
	if !t.draining.Load() {
		return true
	}
	t.release()
	return false
}

func (t *target) release() {
	if t.inFlight.Add(-1) == 0 && t.draining.Load() {
		t.finish()
	}
}

func (t *target) drain() {
	t.draining.Store(true)
	t.stopChecks()
	t.transport.CloseIdleConnections()
	if t.inFlight.Load() == 0 {
		t.finish()
	}
}

// answered sees every answer of a target before it goes to the visitor.
func (b *Balancer) answered(t *target, response *http.Response) {
	t.requests.Add(1)
	if b.options.Sticky {
		pin(response.Header, t.name)
	}
}

// failed answers a request that the target did not answer. A visitor who has gone gets nothing, and nobody is to blame;
// neither is it the target's fault when the visitor's body can't be read, or takes too long: an ALB's 400 and 408.
func (b *Balancer) failed(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil { // it ends whenever reading from the visitor fails
		if v, ok := w.(*visitor); !ok || !v.late() {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Connection", "close")
		answer(w, http.StatusRequestTimeout, "The body of the request took too long.")
		return
	}
	if errors.As(err, new(visitorError)) {
		answer(w, http.StatusBadRequest, "The body of the request can't be read.")
		return
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		b.timeout.Add(1)
		answer(w, http.StatusGatewayTimeout, "The server took too long to answer.")
		return
	}
	b.badGateway.Add(1)
	answer(w, http.StatusBadGateway, "The server closed the connection, or accepts none.")
}

// connections are the open connections to one target, so that what is in flight can be cut.
type connections struct {
	mu     sync.Mutex
	open   map[*connection]struct{}
	closed bool
}

type connection struct {
	net.Conn
	owner  *connections
	closed chan struct{}
	close  func() // closes closed, once
}

func (c *connections) dial(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: connectTimeout}
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		conn.Close()
		return nil, net.ErrClosed
	}
	if c.open == nil {
		c.open = map[*connection]struct{}{}
	}
	closed := make(chan struct{})
	tracked := &connection{conn, c, closed, sync.OnceFunc(func() { close(closed) })}
	c.open[tracked] = struct{}{}
	return tracked, nil
}

// Write fails only once the connection is closed. A target that closes it amid a request may have answered before, such
// as with a 413; Transport looks no more for an answer after a failed write, and closes the connection after reading.
func (c *connection) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if err != nil {
		<-c.closed
	}
	return n, err
}

func (c *connection) Close() error {
	c.owner.mu.Lock()
	delete(c.owner.open, c)
	c.owner.mu.Unlock()
	c.close()
	return c.Conn.Close()
}

func (c *connections) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for conn := range c.open {
		conn.Conn.Close()
	}
}

// buffers recycles what response bodies are copied through.
type buffers struct{ pool sync.Pool }

const bufferSize = 16 << 10

func (b *buffers) Get() []byte {
	if buffer, ok := b.pool.Get().(*[bufferSize]byte); ok {
		return buffer[:]
	}
	return new([bufferSize]byte)[:]
}

func (b *buffers) Put(buffer []byte) { b.pool.Put((*[bufferSize]byte)(buffer)) }
