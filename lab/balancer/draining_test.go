package balancer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"testing"
	"time"

	"stateless-servers/session/sessiontest"
)

func TestDraining(t *testing.T) {
	tests := []struct {
		name   string
		delay  time.Duration
		finish bool // whether the request in flight finishes in time
		want   int
	}{
		{"in time", time.Minute, true, http.StatusOK},
		{"cut after the delay", 100 * time.Millisecond, false, http.StatusBadGateway},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			arrived, finish := make(chan struct{}, 1), make(chan struct{})
			old := newStub(t, "old", func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/slow" {
					arrived <- struct{}{}
					<-finish
				}
				fmt.Fprint(w, "old")
			})
			b := newFixture(t, Options{DeregistrationDelay: test.delay}, old)
			inFlight := make(chan int, 1)
			go func() {
				status, _, _ := b.get(t, "/slow")
				inFlight <- status
			}()
			<-arrived
			b.add(t, newStub(t, "new", nil))

			gone := make(chan error, 1)
			go func() { gone <- b.Deregister(t.Context(), "old") }()
			sessiontest.Await(t, "draining or gone", func() bool { return b.state("old") != StateHealthy })
			if got, want := b.servedBy(t, 10), map[string]int{"new": 10}; !maps.Equal(got, want) {
				t.Errorf("while draining: got %v, want %v", got, want)
			}
			if test.finish {
				if state := b.state("old"); state != StateDraining {
					t.Errorf("%q with a request in flight, want draining", state)
				}
				close(finish)
			} else {
				defer close(finish)
			}
			if got := <-inFlight; got != test.want {
				t.Errorf("the request in flight got %d, want %d", got, test.want)
			}
			if err := <-gone; err != nil {
				t.Error(err)
			}
			if state := b.state("old"); state != "" {
				t.Errorf("still registered, %s", state)
			}
			if err := b.Deregister(t.Context(), "old"); !errors.Is(err, ErrNoTarget) {
				t.Errorf("deregistering it again: got %v, want ErrNoTarget", err)
			}
		})
	}
}

func TestOnlyDrainingTargetsGive503(t *testing.T) {
	arrived, finish := make(chan struct{}), make(chan struct{})
	last := newStub(t, "last", func(http.ResponseWriter, *http.Request) { arrived <- struct{}{}; <-finish })
	b := newFixture(t, Options{}, last)
	inFlight := make(chan int, 1)
	go func() {
		status, _, _ := b.get(t, "/")
		inFlight <- status
	}()
	<-arrived
	gone := make(chan error, 1)
	go func() { gone <- b.Deregister(t.Context(), "last") }()
	sessiontest.Await(t, "draining", func() bool { return b.state("last") == StateDraining })
	if status, _, _ := b.get(t, "/"); status != http.StatusServiceUnavailable {
		t.Errorf("got %d, want 503", status)
	}
	close(finish)
	if err := <-gone; err != nil {
		t.Error(err)
	}
	if status := <-inFlight; status != http.StatusOK {
		t.Errorf("the request in flight got %d, want 200", status)
	}
}

// Targets are replaced under load. No request may reach one that is draining or removed.
func TestNoRequestFailsWhileTargetsAreReplaced(t *testing.T) {
	b := newFixture(t, Options{}, newStub(t, "0", nil), newStub(t, "1", nil))
	ctx, cancel := context.WithCancel(t.Context())
	failures := make(chan string, 4)
	for range cap(failures) {
		go func() {
			for ctx.Err() == nil {
				if got := b.servedBy(t, 1); got["status 502"]+got["status 503"] > 0 {
					failures <- fmt.Sprint(got)
					return
				}
			}
			failures <- ""
		}()
	}
	for i := range 20 {
		b.add(t, newStub(t, fmt.Sprint(i+2), nil))
		if err := b.Deregister(t.Context(), fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	for range cap(failures) {
		if failure := <-failures; failure != "" {
			t.Error(failure)
		}
	}
}
