package balancer

import (
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// limits bound what the clients of a listener may use.
type limits struct {
	header  time.Duration // to send the header of a request
	request time.Duration // to send the whole request
	write   time.Duration // to read a response, unless the handler extends it
}

// defaultLimits returns the limits of Serve. The time limits for requests are those of the sample server.
func defaultLimits() limits {
	return limits{header: 10 * time.Second, request: 30 * time.Second, write: time.Minute}
}

const (
	maxHeaderBytes = 64 << 10  // of a request, as on an ALB
	keepAlive      = time.Hour // of an idle connection, as on an ALB
)

// full is the response on a connection beyond the limit.
const full = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

// MostInFlight is the highest default of MaxInFlight. It needs DescriptorsNeeded file descriptors: two for each request, one for
// each further connection, and a tenth to spare for idle connections, health checks and the rest of the program.
const (
	MostInFlight      = 10_000
	DescriptorsNeeded = (MostInFlight*20 + 8) / 9 // rounded up
)

// DefaultMaxInFlight returns MostInFlight, or less if the process can't open DescriptorsNeeded files.
func DefaultMaxInFlight() int { return maxInFlight(descriptorLimit()) }

func maxInFlight(descriptors int) int { return min(MostInFlight, max(1, descriptors*9/20)) }

// Serve serves the handler, which is the Balancer or leads to it, on the listener in the background. It returns the server, which
// the caller must close. It bounds the size of a request's header, the time that a client takes to send a request, and the number
// of open connections. A connection beyond that number gets a 503 at once, which Errors counts.
func (b *Balancer) Serve(listener net.Listener, handler http.Handler) *http.Server {
	return b.serve(listener, handler, defaultLimits())
}

func (b *Balancer) serve(listener net.Listener, handler http.Handler, l limits) *http.Server {
	server := &http.Server{
		Handler: handler, MaxHeaderBytes: maxHeaderBytes, IdleTimeout: keepAlive,
		ReadHeaderTimeout: l.header, ReadTimeout: l.request, WriteTimeout: l.write,
		ErrorLog: log.New(io.Discard, "", 0),
	}
	open := make(chan struct{}, b.options.MaxInFlight+max(1, b.options.MaxInFlight/10))
	go func() { _ = server.Serve(&boundedListener{listener, open, &b.unavailable}) }()
	return server
}

// A boundedListener limits the number of open connections.
type boundedListener struct {
	net.Listener
	open    chan struct{}
	refused *atomic.Int64
}

// Accept returns the next connection within the limit. It rejects the others with a 503.
func (l *boundedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case l.open <- struct{}{}:
			return &boundedConn{conn, sync.OnceFunc(func() { <-l.open })}, nil
		default:
			l.refused.Add(1)
			_, _ = io.WriteString(conn, full) // does not block: the send buffer of a new connection is empty
			conn.Close()
		}
	}
}

// boundedConn gives its place in the limit back when it is closed.
type boundedConn struct {
	net.Conn
	release func()
}

func (c *boundedConn) Close() error {
	defer c.release()
	return c.Conn.Close()
}

// CloseWrite lets net/http end a response to a request that it has not read completely. Closing the whole connection could
// reset it, and the client would lose the response.
func (c *boundedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
