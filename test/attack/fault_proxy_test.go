package attack

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"stateless-servers/session/sessiontest/must"
)

// A faultProxy forwards connections from the server to a real store, or handles them itself with a fault.
type faultProxy struct {
	addr     string // host:port where it listens
	store    string // host:port of the real store
	listener net.Listener
	running  sync.WaitGroup

	mu    sync.Mutex
	fault func(net.Conn) // handles new connections; nil forwards them to the store
	open  map[net.Conn]bool
}

// newFaultProxy listens on a free loopback port until the test ends. At first it forwards connections.
func newFaultProxy(t *testing.T, store string) *faultProxy {
	t.Helper()
	listener := must.Get(net.Listen("tcp4", "127.0.0.1:0"))(t)
	l := &faultProxy{addr: listener.Addr().String(), store: store, listener: listener, open: map[net.Conn]bool{}}
	l.running.Go(l.accept)
	t.Cleanup(func() {
		listener.Close()
		l.set(nil)
		l.running.Wait()
	})
	return l
}

// set closes every connection and has the fault handle new ones. With nil they are forwarded to the store.
func (l *faultProxy) set(fault func(net.Conn)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fault = fault
	for conn := range l.open {
		conn.Close()
	}
}

func (l *faultProxy) accept() {
	for {
		conn, err := l.listener.Accept()
		if err != nil {
			return
		}
		conn.SetDeadline(time.Now().Add(time.Minute))
		l.mu.Lock()
		fault := l.fault
		l.open[conn] = true
		l.mu.Unlock()
		l.running.Go(func() {
			defer l.end(conn)
			if fault != nil {
				fault(conn)
				return
			}
			l.pass(conn, func(to io.Writer, from io.Reader) { io.Copy(to, from) })
		})
	}
}

func (l *faultProxy) end(conn net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	conn.Close()
	delete(l.open, conn)
}

// pass forwards the connection to the real store. The function reply forwards the store's replies.
func (l *faultProxy) pass(conn net.Conn, reply func(to io.Writer, from io.Reader)) {
	store, err := net.DialTimeout("tcp", l.store, 5*time.Second)
	if err != nil {
		return
	}
	defer store.Close()
	store.SetDeadline(time.Now().Add(time.Minute))
	var sending sync.WaitGroup
	sending.Go(func() {
		io.Copy(store, conn)
		store.Close()
	})
	reply(conn, store)
	conn.Close()
	sending.Wait()
}

// hang reads and never replies.
func hang(conn net.Conn) { io.Copy(io.Discard, conn) }

// disconnect closes the connection at once.
func disconnect(net.Conn) {}

// sendSlowly sends a byte every 50 ms until the connection is closed.
func sendSlowly(to io.Writer, text string) {
	for i := range text {
		if _, err := io.WriteString(to, text[i:i+1]); err != nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// sendEndlessly sends the text repeatedly, as fast as it is read.
func sendEndlessly(to io.Writer, text string) {
	text = strings.Repeat(text, 1+64<<10/len(text))
	for range 1 << 20 {
		if _, err := io.WriteString(to, text); err != nil {
			return
		}
	}
}

// serveReplies replies to each command that next reads, until next returns an error.
func serveReplies(conn net.Conn, next func() (string, error), reply func(command string) string) {
	for range 1 << 20 {
		command, err := next()
		if err != nil {
			return
		}
		if _, err := io.WriteString(conn, reply(command)); err != nil {
			return
		}
	}
}
