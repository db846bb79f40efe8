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
	// spareDescriptors are kept for the connections to stores, the admin server, logs and refused visitors.
	spareDescriptors = 64
	// maxRefusals bounds the refusals under way; beyond it connections are closed at once, whether or not the answer arrives,
	// and without a look at what was asked.
	maxRefusals = 16
	// refusalTime bounds one of them.
	refusalTime = time.Second
)

// maxConnections is how many connections the process can keep open: most, or fewer where its memory or the limit of file
// descriptors leaves less.
func maxConnections(most int) int {
	most = min(most, planMemory().connections)
	if descriptors, limited := descriptorLimit(); limited {
		most = min(most, max(1, descriptors-spareDescriptors))
	}
	return most
}

// A boundedListener keeps a bounded number of connections open. Visitors beyond it get a 503 at once instead of waiting
// for a server that runs out of memory or file descriptors.
type boundedListener struct {
	net.Listener
	open, refusals chan struct{}
}

func newBoundedListener(l net.Listener, most int) *boundedListener {
	return &boundedListener{Listener: l, open: make(chan struct{}, most), refusals: make(chan struct{}, maxRefusals)}
}

// Accept returns the next connection there is room for.
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
			io.WriteString(conn, refusal) // never waits: a new connection's buffer is empty
			conn.Close()
		}
	}
}

// A boundedConn makes room when it is closed.
type boundedConn struct {
	net.Conn
	release func()
}

func (c *boundedConn) Close() error {
	defer c.release()
	return c.Conn.Close()
}

// CloseWrite lets the server end a refused request without taking its answer back.
func (c *boundedConn) CloseWrite() error {
	if half, ok := c.Conn.(halfCloser); ok {
		return half.CloseWrite()
	}
	return nil
}

// A halfCloser can say that no more will be sent, and go on reading.
type halfCloser interface{ CloseWrite() error }

// What a server says that has no room: to visitors, and to the load balancer's health check. A full server is well; one
// that is replaced for it leaves its visitors to the others, until they are full too (Amazon Builders' Library,
// "Implementing health checks": servers answer these before anything else).
const (
	refusal     = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
	alive       = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
	healthCheck = "GET /healthz "
)

// refuse answers without parsing more than the first line, whose length it bounds. It reads the rest of what was sent before
// it closes the connection: closing with it unread would take the answer back (RFC 9112, section 9.6).
func refuse(conn net.Conn) {
	defer conn.Close()
	conn.SetReadDeadline(time.Now().Add(refusalTime))
	reader := bufio.NewReaderSize(conn, 512)
	answer := refusal
	if line, err := reader.ReadSlice('\n'); err == nil && bytes.HasPrefix(line, []byte(healthCheck)) {
		answer = alive
	}
	io.WriteString(conn, answer)
	if half, ok := conn.(halfCloser); ok {
		half.CloseWrite()
	}
	io.CopyN(io.Discard, reader, maxHeaderBytes)
}
