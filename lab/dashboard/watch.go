package dashboard

import (
	"context"
	"math"
	"slices"
	"sync"
	"time"
)

const (
	sampleEvery = time.Second
	keptSamples = 60
)

// sample is what happened in one interval: in requests a second.
type sample struct {
	at       time.Time // its end
	answered map[string]float64
	failed   float64 // answered by the load balancer itself, for no server did
}

// total is what the load balancer answered, with whatever status.
func (s sample) total() float64 {
	sum := s.failed
	for _, rate := range s.answered {
		sum += rate
	}
	return sum
}

// watch keeps how many requests each server answered in each of the last intervals. It is safe for concurrent use.
type watch struct {
	fleet Fleet

	mu       sync.Mutex
	samples  []sample         // the oldest first
	last     time.Time        // of the counts below
	requests map[string]int64 // by server
	failed   int64
}

func newWatch(f Fleet) *watch {
	w := &watch{fleet: f}
	w.count(time.Now())
	return w
}

// run takes samples until ctx ends.
func (w *watch) run(ctx context.Context) {
	ticker := time.NewTicker(sampleEvery)
	defer ticker.Stop()
	for {
		select {
		case now := <-ticker.C:
			w.take(now)
		case <-ctx.Done():
			return
		}
	}
}

// take compares the fleet's counts with the last ones.
func (w *watch) take(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before, failedBefore, seconds := w.requests, w.failed, now.Sub(w.last).Seconds()
	w.count(now)
	if seconds <= 0 {
		return
	}
	s := sample{at: now, answered: map[string]float64{}, failed: float64(w.failed-failedBefore) / seconds}
	for name, n := range w.requests {
		s.answered[name] = float64(n-before[name]) / seconds
	}
	w.samples = append(w.samples, s)
	w.samples = slices.Clone(w.samples[max(0, len(w.samples)-keptSamples):])
}

func (w *watch) count(now time.Time) {
	w.last, w.requests = now, map[string]int64{}
	for _, server := range w.fleet.Servers() {
		w.requests[server.Name] = server.Requests
	}
	w.failed = failed(w.fleet)
}

// failed is how many requests no server answered.
func failed(f Fleet) int64 {
	errors := f.Errors()
	return errors.BadGateway + errors.ServiceUnavailable + errors.GatewayTimeout
}

// history returns the last samples, the oldest first.
func (w *watch) history() []sample {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.samples)
}

// tenth keeps one digit after the point.
func tenth(rate float64) float64 { return math.Round(rate*10) / 10 }
