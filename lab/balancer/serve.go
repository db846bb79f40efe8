package balancer

import (
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"
)

// limits are what visitors may take of a listener.
type limits struct {
	header      time.Duration // to send the header of a request
	request     time.Duration // to send all of it, with its body
	write       time.Duration // to read an answer, unless the handler gives more
	connections int           // open at a time
}

// defaultLimits gives visitors as long as the servers behind the balancer do: 10 s and 30 s.
func defaultLimits() limits {
	return limits{header: 10 * time.Second, request: 30 * time.Second, write: time.Minute, connections: 4096}
}

const (
	maxHeaderBytes = 64 << 10  // of a request; an ALB's limit
	keepAlive      = time.Hour // an ALB's client keep-alive
)

// full is the answer to a connection for which there is no room.
const full = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

// Serve answers visitors on the listener with the handler, until the server that it returns is closed. It bounds the
// number of connections, the header of a request, and the time that a visitor takes to send one. Connections beyond the
// bound get a 503 at once.
func Serve(listener net.Listener, handler http.Handler) *http.Server {
	return serve(listener, handler, defaultLimits())
}

func serve(listener net.Listener, handler http.Handler, l limits) *http.Server {
	server := &http.Server{
		Handler: handler, MaxHeaderBytes: maxHeaderBytes, IdleTimeout: keepAlive,
		ReadHeaderTimeout: l.header, ReadTimeout: l.request, WriteTimeout: l.write,
		ErrorLog: log.New(io.Discard, "", 0),
	}
	go func() { _ = server.Serve(&boundedListener{listener, make(chan struct{}, l.connections)}) }()
	return server
}

// boundedListener keeps a bounded number of connections open.
type boundedListener struct {
	net.Listener
	open chan struct{}
}

// Accept returns the next connection for which there is room.
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
			_, _ = io.WriteString(conn, full) // never waits: the buffer of a new connection is empty
			conn.Close()
		}
	}
}

// boundedConn makes room when it is closed.
type boundedConn struct {
	net.Conn
	release func()
}

func (c *boundedConn) Close() error {
	defer c.release()
	return c.Conn.Close()
}

// CloseWrite lets the server end an answer before it has read the rest of the request, which would take the answer back.
func (c *boundedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
