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
	"syscall"
	"time"
)

// connectTimeout bounds connecting to a target, as on an ALB. After it the client gets a 504.
const connectTimeout = 10 * time.Second

// maxIdleConnections bounds the idle connections per target. A load test on one machine opens fewer.
const maxIdleConnections = 4096

// A target is a registered server.
type target struct {
	name, address string
	state         TargetState // guarded by Balancer.mu
	proxy         *httputil.ReverseProxy
	transport     *http.Transport
	connections   connections

	requests, inFlight atomic.Int64
	draining           atomic.Bool

	stopChecks       context.CancelFunc
	drained, removed chan struct{} // closed when no request is in flight any more, and when the target is removed
	finish, close    func()        // close drained and removed, once; close also closes the connections
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
		MaxIdleConnsPerHost:   maxIdleConnections,
		IdleConnTimeout:       b.options.IdleTimeout,
		ResponseHeaderTimeout: b.options.IdleTimeout,
		ExpectContinueTimeout: time.Second,
		DisableCompression:    true, // Accept-Encoding is the client's to set
	}
	t.proxy = &httputil.ReverseProxy{
		Transport: t.transport,
		Rewrite:   t.rewrite,
		ModifyResponse: func(response *http.Response) error {
			if response.Header.Get(servedBy) == "" { // of a server that doesn't know its name
				response.Header.Set(servedBy, t.name)
			}
			b.onResponse(t, response)
			return nil
		},
		ErrorHandler: b.onError,
		ErrorLog:     log.New(io.Discard, "", 0), // errors are counted, not logged
		BufferPool:   &buffers{},
	}
	return t
}

// servedBy is the header that names the server which has answered. Load tests count requests by it.
const servedBy = "X-Served-By"

// acquire counts a request as in flight and returns true, unless the target is draining. It increments the count before it reads
// draining, and drain sets draining before it reads the count, so that no request starts after drained is closed.
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

// onResponse is called with every response of a target, before it is forwarded.
func (b *Balancer) onResponse(t *target, response *http.Response) {
	t.requests.Add(1)
	if b.options.Sticky {
		setStickyCookie(response.Header, t.name)
	}
}

// onError responds to a request without a response from the target. It counts the error unless the client caused it: a client
// that has gone gets no response, one whose body can't be read gets a 400, and one that sends it too slowly a 408, as on an ALB.
func (b *Balancer) onError(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil { // net/http cancels it when reading from the client fails
		if rw, ok := w.(*responseWriter); !ok || !rw.timedOut() {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Connection", "close")
		writeErrorPage(w, http.StatusRequestTimeout, "The body of the request took too long.")
		return
	}
	if errors.As(err, new(requestBodyError)) {
		writeErrorPage(w, http.StatusBadRequest, "The body of the request can't be read.")
		return
	}
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		b.refuse(w, "The load balancer has too many open connections.")
		return
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		b.timeout.Add(1)
		writeErrorPage(w, http.StatusGatewayTimeout, "The server took too long to respond.")
		return
	}
	b.badGateway.Add(1)
	writeErrorPage(w, http.StatusBadGateway, "The server closed or refused the connection.")
}

// connections tracks the open connections to one target, so that close can abort the requests in flight.
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

// Write returns an error only after the connection is closed on this side. A target may respond, for example with a 413, and
// close the connection before it has read the whole request. After a failed write http.Transport would no longer read that
// response. It closes the connection when it has read everything.
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

// buffers is a pool of buffers to copy response bodies.
type buffers struct{ pool sync.Pool }

const bufferSize = 16 << 10

func (b *buffers) Get() []byte {
	if buffer, ok := b.pool.Get().(*[bufferSize]byte); ok {
		return buffer[:]
	}
	return new([bufferSize]byte)[:]
}

func (b *buffers) Put(buffer []byte) { b.pool.Put((*[bufferSize]byte)(buffer)) }
