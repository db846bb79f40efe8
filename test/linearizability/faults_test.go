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

// A fault is what goes wrong while clients go on.
type fault struct {
	name string
	// strike does the harm and mends it. It fails when it could do none.
	strike func(t *testing.T, s *stage, r *recorder) error
}

const (
	// patience is what each call has while there are faults. It is well below the time that a fault lasts.
	patience = 400 * time.Millisecond
	// outage is how long a store is out of reach.
	outage = 900 * time.Millisecond
)

// faults returns what can go wrong on a stage.
func faults(s *stage) []fault {
	list := []fault{
		{"a server is killed", killServer},
		{"the store pauses", pauseStore},
	}
	if s.link == nil {
		return append(list, fault{"a replica takes over", failOver})
	}
	return append(list,
		fault{"connections are cut", cutConnections},
		fault{"answers are lost", loseAnswers},
		fault{"the network is slow", slowNetwork},
		fault{"the store is killed", killStore},
	)
}

// unanswered does harm until some calls got no answer.
func unanswered(r *recorder, harm func() error) error {
	before, _ := r.failures()
	for range 10 {
		if err := harm(); err != nil {
			return err
		}
		if now, _ := r.failures(); now > before {
			return nil
		}
	}
	return errors.New("every call was answered: the fault did nothing")
}

func killServer(_ *testing.T, s *stage, r *recorder) error {
	return unanswered(r, func() error {
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

func pauseStore(_ *testing.T, s *stage, r *recorder) error {
	return unanswered(r, func() error {
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

// cutConnections waits for the moments when the clients have just called.
func cutConnections(_ *testing.T, s *stage, r *recorder) error {
	return unanswered(r, func() error {
		for range 20 {
			time.Sleep(4*beat + beat - time.Since(r.started)%beat + random.N(beat/4))
			s.link.CloseConnections()
		}
		return nil
	})
}

// loseAnswers lets calls through to the store, and none of its answers back: twice for a moment, so that clients hear of
// a lost connection while they still have time, and then for longer than that. A connection that lost answers ends before
// others get through: what a client takes for the answer to its call must not be that to another.
func loseAnswers(_ *testing.T, s *stage, r *recorder) error {
	nobody, err := process.FreePort()
	if err != nil {
		return err
	}
	return unanswered(r, func() error {
		for _, lasting := range []time.Duration{patience / 4, patience / 4, outage} {
			s.link.Mute(true)
			time.Sleep(lasting)
			s.link.SetTarget(net.JoinHostPort("127.0.0.1", strconv.Itoa(nobody)))
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

// slowNetwork has calls overtake each other on their way.
func slowNetwork(t *testing.T, s *stage, r *recorder) error {
	s.link.SetTarget(slow(t, s.nodes[0].Addr, outage/40))
	s.link.CloseConnections()
	time.Sleep(outage)
	err := r.proceed(1)
	s.link.SetTarget(s.nodes[0].Addr)
	s.link.CloseConnections()
	return err
}

func killStore(t *testing.T, s *stage, r *recorder) error {
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

// failOver has a replica take its primary's place. It does so when it knows all that the primary has acknowledged.
func failOver(t *testing.T, s *stage, _ *recorder) error {
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
