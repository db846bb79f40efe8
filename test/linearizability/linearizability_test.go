// Package linearizability checks the stores for linearizability. Clients of several servers change a few sessions concurrently
// while the store and the network fail. Then porcupine searches a sequential order of all calls that explains every
// reply. If there is none, an update was lost, a session was alive after logout, or a read was stale. Start reading at
// TestSharedStores; model_test.go has the sequential specification.
//
// The servers here are separate processes that share only the store, like web servers, but
// without HTTP: an HTTP request makes two store calls or none, and its response to a failed call is not the store's reply.
// Other tests check HTTP requests against the same promises.
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
	"stateless-servers/session/sessiontest/must"
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
	// callTimeout bounds each call while there are no faults. It is far more than a call needs.
	callTimeout = 20 * time.Second
	// callsBeforeAndAfter is the number of replies that each client gets before a fault, and again after it.
	callsBeforeAndAfter = 25
)

// A fixture is a store with the servers that use it.
type fixture struct {
	kind    kind
	nodes   []*storeserver.Server
	link    *storeserver.Forwarder // between servers and store; nil for a cluster, whose nodes announce their own addresses
	servers []*serverProcess
}

// newFixture starts a store and three servers. The breakage of that name, if any, is applied to the store in the servers.
func newFixture(t *testing.T, k kind, breakage string) *fixture {
	t.Helper()
	s := &fixture{kind: k, nodes: k.nodes(t)}
	noError(t, s.prepare(t.Context()))
	endpoint := s.nodes[0].Endpoint
	if len(s.nodes) == 1 {
		s.link = storeserver.Forward(t, s.nodes[0].Addr)
		endpoint = strings.Replace(endpoint, s.nodes[0].Addr, s.link.Addr, 1)
	}
	for range 3 {
		s.servers = append(s.servers, startServer(t, spec{Store: k.name, Endpoint: endpoint, Broken: breakage}))
	}
	return s
}

func (s *fixture) prepare(ctx context.Context) error {
	if s.kind.prepare == nil {
		return nil
	}
	return s.kind.prepare(ctx, s.nodes[0].Endpoint)
}

// recordWithoutFaults starts clients whose calls have callTimeout.
func (s *fixture) recordWithoutFaults() *recorder { return record(s.all(), callTimeout, clients) }

// recordWithFaults starts clients whose calls have faultyCallTimeout.
func (s *fixture) recordWithFaults() *recorder {
	return record(s.all(), faultyCallTimeout, maxConcurrentCalls)
}

func (s *fixture) all() []server {
	servers := make([]server, len(s.servers))
	for i, serverProcess := range s.servers {
		servers[i] = serverProcess
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
			s := newFixture(t, kind, "")
			t.Run("no faults", func(t *testing.T) { keepsPromises(t, s.recordWithoutFaults(), noFault) })
			for _, fault := range faults(s) {
				t.Run(fault.name, func(t *testing.T) {
					keepsPromises(t, s.recordWithFaults(), func(r *recorder) error { return fault.inject(t, s, r) })
				})
			}
		})
	}
}

func TestMemory(t *testing.T) {
	keepsPromises(t, record([]server{Service{memory.New()}}, callTimeout, clients), noFault)
}

// The check must find the errors of these stores.
func TestBrokenStoresAreFound(t *testing.T) {
	valkey, err := kindNamed("valkey")
	noError(t, err)
	for _, name := range []string{writesBack, recreates, readsStale, popsTwice} {
		t.Run(name+", in one process", func(t *testing.T) {
			breaksPromises(t, record([]server{Service{breakages()[name](memory.New())}}, callTimeout, clients), noFault)
		})
		t.Run(name+", in several processes", func(t *testing.T) {
			breaksPromises(t, newFixture(t, valkey, name).recordWithoutFaults(), noFault)
		})
	}
	t.Run(repeats, func(t *testing.T) {
		s := newFixture(t, valkey, repeats)
		breaksPromises(t, s.recordWithFaults(), func(r *recorder) error { return dropReplies(t, s, r) })
	})
}

// keepsPromises fails the test unless the history that the recorder records around a fault is linearizable.
func keepsPromises(t *testing.T, r *recorder, inject func(*recorder) error) {
	history := recordHistory(t, r, inject)
	begin := time.Now()
	if err := check(history); err != nil {
		t.Error(err)
	}
	t.Logf("%d calls on %d sessions, of which %d got no reply, checked in %v", len(history), len(r.used), r.unanswered,
		time.Since(begin).Round(time.Millisecond))
}

// breaksPromises fails the test unless the check finds a violation in the history that the recorder records around a fault.
func breaksPromises(t *testing.T, r *recorder, inject func(*recorder) error) {
	var found *violation
	if !errors.As(check(recordHistory(t, r, inject)), &found) {
		t.Fatal("the check found no violation, want one")
	}
	os.Remove(found.visualization)
	t.Log(found.text)
}

// recordHistory returns the history of clients that make calls before, during and after a fault.
func recordHistory(t *testing.T, r *recorder, inject func(*recorder) error) []porcupine.Operation {
	t.Helper()
	err := r.proceed(callsBeforeAndAfter)
	if err == nil {
		err = inject(r)
	}
	if err == nil {
		err = r.proceed(callsBeforeAndAfter)
	}
	history, stopErr := r.stop()
	noError(t, errors.Join(err, stopErr))
	return history
}

// noFault injects no fault. Every call must get a reply.
func noFault(r *recorder) error {
	err := r.proceed(callsBeforeAndAfter)
	if unanswered, last := r.failures(); err == nil && unanswered > 0 {
		err = fmt.Errorf("%d calls got no reply without a fault; the last: %s", unanswered, last)
	}
	return err
}

func noError(t *testing.T, err error) {
	t.Helper()
	must.Succeed(t, err)
}
