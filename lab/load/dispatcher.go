package load

import "math/rand/v2"

// maxOverlap bounds the requests of one visitor that are under way on purpose.
const maxOverlap = 4

// dispatcher gives each request to a visitor. One goroutine at a time may use it.
type dispatcher struct {
	users   []*virtualUser
	mix     Mix
	order   []int // visitors whose turn is still to come in this round
	current *virtualUser
	joined  int // requests in a row that were the current visitor's
}

// dispatch decides whose the next request is, and what it does. A visitor with a request under way sends another one, up to
// maxOverlap in a row: requests of one session overlap on purpose. Otherwise it is another's turn, in a new order each
// round, so that no visitor stays in step with the load balancer.
func (d *dispatcher) nextRequest() outgoing {
	if d.current == nil || d.joined == maxOverlap || !d.current.busy() {
		if len(d.order) == 0 {
			d.order = rand.Perm(len(d.users))
		}
		d.current, d.order, d.joined = d.users[d.order[0]], d.order[1:], 0
	}
	d.joined++
	return d.current.next(d.mix.draw())
}
