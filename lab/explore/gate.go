package explore

import (
	"fmt"
	"net"
	"sync"

	"stateless-servers/app/config"
)

// A gate is the only way of one server to the store. While a run is on, it holds every call until the run releases it;
// otherwise calls pass.
type gate struct {
	target   string
	store    config.StoreKind
	listener net.Listener
	group    sync.WaitGroup

	mu     sync.Mutex // guards what follows, and the fields of links and calls
	links  map[*link]bool
	lane   *lane       // gets the calls of the run that is on; nil without one
	watch  func(*call) // is told of each call that passes; nil for nobody
	down   bool        // connections are refused
	hung   bool        // calls are taken and never answered
	closed bool
}

// A call holds the bytes that a server sends on a connection until the store replies. Pipelined commands are one call.
type call struct {
	link      *link
	request   []byte
	reply     []byte // its first bytes, for labels
	performed func() // called once the store has performed a call whose reply is then withheld; nil for the others
}

// A link is a connection of a server, and its own to the store.
type link struct {
	gate     *gate
	protocol protocol
	client   net.Conn
	store    net.Conn
	held     *call // waits for its release
	sent     *call // released, without a reply
	answered *call // its reply is arriving, or has arrived
}

// maxReply bounds how much of a reply is kept, in bytes.
const maxReply = 8 << 10

// newGate returns a gate to the store at the TCP address target. Close it after use.
func newGate(target string, store config.StoreKind) (*gate, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for a server's calls of its store: %w", err)
	}
	g := &gate{target: target, store: store, listener: listener, links: map[*link]bool{}}
	g.group.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			g.group.Go(func() { g.serve(conn) })
		}
	})
	return g, nil
}

func (g *gate) address() string { return g.listener.Addr().String() }

// close ends the gate and its connections.
func (g *gate) close() {
	g.listener.Close()
	g.mu.Lock()
	g.closed = true
	g.cut()
	g.mu.Unlock()
	g.group.Wait()
}

// cut ends every connection, with a reset. The caller holds mu.
func (g *gate) cut() {
	for l := range g.links {
		l.reset()
	}
}

// reset ends both connections of the link at once.
func (l *link) reset() {
	if tcp, ok := l.client.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // a reset, as a store that dies sends it
	}
	l.client.Close()
	l.store.Close()
}

func (g *gate) serve(client net.Conn) {
	store, err := net.Dial("tcp", g.target)
	if err != nil {
		client.Close()
		return
	}
	l := &link{gate: g, protocol: newProtocol(g.store), client: client, store: store}
	g.mu.Lock()
	refused := g.closed || g.down
	if !refused {
		g.links[l] = true
	}
	g.mu.Unlock()
	if refused {
		l.reset()
		return
	}
	defer func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.links, l)
		client.Close()
		store.Close()
		if g.lane != nil {
			g.lane.dropped(l)
		}
	}()
	g.group.Go(func() {
		defer client.Close()
		copyReads(l.store, l.fromStore)
	})
	copyReads(client, l.fromServer)
}

// copyReads gives what it reads to handle until reading or handle fails.
func copyReads(from net.Conn, handle func([]byte) error) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 && handle(buffer[:n]) != nil || err != nil {
			return
		}
	}
}

// fromServer takes what the server sends to its store.
func (l *link) fromServer(text []byte) error {
	g := l.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.hung:
		return nil
	case l.held != nil: // the rest of a call that waits
		l.held.request = append(l.held.request, text...)
		if l.protocol.setup(l.held.request) {
			c := l.held
			l.held = nil
			g.lane.dropped(l)
			return l.pass(c)
		}
		return nil
	case l.sent != nil: // the rest of a call that was released
		l.sent.request = append(l.sent.request, text...)
		_, err := l.store.Write(text)
		return err
	}
	c := &call{link: l, request: append([]byte(nil), text...)}
	if g.lane == nil || l.protocol.setup(c.request) {
		if g.watch != nil {
			g.watch(c)
		}
		return l.pass(c)
	}
	l.held = c
	g.lane.hold(c)
	return nil
}

// pass sends a call to the store. The caller holds mu.
func (l *link) pass(c *call) error {
	l.sent = c
	_, err := l.store.Write(c.request)
	return err
}

// fromStore takes what the store sends to the server.
func (l *link) fromStore(text []byte) error {
	g := l.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	if c := l.sent; c != nil {
		l.sent, l.answered = nil, c
		if g.lane != nil {
			g.lane.replied(c)
		}
		if c.performed != nil {
			c.performed()
			l.reset()
			return net.ErrClosed
		}
	}
	if c := l.answered; c != nil && len(c.reply) < maxReply {
		c.reply = append(c.reply, text...)
	}
	l.protocol.answered(text) // so that it knows the state of the connection
	_, err := l.client.Write(text)
	return err
}

// release lets a held call go on, with its fault if it has one. killed is called in the place of a reply if the fault is
// Kill.
func (g *gate) release(c *call, fault Fault, killed func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := c.link
	if l.held != c {
		return // the server has closed the connection meanwhile
	}
	l.held = nil
	switch fault {
	case None:
		if l.pass(c) != nil {
			l.reset()
		}
	case Drop, Kill:
		c.performed = func() {}
		if fault == Kill {
			c.performed = killed
		}
		if l.pass(c) != nil {
			l.reset()
		}
	case Refuse:
		l.reset()
	case Down:
		g.down = true
		g.cut()
	case Error:
		l.answered = c
		c.reply = l.protocol.failure(c.request)
		if _, err := l.client.Write(c.reply); err != nil {
			l.reset()
		}
	}
}

// begin has the gate hold calls for the lane.
func (g *gate) begin(l *lane) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lane = l
}

// end lets every call pass again, those included that are held, and ends faults.
func (g *gate) end() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lane, g.down = nil, false
	for l := range g.links {
		if c := l.held; c != nil {
			l.held = nil
			if l.pass(c) != nil {
				l.reset()
			}
		}
	}
}

// up ends Down.
func (g *gate) up() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.down = false
}

// hang has the store take calls without ever answering, or ends that together with all connections.
func (g *gate) hang(on bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.hung = on; !on {
		g.cut()
	}
}

// observe has each call that passes given to watch; nil ends that.
func (g *gate) observe(watch func(*call)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.watch = watch
}
