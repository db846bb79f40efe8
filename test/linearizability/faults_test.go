package linearizability

import (
	"errors"
	random "math/rand/v2"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"stateless-servers/session/sessiontest/process"
	"stateless-servers/session/sessiontest/storeserver"
)

// A fault disturbs the store, a server or the network while clients make calls.
type fault struct {
	name string
	// inject causes the fault and ends it. It returns an error if the fault had no effect.
	inject func(t *testing.T, s *fixture, r *recorder) error
}

const (
	// faultyCallTimeout bounds each call while there are faults. It is well below the duration of a fault.
	faultyCallTimeout = 400 * time.Millisecond
	// outage is how long a store is unreachable.
	outage = 900 * time.Millisecond
)

// faults returns the faults that can be injected into a fixture.
func faults(s *fixture) []fault {
	list := []fault{
		{"a server is killed", killServer},
		{"the store pauses", pauseStore},
	}
	if s.link == nil {
		return append(list, fault{"a replica takes over", failOver})
	}
	return append(list,
		fault{"connections are cut", cutConnections},
		fault{"replies are lost", dropReplies},
		fault{"the network is slow", slowNetwork},
		fault{"the store is killed", killStore},
	)
}

// untilUnanswered calls disturb, at most 10 times, until a call has got no reply.
func untilUnanswered(r *recorder, disturb func() error) error {
	before, _ := r.failures()
	for range 10 {
		if err := disturb(); err != nil {
			return err
		}
		if now, _ := r.failures(); now > before {
			return nil
		}
	}
	return errors.New("every call got a reply: the fault had no effect")
}

func killServer(_ *testing.T, s *fixture, r *recorder) error {
	return untilUnanswered(r, func() error {
		for _, server := range s.servers {
			server.kill()
			time.Sleep(outage / 4)
			if err := server.start(); err != nil {
				return err
			}
		}
		return nil
	})
}

func pauseStore(_ *testing.T, s *fixture, r *recorder) error {
	return untilUnanswered(r, func() error {
		for _, node := range s.nodes {
			if err := node.Pause(); err != nil {
				return err
			}
		}
		time.Sleep(outage)
		for _, node := range s.nodes {
			if err := node.Resume(); err != nil {
				return err
			}
		}
		return nil
	})
}

// cutConnections closes all connections just after the clients have sent their calls.
func cutConnections(_ *testing.T, s *fixture, r *recorder) error {
	return untilUnanswered(r, func() error {
		for range 20 {
			time.Sleep(4*callInterval + callInterval - time.Since(r.started)%callInterval + random.N(callInterval/4))
			s.link.CloseConnections()
		}
		return nil
	})
}

// dropReplies forwards calls to the store but drops its replies: twice for a moment, so that clients notice
// a lost connection before their timeout, and then for longer. A connection that lost replies ends before
// others are forwarded, so that no client takes a reply to another call for its own.
func dropReplies(_ *testing.T, s *fixture, r *recorder) error {
	unusedPort, err := process.FreePort()
	if err != nil {
		return err
	}
	return untilUnanswered(r, func() error {
		for _, duration := range []time.Duration{faultyCallTimeout / 4, faultyCallTimeout / 4, outage} {
			s.link.Mute(true)
			time.Sleep(duration)
			s.link.SetTarget(net.JoinHostPort("127.0.0.1", strconv.Itoa(unusedPort)))
			s.link.CloseConnections()
			s.link.Mute(false)
			s.link.SetTarget(s.nodes[0].Addr)
			if err := r.proceed(1); err != nil {
				return err
			}
		}
		return nil
	})
}

// slowNetwork delays calls at random, so that they overtake each other.
func slowNetwork(t *testing.T, s *fixture, r *recorder) error {
	s.link.SetTarget(slow(t, s.nodes[0].Addr, outage/40))
	s.link.CloseConnections()
	time.Sleep(outage)
	err := r.proceed(1)
	s.link.SetTarget(s.nodes[0].Addr)
	s.link.CloseConnections()
	return err
}

func killStore(t *testing.T, s *fixture, r *recorder) error {
	return r.lost(func() error {
		if err := s.nodes[0].Kill(); err != nil {
			return err
		}
		time.Sleep(outage / 2)
		if err := s.nodes[0].Restart(t.Context()); err != nil {
			return err
		}
		return s.prepare(t.Context())
	})
}

// failOver makes a replica the primary. CLUSTER FAILOVER waits until the replica has everything that the primary acknowledged.
func failOver(t *testing.T, s *fixture, _ *recorder) error {
	replica := s.nodes[len(s.nodes)-1]
	if err := storeserver.Exec(t.Context(), replica, "CLUSTER FAILOVER"); err != nil {
		return err
	}
	for range 500 {
		role, err := storeserver.Query(t.Context(), replica, "ROLE")
		if err != nil || strings.HasPrefix(role[0], "master") {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
	return errors.New("the replica has not taken over")
}
