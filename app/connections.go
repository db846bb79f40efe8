package main

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"sync"
	"time"
)

const (
	// spareDescriptors is the number of file descriptors reserved for connections to stores, the admin server, logs and
	// refused visitors.
	spareDescriptors = 64
	// maxRefusals bounds the number of connections that are being refused concurrently. Further connections are closed at
	// once, without reading the request, so that the response may not arrive.
	maxRefusals = 16
	// refusalTimeout bounds the time to refuse one connection.
	refusalTimeout = time.Second
)

// maxConnections returns the number of connections that the process can keep open: limit, or less if its memory or its limit
// of file descriptors is too small.
func maxConnections(limit int) int {
	limit = min(limit, planMemory().connections)
	if descriptors, limited := descriptorLimit(); limited {
		limit = min(limit, max(1, descriptors-spareDescriptors))
	}
	return limit
}

// A boundedListener limits the number of open connections. Further visitors get a 503 at once, and the server doesn't run out
// of memory or file descriptors.
type boundedListener struct {
	net.Listener
	open, refusals chan struct{}
}

func newBoundedListener(l net.Listener, limit int) *boundedListener {
	return &boundedListener{Listener: l, open: make(chan struct{}, limit), refusals: make(chan struct{}, maxRefusals)}
}

// Accept returns the next connection within the limit and refuses those beyond it.
func (l *boundedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if tcp, ok := conn.(*net.TCPConn); ok {
			tcp.SetReadBuffer(socketBuffer)
			tcp.SetWriteBuffer(socketBuffer)
		}
		select {
		case l.open <- struct{}{}:
			return &boundedConn{Conn: conn, release: sync.OnceFunc(func() { <-l.open })}, nil
		default:
		}
		select {
		case l.refusals <- struct{}{}:
			go func() {
				refuse(conn)
				<-l.refusals
			}()
		default:
			io.WriteString(conn, unavailableResponse) // doesn't block, because a new connection's send buffer is empty
			conn.Close()
		}
	}
}

// A boundedConn is a connection that no longer counts once it is closed.
type boundedConn struct {
	net.Conn
	release func()
}

func (c *boundedConn) Close() error {
	defer c.release()
	return c.Conn.Close()
}

// CloseWrite lets net/http close the connection after a refused request without losing the response.
func (c *boundedConn) CloseWrite() error {
	if half, ok := c.Conn.(halfCloser); ok {
		return half.CloseWrite()
	}
	return nil
}

// A halfCloser is a connection that can close its sending side and keep reading.
type halfCloser interface{ CloseWrite() error }

// The responses of a server at its limit, to visitors and to the load balancer's health check. A full server is healthy: to
// replace it would move its load to the other servers, which would then fill up too. So health checks come first (Amazon
// Builders' Library, "Implementing health checks").
const (
	unavailableResponse = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
	healthyResponse     = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
	healthCheck         = "GET /healthz "
)

// refuse responds to a request after reading its first line only, up to 512 bytes. It then reads the rest of the request
// before it closes the connection, because closing with unread data could make the client lose the response (RFC 9112,
// section 9.6).
func refuse(conn net.Conn) {
	defer conn.Close()
	conn.SetReadDeadline(time.Now().Add(refusalTimeout))
	reader := bufio.NewReaderSize(conn, 512)
	response := unavailableResponse
	if line, err := reader.ReadSlice('\n'); err == nil && bytes.HasPrefix(line, []byte(healthCheck)) {
		response = healthyResponse
	}
	io.WriteString(conn, response)
	if half, ok := conn.(halfCloser); ok {
		half.CloseWrite()
	}
	io.CopyN(io.Discard, reader, maxHeaderBytes)
}
