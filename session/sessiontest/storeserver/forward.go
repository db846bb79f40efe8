package storeserver

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"

	"stateless-servers/session/sessiontest/must"
	"stateless-servers/session/sessiontest/relay"
)

// A Forwarder forwards TCP connections to a server. It simulates network failures.
type Forwarder struct {
	*relay.Relay

	mu       sync.Mutex
	muted    bool
	muteWord []byte // mutes when the server sends it
	lostWord []byte // closes the connection when the server sends it
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
	f := &Forwarder{}
	r, err := relay.Listen(to, func(client, server net.Conn) (up, down func()) {
		return func() { io.Copy(server, client) }, func() { io.Copy(replyWriter{f, client}, server) }
	})
	if err != nil {
		return nil, err
	}
	f.Relay = r
	return f, nil
}

// Mute drops all data from servers while muted is true. Data from clients is still forwarded. Mute(false) ends MuteAfter and CloseAfter
// too.
func (f *Forwarder) Mute(muted bool) {
	f.locked(func() { f.muted, f.muteWord, f.lostWord = muted, nil, nil })
}

// MuteAfter calls Mute when a server sends the word, and drops the word too.
func (f *Forwarder) MuteAfter(word string) { f.locked(func() { f.muteWord = []byte(word) }) }

// CloseAfter closes a connection when the server sends the word on it, and drops the word.
func (f *Forwarder) CloseAfter(word string) { f.locked(func() { f.lostWord = []byte(word) }) }

func (f *Forwarder) locked(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
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
