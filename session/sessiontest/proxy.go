package sessiontest

import (
	"net"
	"sync"

	"stateless-servers/session/sessiontest/relay"
)

// newProxy returns a relay to the store at the address target that makes calls fail as the injector decides. A call is all that
// the server sends on a connection until the store replies, whatever the protocol. A fault closes the connection.
func newProxy(target string, i *injector) (*relay.Relay, error) {
	return relay.Listen(target, func(client, store net.Conn) (up, down func()) {
		var mu sync.Mutex
		calling, replied := false, true // state of the current call
		up = func() {
			forward(store, client, func() bool {
				mu.Lock()
				defer mu.Unlock()
				if calling {
					return true
				}
				var done bool
				calling = true
				done, replied = i.next()
				return done
			})
		}
		down = func() {
			forward(client, store, func() bool {
				mu.Lock()
				defer mu.Unlock()
				calling = false
				return replied // else the reply is lost; the store has executed the call
			})
		}
		return up, down
	})
}

// forward copies data to a connection from another one while allow, which it calls for each piece, returns true.
func forward(to, from net.Conn, allow func() bool) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil || !allow() {
			return
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}
