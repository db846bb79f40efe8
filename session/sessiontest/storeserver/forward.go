package storeserver

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
)

// A Forwarder passes connections on to a server, for drills and tests of what networks do.
type Forwarder struct {
	Addr string // host:port where it listens

	running sync.WaitGroup

	mu       sync.Mutex
	listener net.Listener
	to       string
	muted    bool
	word     []byte // mutes, when a server says it
	accepted int
	open     map[net.Conn]bool
}

// Forward listens on a free loopback port until the test ends, and passes connections on to the address.
func Forward(t testing.TB, to string) *Forwarder {
	t.Helper()
	f, err := NewForwarder(to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

// NewForwarder listens on a free loopback port until it is closed, and passes connections on to the address.
func NewForwarder(to string) (*Forwarder, error) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening for connections to forward: %w", err)
	}
	f := &Forwarder{Addr: listener.Addr().String(), to: to, open: map[net.Conn]bool{}}
	f.begin(listener)
	return f, nil
}

func (f *Forwarder) begin(listener net.Listener) {
	f.set(func() { f.listener = listener })
	f.running.Go(func() { f.accept(listener) })
}

// Accept listens again after Refuse.
func (f *Forwarder) Accept() error {
	listener, err := net.Listen("tcp4", f.Addr)
	if err != nil {
		return fmt.Errorf("listening for connections to forward: %w", err)
	}
	f.begin(listener)
	return nil
}

// Refuse closes every connection, and has new ones refused.
func (f *Forwarder) Refuse() {
	f.set(func() { f.listener.Close() })
	f.Cut()
}

// Close ends the forwarding.
func (f *Forwarder) Close() {
	f.Refuse()
	f.running.Wait()
}

// To has connections from now on passed to another address. Those that are open stay where they are.
func (f *Forwarder) To(addr string) { f.set(func() { f.to = addr }) }

// Mute swallows what servers say, until it is called with false. What clients say goes on.
func (f *Forwarder) Mute(muted bool) { f.set(func() { f.muted, f.word = muted, nil }) }

// MuteAfter mutes once a server says the word, and swallows that too.
func (f *Forwarder) MuteAfter(word string) { f.set(func() { f.word = []byte(word) }) }

// Cut closes every open connection.
func (f *Forwarder) Cut() {
	f.set(func() {
		for conn := range f.open {
			conn.Close()
		}
	})
}

// Accepted tells how many connections there have been.
func (f *Forwarder) Accepted() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.accepted
}

func (f *Forwarder) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *Forwarder) accept(listener net.Listener) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		var to string
		f.set(func() { f.accepted++; f.open[client] = true; to = f.to })
		f.running.Go(func() { f.pass(client, to) })
	}
}

func (f *Forwarder) pass(client net.Conn, to string) {
	defer f.forget(client)
	server, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	f.set(func() { f.open[server] = true })
	defer f.forget(server)
	f.running.Go(func() {
		defer client.Close()
		io.Copy(answers{f, client}, server)
	})
	io.Copy(server, client)
}

func (f *Forwarder) forget(conn net.Conn) {
	conn.Close()
	f.set(func() { delete(f.open, conn) })
}

// answers writes to a client what its server says, unless the Forwarder is muted.
type answers struct {
	forwarder *Forwarder
	client    net.Conn
}

func (a answers) Write(b []byte) (int, error) {
	f, muted := a.forwarder, false
	f.set(func() {
		f.muted = f.muted || f.word != nil && bytes.Contains(b, f.word)
		muted = f.muted
	})
	if muted {
		return len(b), nil
	}
	return a.client.Write(b)
}
