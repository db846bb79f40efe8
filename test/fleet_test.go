package test

import (
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"stateless-servers/session/sessiontest"
	"stateless-servers/session/sessiontest/must"
)

// quickHealth makes the load balancer notice a dead server within two seconds.
var quickHealth = []string{"--health-interval", "1s", "--health-threshold", "2"}

// Every shared store keeps the same promises. The checks run on the same fleet, and two of them kill a server.
func TestSharedStores(t *testing.T) {
	for _, store := range []string{"valkey", "dynamodb", "memcached", "postgres"} {
		t.Run(store, func(t *testing.T) {
			if store != "valkey" {
				sessiontest.Long(t)
			}
			l := labUp(t, 3, append(quickHealth, "--store", store)...)
			logoutIsFinal(t, l)
			l.await("all servers healthy", func(fleet []server) bool {
				return !slices.ContainsFunc(fleet, func(s server) bool { return s.State != "healthy" })
			})
			killServer(t, l)
			visitsAreParallel(t, l)
		})
	}
}

// killServer checks that any server handles any client, and that killing server-2 loses no acknowledged visit.
func killServer(t *testing.T, l *runningLab) {
	v := l.client()

	served, acknowledged := map[string]int{}, 0
	for range 60 {
		a := v.post("/api/visits")
		served[a.Server]++
		if a.status == http.StatusOK {
			acknowledged++
		} else if a.status != http.StatusServiceUnavailable { // a busy machine's store may take too long
			t.Errorf("a visit got %d", a.status)
		}
	}
	for name, n := range served {
		if n != 20 || len(served) != 3 {
			t.Errorf("%s served %d of 60 visits: %v", name, n, served)
		}
	}
	got := v.get("/api/session")
	if got.Visits < acknowledged || got.Visits > 60 || acknowledged < 50 {
		t.Fatalf("%d of 60 visits were acknowledged, the counter says %d", acknowledged, got.Visits)
	}

	acknowledged = got.Visits
	failed := map[int]int{}
	maybe := 0 // a 503 of a busy machine's store: stored or not
	for i := range 60 {
		if i == 10 {
			l.act("/_lab/servers/server-2/kill")
		}
		if a := v.post("/api/visits"); a.status == http.StatusOK {
			acknowledged++
		} else {
			failed[a.status]++
		}
	}
	maybe += failed[http.StatusServiceUnavailable]
	if delete(failed, http.StatusServiceUnavailable); failed[http.StatusBadGateway] == 0 || len(failed) != 1 {
		t.Errorf("until the health check notices, some answers are 502: got %v", failed)
	}
	l.outOfService("server-2")
	for range 30 {
		switch a := v.post("/api/visits"); a.status {
		case http.StatusOK:
			acknowledged++
		case http.StatusServiceUnavailable:
			maybe++
		default:
			t.Errorf("after the health check noticed: %d", a.status)
		}
	}
	if got := v.get("/api/session"); got.Visits < acknowledged || got.Visits > acknowledged+maybe {
		t.Errorf("the counter is %d, want from %d to %d", got.Visits, acknowledged, acknowledged+maybe)
	}
	if maybe > 10 {
		t.Errorf("%d of 90 visits got a 503, want at most 10", maybe)
	}
}

// Sessions in the servers' memory need sticky sessions, and end with their server.
func TestMemory(t *testing.T) {
	t.Run("without sticky sessions the count breaks", func(t *testing.T) {
		v := labUp(t, 3, "--store", "memory").client()
		for range 60 {
			v.post("/api/visits")
		}
		if got := v.get("/api/session"); got.Visits >= 60 {
			t.Errorf("the counter says %d", got.Visits)
		}
	})
	t.Run("with sticky sessions it holds until that server is killed", func(t *testing.T) {
		l := labUp(t, 3, append(quickHealth, "--store", "memory", "--sticky")...)
		v := l.client()
		served := map[string]int{}
		for i := range 60 {
			a := v.post("/api/visits")
			served[a.Server]++
			if a.Visits != i+1 {
				t.Fatalf("visit %d says %d", i+1, a.Visits)
			}
		}
		if len(served) != 1 {
			t.Fatalf("a sticky client was served by %v", served)
		}
		for name := range served {
			l.act("/_lab/servers/" + name + "/kill")
			l.outOfService(name)
		}
		if got := v.get("/api/session"); got.status != http.StatusOK || got.Visits != 0 {
			t.Errorf("after the server's death: %+v, want an empty session", got)
		}
	})
}

