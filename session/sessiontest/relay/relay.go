// Package relay puts a function between the clients of a TCP server and the server, to count, delay or drop what they send.
package relay

import (
	"fmt"
	"net"
	"sync"
)

// A Relay listens on a loopback port and connects each client to a server.
type Relay struct {
	Addr string // host:port where it listens

	connect func(client, server net.Conn) (up, down func())
	running sync.WaitGroup

	mu       sync.Mutex
	listener net.Listener
	target   string
	accepted int
	conns    map[net.Conn]bool
	refusing bool
}

// Listen returns a Relay to the server at target, on a free port. For each client it calls connect with the connection of the
// client and its own to the server. The functions that connect returns pass data to the server and to the client, each in a
// goroutine of its own. When either returns, both connections are closed.
func Listen(target string, connect func(client, server net.Conn) (up, down func())) (*Relay, error) {
	listener, err := listen("127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &Relay{Addr: listener.Addr().String(), connect: connect, target: target, conns: map[net.Conn]bool{}}
	r.begin(listener)
	return r, nil
}

// Accept listens again after Refuse, on the same port.
func (r *Relay) Accept() error {
	listener, err := listen(r.Addr)
	if err != nil {
		return err
	}
	r.begin(listener)
	return nil
}

func listen(addr string) (net.Listener, error) {
	listener, err := net.Listen("tcp4", addr)
	if err != nil {
		return nil, fmt.Errorf("listening for connections to relay: %w", err)
	}
	return listener, nil
}

func (r *Relay) begin(listener net.Listener) {
	r.locked(func() { r.listener, r.refusing = listener, false })
	r.running.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			r.running.Go(func() { r.serve(client) })
		}
	})
}

// Refuse closes all connections and refuses new ones.
func (r *Relay) Refuse() {
	r.locked(func() { r.listener.Close(); r.refusing = true })
	r.CloseConnections()
}

// CloseConnections closes all open connections.
func (r *Relay) CloseConnections() {
	r.locked(func() {
		for conn := range r.conns {
			conn.Close()
		}
	})
}

// Close closes the listener and all connections, and waits until the functions of all connections have returned.
func (r *Relay) Close() {
	r.Refuse()
	r.running.Wait()
}

// SetTarget sets the server for new connections. Open connections keep theirs.
func (r *Relay) SetTarget(addr string) { r.locked(func() { r.target = addr }) }

// Accepted returns the number of connections accepted so far.
func (r *Relay) Accepted() (n int) {
	r.locked(func() { n = r.accepted })
	return n
}

func (r *Relay) locked(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

func (r *Relay) serve(client net.Conn) {
	defer r.forget(client)
	var target string
	r.locked(func() {
		r.accepted++
		target = r.target
		if r.conns[client] = true; r.refusing {
			client.Close()
		}
	})
	server, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer r.forget(server)
	r.locked(func() { r.conns[server] = true })
	up, down := r.connect(client, server)
	var passing sync.WaitGroup
	for _, pass := range []func(){up, down} {
		passing.Go(func() {
			pass()
			client.Close()
			server.Close()
		})
	}
	passing.Wait()
}

func (r *Relay) forget(conn net.Conn) {
	conn.Close()
	r.locked(func() { delete(r.conns, conn) })
}
