package sessiontest

import (
	"fmt"
	"net"
	"sync"
)

// A proxy forwards connections between a server and its store, and makes calls fail as its injector decides. A call is all that
// the server sends on a connection until the store replies, whatever the protocol. A fault closes the connection.
type proxy struct {
	listener net.Listener
	target   string
	injector *injector

	mu     sync.Mutex
	conns  map[net.Conn]bool
	closed bool
	group  sync.WaitGroup
}

// newProxy returns a proxy to the store at the address target. Close it after use.
func newProxy(target string, i *injector) (*proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for a proxy: %w", err)
	}
	p := &proxy{listener: listener, target: target, injector: i, conns: map[net.Conn]bool{}}
	p.group.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			p.group.Go(func() { p.serve(conn) })
		}
	})
	return p, nil
}

func (p *proxy) address() string { return p.listener.Addr().String() }

// close closes the proxy and its connections.
func (p *proxy) close() {
	p.listener.Close()
	p.mu.Lock()
	p.closed = true
	for conn := range p.conns {
		conn.Close()
	}
	p.mu.Unlock()
	p.group.Wait()
}

// register registers a connection for close, and reports whether the proxy is open.
func (p *proxy) register(conn net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[conn] = true
	return !p.closed
}

func (p *proxy) serve(client net.Conn) {
	defer client.Close()
	store, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer store.Close()
	if !p.register(client) || !p.register(store) {
		return
	}
	var mu sync.Mutex
	calling, replied := false, true // state of the current call
	p.group.Go(func() {
		defer client.Close()
		buffer := make([]byte, 64<<10)
		for {
			n, err := store.Read(buffer)
			if err != nil {
				return
			}
			mu.Lock()
			lost := !replied
			calling = false
			mu.Unlock()
			if lost {
				return // the store has replied, so it has executed the call
			}
			if _, err := client.Write(buffer[:n]); err != nil {
				return
			}
		}
	})
	buffer := make([]byte, 64<<10)
	for {
		n, err := client.Read(buffer)
		if err != nil {
			return
		}
		done := true
		mu.Lock()
		if !calling {
			calling = true
			done, replied = p.injector.next()
		}
		mu.Unlock()
		if !done {
			return
		}
		if _, err := store.Write(buffer[:n]); err != nil {
			return
		}
	}
}