// visitsAreParallel checks that of 1000 visits of one session, 16 at a time over all servers, all count; and when server-3 is
// killed in between, every visit that was acknowledged does.
func visitsAreParallel(t *testing.T, l *runningLab) {
	v := l.client()
	// A visit without a response, for example because the store of a busy machine was too slow, may have been counted or not.
	first := int(v.visitInParallel(1000, func(int64) {}))
	visits := v.get("/api/session").Visits
	if visits < first || visits > 1000 || first < 900 {
		t.Errorf("%d of 1000 visits were acknowledged, the counter says %d", first, visits)
	}

	const more = 1000
	acknowledged := int(v.visitInParallel(more, func(n int64) {
		if n == more/2 {
			l.act("/_lab/servers/server-3/kill")
		}
	}))
	if acknowledged == 0 || acknowledged == more {
		t.Errorf("%d of %d visits were acknowledged though a server was killed", acknowledged, more)
	}
	got := v.get("/api/session")
	for range 10 {
		if got.status == http.StatusOK {
			break
		}
		got = v.get("/api/session") // the dead server's turn
	}
	if got.Visits < visits+acknowledged || got.Visits > visits+more {
		t.Errorf("of %d more visits %d were acknowledged, the counter went from %d to %d", more, acknowledged, visits, got.Visits)
	}
}

// visitInParallel posts n visits of one session, 16 at a time, and returns how many were acknowledged.
func (v *client) visitInParallel(n int64, before func(i int64)) int64 {
	var next, acknowledged atomic.Int64
	if v.get("/api/session").Visits == 0 { // the session starts
		if a := v.post("/api/visits"); a.status != http.StatusOK {
			v.lab.t.Fatalf("the first visit: %d", a.status)
		}
		next.Add(1)
		acknowledged.Add(1)
	}
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			for i := next.Add(1); i <= n; i = next.Add(1) {
				before(i)
				if a := v.post("/api/visits"); a.status == http.StatusOK {
					acknowledged.Add(1)
				}
			}
		})
	}
	group.Wait()
	return acknowledged.Load()
}

// logoutIsFinal checks that a request in flight on one server doesn't recreate a session that another server has ended.
func logoutIsFinal(t *testing.T, l *runningLab) {
	v := l.client()
	if a := v.post("/login", "user=ada"); a.status != http.StatusOK || !a.Authenticated {
		t.Fatalf("login: %+v", a)
	}
	before := map[string][]string{}
	for _, name := range []string{"server-1", "server-2", "server-3"} {
		before[name] = l.loads(name)
	}
	inFlight := v.sharingCookies()
	answered := make(chan apiResponse, 1)
	go func() { answered <- inFlight.post("/api/visits?delay=2s") }()
	var holds server
	l.await("a server that has read the session", func(fleet []server) bool {
		i := slices.IndexFunc(fleet, func(s server) bool { return !slices.Equal(l.loads(s.Name), before[s.Name]) })
		if i >= 0 {
			holds = fleet[i]
		}
		return i >= 0
	})
	// The server is paused, so that the logout comes first on any machine.
	must.Succeed(t, syscall.Kill(holds.PID, syscall.SIGSTOP))
	out := v.post("/logout")
	must.Succeed(t, syscall.Kill(holds.PID, syscall.SIGCONT))
	late := <-answered
	if late.status != http.StatusConflict || out.Server == late.Server {
		t.Errorf("the response to the visit in flight is %+v, to the logout %+v; want a 409 from the other server", late, out)
	}
	for range 4 {
		if a := inFlight.get("/api/session"); a.Authenticated || a.Visits != 0 {
			t.Errorf("after logout: %+v", a)
		}
	}
}

// Stopping a server fails no request, and an added one gets its share of the requests.
func TestStopAndAdd(t *testing.T) {
	l := labUp(t, 2)
	v := l.client()
	stop := make(chan struct{})
	var group sync.WaitGroup
	end := sync.OnceFunc(func() { close(stop); group.Wait() })
	defer end()
	var failed atomic.Int64
	for range 4 {
		group.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					if a := v.post("/api/visits?delay=20ms"); a.status != http.StatusOK {
						failed.Add(1)
					}
				}
			}
		})
	}
	l.act("/_lab/servers")
	l.await("three healthy servers", func(fleet []server) bool {
		healthy := 0
		for _, s := range fleet {
			if s.State == "healthy" && s.Requests > 0 {
				healthy++
			}
		}
		return healthy == 3
	})
	l.act("/_lab/servers/server-1/stop")
	l.await("server-1 gone", func(fleet []server) bool {
		for _, s := range fleet {
			if s.Name == "server-1" && s.State != "stopped" {
				return false
			}
		}
		return true
	})
	end()
	if failed.Load() != 0 {
		t.Errorf("%d requests failed", failed.Load())
	}
}
