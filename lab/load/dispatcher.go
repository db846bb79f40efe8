package load

import "math/rand/v2"

// maxOverlap bounds the requests of one virtual user that the dispatcher makes overlap.
const maxOverlap = 4

// dispatcher chooses the virtual user and the kind of each request. It isn't safe for concurrent use.
type dispatcher struct {
	users   []*virtualUser
	mix     Mix
	order   []int // indexes of the users whose turn is still to come in this round
	current *virtualUser
	joined  int // requests in a row for the current user
}

// nextRequest returns the next request. It belongs to the same virtual user while that one has a request in flight, up to
// maxOverlap in a row, so that requests of one session overlap. Otherwise it belongs to the next user, in a new random order
// each round, so that users and the load balancer's servers don't stay in step.
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
