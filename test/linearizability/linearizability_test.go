// Package linearizability checks sessions by machine: clients of several servers change a few sessions at once, while the
// store and the network fail, and porcupine looks for an order of all calls, one after the other, in which the answers
// would have been the same. Where there is none, an update was lost, a session came back, or somebody read what was
// no longer true.
//
// What calls the stores here are processes of their own that share nothing but the store, as web servers do, without
// the web: a request may cost two calls or none, and what it answers when a call fails is not what the store said.
// Requests are checked elsewhere, against the same promises.
package linearizability

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"stateless-servers/session/memory"
	"stateless-servers/session/sessiontest"
	"stateless-servers/session/sessiontest/storeserver"
)

func TestMain(m *testing.M) {
	if text := os.Getenv(specVariable); text != "" {
		if err := serve(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

const (
	// undisturbed is what each call has while there are no faults: far more than it needs.
	undisturbed = 20 * time.Second
	// callsAround is how many answers each client gets before a fault and again after it.
	callsAround = 25
)

// A stage is a store and the servers that keep sessions in it.
type stage struct {
	kind    kind
	nodes   []*storeserver.Server
	link    *storeserver.Forwarder // between servers and store; nil where a store's nodes tell their own addresses
	servers []*child
}

// set sets a stage with three servers on a store, which the breakage of that name spoils.
func set(t *testing.T, k kind, breakage string) *stage {
	t.Helper()
	s := &stage{kind: k, nodes: k.nodes(t)}
	must(t, s.prepare(t.Context()))
	endpoint := s.nodes[0].Endpoint
	if len(s.nodes) == 1 {
		s.link = storeserver.Forward(t, s.nodes[0].Addr)
		endpoint = strings.Replace(endpoint, s.nodes[0].Addr, s.link.Addr, 1)
	}
	for range 3 {
		s.servers = append(s.servers, startChild(t, spec{Store: k.name, Endpoint: endpoint, Broken: breakage}))
	}
	return s
}

func (s *stage) prepare(ctx context.Context) error {
	if s.kind.prepare == nil {
		return nil
	}
	return s.kind.prepare(ctx, s.nodes[0].Endpoint)
}

// calm starts clients that have all the time, and hurried some that don't.
func (s *stage) calm() *recorder    { return record(s.all(), undisturbed, clients) }
func (s *stage) hurried() *recorder { return record(s.all(), patience, atATime) }

func (s *stage) all() []server {
	servers := make([]server, len(s.servers))
	for i, child := range s.servers {
		servers[i] = child
	}
	return servers
}

func TestSharedStores(t *testing.T) {
	for _, kind := range kinds() {
		t.Run(kind.name, func(t *testing.T) {
			if kind.name != "valkey" && kind.name != "memcached" {
				sessiontest.Long(t)
			}
			t.Parallel()
			s := set(t, kind, "")
			t.Run("no faults", func(t *testing.T) { keepsPromises(t, s.calm(), nothing) })
			for _, fault := range faults(s) {
				t.Run(fault.name, func(t *testing.T) {
					keepsPromises(t, s.hurried(), func(r *recorder) error { return fault.strike(t, s, r) })
				})
			}
		})
	}
}

func TestMemory(t *testing.T) {
	keepsPromises(t, record([]server{Service{memory.New()}}, undisturbed, clients), nothing)
}

// A check that finds nothing wrong with these stores is worth nothing.
func TestBrokenStoresAreFound(t *testing.T) {
	valkey, err := kindOf("valkey")
	must(t, err)
	for _, name := range []string{writesBack, recreates, readsStale} {
		t.Run(name+", in one process", func(t *testing.T) {
			breaksPromises(t, record([]server{Service{breakages()[name](memory.New())}}, undisturbed, clients), nothing)
		})
		t.Run(name+", in several", func(t *testing.T) {
			breaksPromises(t, set(t, valkey, name).calm(), nothing)
		})
	}
	t.Run(repeats, func(t *testing.T) {
		s := set(t, valkey, repeats)
		breaksPromises(t, s.hurried(), func(r *recorder) error { return loseAnswers(t, s, r) })
	})
}

func keepsPromises(t *testing.T, r *recorder, strike func(*recorder) error) {
	history := played(t, r, strike)
	begin := time.Now()
	if err := check(history); err != nil {
		t.Error(err)
	}
	t.Logf("%d calls on %d sessions, of which %d got no answer, checked in %v", len(history), len(r.used), r.unanswered,
		time.Since(begin).Round(time.Millisecond))
}

func breaksPromises(t *testing.T, r *recorder, strike func(*recorder) error) {
	var found *violation
	if !errors.As(check(played(t, r, strike)), &found) {
		t.Fatal("nothing was found")
	}
	os.Remove(found.picture)
	t.Log(found.words)
}

// played returns the history of clients that call before a fault, while it strikes, and after it.
func played(t *testing.T, r *recorder, strike func(*recorder) error) []porcupine.Operation {
	t.Helper()
	err := r.proceed(callsAround)
	if err == nil {
		err = strike(r)
	}
	if err == nil {
		err = r.proceed(callsAround)
	}
	history, stopErr := r.stop()
	must(t, errors.Join(err, stopErr))
	return history
}

// nothing goes wrong, and so every call gets its answer.
func nothing(r *recorder) error {
	err := r.proceed(callsAround)
	if unanswered, last := r.failures(); err == nil && unanswered > 0 {
		err = fmt.Errorf("%d calls got no answer, though nothing was wrong; the last: %s", unanswered, last)
	}
	return err
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
