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

	listener net.Listener
	running  sync.WaitGroup

	mu     sync.Mutex
	conns  map[net.Conn]bool
	closed bool
}

// Listen returns a Relay to the server at target, on a free port. For each client it calls connect with the connection of the
// client and its own to the server. The functions that connect returns pass data to the server and to the client, each in a
// goroutine of its own. When either returns, both connections are closed.
func Listen(target string, connect func(client, server net.Conn) (up, down func())) (*Relay, error) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening for clients of %s: %w", target, err)
	}
	r := &Relay{Addr: listener.Addr().String(), listener: listener, conns: map[net.Conn]bool{}}
	r.running.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			r.running.Go(func() { r.serve(client, target, connect) })
		}
	})
	return r, nil
}

// Close closes the listener and all connections, and waits until the functions of all connections have returned.
func (r *Relay) Close() {
	r.listener.Close()
	r.mu.Lock()
	r.closed = true
	for conn := range r.conns {
		conn.Close()
	}
	r.mu.Unlock()
	r.running.Wait()
}

func (r *Relay) serve(client net.Conn, target string, connect func(client, server net.Conn) (up, down func())) {
	defer r.forget(client)
	server, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer r.forget(server)
	r.mu.Lock()
	r.conns[client], r.conns[server] = true, true
	closed := r.closed
	r.mu.Unlock()
	if closed {
		return
	}
	up, down := connect(client, server)
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
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.conns, conn)
}
