// Package sessiontest is the conformance suite for a session.Store. Run checks the contract of the store and every promise that it
// declares. RunServers checks a whole session library on two servers, and RunFaults and RunStoreFaults check it while calls of the
// store fail. The package also has a Client that keeps cookies. The test of a store runs the suite against the real server:
//
//	func TestStore(t *testing.T) { sessiontest.Run(t, mystore.New(…)) }
//
//	func TestServers(t *testing.T) {
//		sessiontest.RunServers(t, func(o session.Options) (*session.Manager, error) {
//			return session.New(mystore.New(…), o)
//		})
//	}
package sessiontest

import (
	"context"
	"slices"
	"testing"
	"time"

	"stateless-servers/session"
)

// A Case is one test of a store.
type Case struct {
	Name string
	// Promised reports whether a store's promises include this case. It is nil if the case applies to every store.
	Promised func(session.Promises) bool
	// Run returns an error that describes how the store fails, or nil. The store may hold other sessions.
	Run func(ctx context.Context, store session.Store) error
}

// Cases returns all cases for one store, the simplest first: first its methods, then two servers that share it.
func Cases() []Case {
	cases := slices.Concat(contractCases(), promiseCases(), renewalCases(), userCases(), rememberCases(), popCases())
	for _, c := range ServerCases() {
		cases = append(cases, Case{
			Name: c.Name,
			Promised: func(p session.Promises) bool {
				p.Shared = true // the two servers of this case share the store
				return c.Promised(p)
			},
			Run: func(ctx context.Context, store session.Store) error {
				return c.Run(ctx, func(o session.Options) (*session.Manager, error) { return session.New(store, o) })
			},
		})
	}
	return cases
}

// caseTimeout limits the time of one case. A case with thousands of calls takes a minute on a busy machine.
const caseTimeout = 3 * time.Minute

// Run runs every case that applies to the store, each as a subtest. It doesn't inject faults: see RunFaults and RunStoreFaults.
func Run(t *testing.T, store session.Store) { runCases(t, store, Cases()) }

func runCases(t *testing.T, store session.Store, cases []Case) {
	for _, c := range cases {
		if c.Promised != nil && !c.Promised(store.Promises()) {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), caseTimeout)
			defer cancel()
			if err := c.Run(ctx, store); err != nil {
				t.Error(err)
			}
		})
	}
}

func remove(key string) session.Change { return session.Change{Op: session.OpRemove, Key: key} }
