package balancer

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"stateless-servers/session/sessiontest"
)

func TestRoundRobin(t *testing.T) {
	b := newFixture(t, Options{}, newStub(t, "a", nil), newStub(t, "b", nil), newStub(t, "c", nil))
	if got, want := b.servedBy(t, 30), map[string]int{"a": 10, "b": 10, "c": 10}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for _, target := range b.Targets() {
		if target.Requests != 10 || target.State != StateHealthy {
			t.Errorf("%+v, want 10 requests and healthy", target)
		}
	}
}

func TestStateFollowsHealthChecks(t *testing.T) {
	tests := []struct {
		name   string
		checks string // + or -, in the order made
		want   string // the state after each: i, h or u
	}{
		{"one success is enough for a new target", "+", "h"},
		{"failures before any success", "---", "iuu"},
		{"single failures don't count", "+-+-", "hhhh"},
		{"two in a row", "+--", "hhu"},
		{"three successes make it healthy again", "--+++", "iuuuh"},
		{"a failure restarts the count", "--++-+++", "iuuuuuuh"},
	}
	b := New(Options{HealthyThreshold: 3, UnhealthyThreshold: 2})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			state, succeeded, failed, got := StateInitial, 0, 0, ""
			for _, check := range test.checks {
				if check == '+' {
					succeeded, failed = succeeded+1, 0
				} else {
					succeeded, failed = 0, failed+1
				}
				state = b.nextState(state, succeeded, failed)
				got += string(state[0])
			}
			if got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestUnhealthyTargetGetsNoRequestsUntilItRecovers(t *testing.T) {
	well, sick := newStub(t, "well", nil), newStub(t, "sick", nil)
	b := newFixture(t, Options{}, well, sick)
	sick.unhealthy.Store(true)
	sessiontest.Await(t, "unhealthy", func() bool { return b.state("sick") == StateUnhealthy })
	if got, want := b.servedBy(t, 10), map[string]int{"well": 10}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	sick.unhealthy.Store(false)
	sessiontest.Await(t, "healthy", func() bool { return b.state("sick") == StateHealthy })
	if got, want := b.servedBy(t, 10), map[string]int{"well": 5, "sick": 5}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for name, want := range map[string][]Transition{
		"well": {{"well", StateInitial, StateHealthy, ""}},
		"sick": {
			{"sick", StateInitial, StateHealthy, ""}, {"sick", StateHealthy, StateUnhealthy, "GET /healthz answered 500"},
			{"sick", StateUnhealthy, StateHealthy, ""},
		},
	} {
		sessiontest.Await(t, "every transition is reported", func() bool { return len(b.transitionsOf(name)) >= len(want) })
		if got := b.transitionsOf(name); !slices.Equal(got, want) {
			t.Errorf("transitions: got %v, want %v", got, want)
		}
	}
}

func TestInitialTargetGetsNoRequests(t *testing.T) {
	well, late := newStub(t, "well", nil), newStub(t, "late", nil)
	late.unhealthy.Store(true)
	b := newFixture(t, Options{HealthInterval: time.Hour}, well)
	if err := b.Register(late.name, late.address()); err != nil {
		t.Fatal(err)
	}
	if got, want := b.servedBy(t, 10), map[string]int{"well": 10}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if state := b.state("late"); state != StateInitial {
		t.Errorf("%s after one failed check, want initial", state)
	}
}

func TestHungHealthCheckFails(t *testing.T) {
	hung := newStub(t, "hung", nil)
	b := newFixture(t, Options{HealthInterval: 10 * time.Millisecond, HealthTimeout: 200 * time.Millisecond}, hung)
	hung.hung.Store(true)
	sessiontest.Await(t, "the target is reported as unhealthy because of the timeout", func() bool {
		return slices.ContainsFunc(b.transitionsOf("hung"), func(c Transition) bool {
			return c.To == StateUnhealthy && c.Reason == "no response in time"
		})
	})
}

func TestKilledTargetIs502UntilChecksNotice(t *testing.T) {
	tests := []struct {
		name     string
		interval time.Duration
		want     map[string]int
	}{
		{"before", time.Hour, map[string]int{"alive": 5, "status 502": 5}},
		{"after", 10 * time.Millisecond, map[string]int{"alive": 10}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			alive, dead := newStub(t, "alive", nil), newStub(t, "dead", nil)
			b := newFixture(t, Options{HealthInterval: test.interval}, alive, dead)
			dead.CloseClientConnections()
			dead.Listener.Close()
			if test.name == "after" {
				sessiontest.Await(t, "unhealthy", func() bool { return b.state("dead") == StateUnhealthy })
			}
			before := b.Errors()
			if got := b.servedBy(t, 10); !maps.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
			after := b.Errors()
			if got, want := after.BadGateway-before.BadGateway, int64(test.want["status 502"]); got != want {
				t.Errorf("%d counted as 502, want %d", got, want)
			}
			for _, target := range b.Targets() {
				if target.Name == "dead" && target.Requests != 0 {
					t.Errorf("%d requests counted as served by a dead target", target.Requests)
				}
			}
		})
	}
}

func TestNoTarget(t *testing.T) {
	b := newFixture(t, Options{})
	status, body, response := b.get(t, "/")
	if status != http.StatusServiceUnavailable || !strings.Contains(body, "Nothing was changed.") || !strings.Contains(body, `href="/_lab"`) {
		t.Errorf("got %d %s, want 503, and a link to the fleet", status, body)
	}
	if got := response.Header.Get("Content-Type"); got != "text/html; charset=utf-8" {
		t.Errorf("Content-Type %q", got)
	}
	if got, want := b.Errors(), (Errors{ServiceUnavailable: 1}); got != want {
		t.Errorf("counted %+v, want %+v", got, want)
	}
}

func TestAllUnhealthyFailsOpen(t *testing.T) {
	stubs := []*stub{newStub(t, "a", nil), newStub(t, "b", nil)}
	b := newFixture(t, Options{}, stubs...)
	for _, s := range stubs {
		s.unhealthy.Store(true)
		sessiontest.Await(t, "unhealthy", func() bool { return b.state(s.name) == StateUnhealthy })
	}
	if got, want := b.servedBy(t, 10), map[string]int{"a": 5, "b": 5}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestAwait(t *testing.T) {
	s := newStub(t, "a", nil)
	b := newFixture(t, Options{}, s)
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := b.Await(short, "a", StateUnhealthy); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("awaiting unhealthy for a healthy target: got %v, want the deadline", err)
	}
	s.unhealthy.Store(true)
	if err := b.Await(t.Context(), "a", StateUnhealthy); err != nil {
		t.Error(err)
	}
	awaited := make(chan error, 1)
	go func() { awaited <- b.Await(t.Context(), "a", StateHealthy) }()
	if err := b.Deregister(t.Context(), "a"); err != nil {
		t.Error(err)
	}
	if err := <-awaited; !errors.Is(err, ErrNoTarget) {
		t.Errorf("awaiting a deregistered target: got %v, want ErrNoTarget", err)
	}
}

func TestNamesAreUnique(t *testing.T) {
	s := newStub(t, "a", nil)
	b := newFixture(t, Options{}, s)
	if err := b.Register("a", s.address()); err == nil {
		t.Error("the same name was registered twice, want an error")
	}
}
