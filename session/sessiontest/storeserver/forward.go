package storeserver

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"

	"stateless-servers/session/sessiontest/must"
)

// A Forwarder forwards TCP connections to a server. It simulates network failures.
type Forwarder struct {
	Addr string // host:port where it listens

	running sync.WaitGroup

	mu       sync.Mutex
	listener net.Listener
	target   string
	muted    bool
	muteWord []byte // mutes when the server sends it
	lostWord []byte // closes the connection when the server sends it
	accepted int
	open     map[net.Conn]bool
}

// Forward returns a Forwarder to an address that listens on a free loopback port until the test ends.
func Forward(t testing.TB, to string) *Forwarder {
	t.Helper()
	f := must.Get(NewForwarder(to))(t)
	t.Cleanup(f.Close)
	return f
}

// NewForwarder returns a Forwarder to an address that listens on a free loopback port until Close.
func NewForwarder(to string) (*Forwarder, error) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening for connections to forward: %w", err)
	}
	f := &Forwarder{Addr: listener.Addr().String(), target: to, open: map[net.Conn]bool{}}
	f.begin(listener)
	return f, nil
}

func (f *Forwarder) begin(listener net.Listener) {
	f.locked(func() { f.listener = listener })
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

// Refuse closes all connections and refuses new ones.
func (f *Forwarder) Refuse() {
	f.locked(func() { f.listener.Close() })
	f.CloseConnections()
}

// Close closes the listener and all connections.
func (f *Forwarder) Close() {
	f.Refuse()
	f.running.Wait()
}

// SetTarget sets the address for new connections. Open connections keep their server.
func (f *Forwarder) SetTarget(addr string) { f.locked(func() { f.target = addr }) }

// Mute drops all data from servers while muted is true. Data from clients is still forwarded. Mute(false) ends MuteAfter and CloseAfter
// too.
func (f *Forwarder) Mute(muted bool) {
	f.locked(func() { f.muted, f.muteWord, f.lostWord = muted, nil, nil })
}

// MuteAfter calls Mute when a server sends the word, and drops the word too.
func (f *Forwarder) MuteAfter(word string) { f.locked(func() { f.muteWord = []byte(word) }) }

// CloseAfter closes a connection when the server sends the word on it, and drops the word.
func (f *Forwarder) CloseAfter(word string) { f.locked(func() { f.lostWord = []byte(word) }) }

// CloseConnections closes all open connections.
func (f *Forwarder) CloseConnections() {
	f.locked(func() {
		for conn := range f.open {
			conn.Close()
		}
	})
}

// Accepted returns the number of connections accepted so far.
func (f *Forwarder) Accepted() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.accepted
}

func (f *Forwarder) locked(change func()) {
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
		f.locked(func() { f.accepted++; f.open[client] = true; to = f.target })
		f.running.Go(func() { f.pass(client, to) })
	}
}

func (f *Forwarder) pass(client net.Conn, to string) {
	defer f.forget(client)
	server, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	f.locked(func() { f.open[server] = true })
	defer f.forget(server)
	f.running.Go(func() {
		defer client.Close()
		io.Copy(replyWriter{f, client}, server)
	})
	io.Copy(server, client)
}

func (f *Forwarder) forget(conn net.Conn) {
	conn.Close()
	f.locked(func() { delete(f.open, conn) })
}

// A replyWriter forwards data from a server to its client, unless the Forwarder is muted.
type replyWriter struct {
	forwarder *Forwarder
	client    net.Conn
}

func (w replyWriter) Write(b []byte) (int, error) {
	f, muted, lost := w.forwarder, false, false
	f.locked(func() {
		lost = f.lostWord != nil && bytes.Contains(b, f.lostWord)
		f.muted = f.muted || f.muteWord != nil && bytes.Contains(b, f.muteWord)
		muted = f.muted
	})
	if lost {
		return 0, io.ErrClosedPipe
	}
	if muted {
		return len(b), nil
	}
	return w.client.Write(b)
}
