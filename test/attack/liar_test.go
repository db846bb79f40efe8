package attack

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// A liar stands between the server and a real store. It passes connections on, or tells a lie on each.
type liar struct {
	addr     string // host:port where it listens
	truth    string // host:port of the real store
	listener net.Listener
	running  sync.WaitGroup

	mu   sync.Mutex
	lie  func(net.Conn) // nil: the truth
	open map[net.Conn]bool
}

// newLiar listens on a free loopback port until the test ends, and tells the truth at first.
func newLiar(t *testing.T, truth string) *liar {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &liar{addr: listener.Addr().String(), truth: truth, listener: listener, open: map[net.Conn]bool{}}
	l.running.Go(l.accept)
	t.Cleanup(func() {
		listener.Close()
		l.tell(nil)
		l.running.Wait()
	})
	return l
}

// tell cuts every connection, and answers new ones with the lie; nil is the truth.
func (l *liar) tell(lie func(net.Conn)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lie = lie
	for conn := range l.open {
		conn.Close()
	}
}

func (l *liar) accept() {
	for {
		conn, err := l.listener.Accept()
		if err != nil {
			return
		}
		conn.SetDeadline(time.Now().Add(time.Minute)) // no lie is endless
		l.mu.Lock()
		lie := l.lie
		l.open[conn] = true
		l.mu.Unlock()
		l.running.Go(func() {
			defer l.end(conn)
			if lie != nil {
				lie(conn)
				return
			}
			l.pass(conn, func(to io.Writer, from io.Reader) { io.Copy(to, from) })
		})
	}
}

func (l *liar) end(conn net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	conn.Close()
	delete(l.open, conn)
}

// pass sends to the real store what the server says, and has answer send back what the store says.
func (l *liar) pass(conn net.Conn, answer func(to io.Writer, from io.Reader)) {
	store, err := net.DialTimeout("tcp", l.truth, 5*time.Second)
	if err != nil {
		return
	}
	defer store.Close()
	store.SetDeadline(time.Now().Add(time.Minute))
	var asking sync.WaitGroup
	asking.Go(func() {
		io.Copy(store, conn)
		store.Close()
	})
	answer(conn, store)
	conn.Close()
	asking.Wait()
}

// hang reads, and says nothing.
func hang(conn net.Conn) { io.Copy(io.Discard, conn) }

// hangUp closes the connection at once.
func hangUp(net.Conn) {}

// drip sends a byte every 50 ms, as long as somebody listens.
func drip(to io.Writer, text string) {
	for i := range text {
		if _, err := io.WriteString(to, text[i:i+1]); err != nil {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// flooding sends the text again and again, as fast as it is read.
func flooding(to io.Writer, text string) {
	text = strings.Repeat(text, 1+64<<10/len(text))
	for range 1 << 20 {
		if _, err := io.WriteString(to, text); err != nil {
			return
		}
	}
}

// replying answers each command that a reader finds with what reply says, until that says nothing more.
func replying(conn net.Conn, next func() (string, error), reply func(command string) string) {
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
