package dashboard

import (
	"context"
	"math"
	"slices"
	"sync"
	"time"
)

const (
	sampleInterval = time.Second
	maxSamples     = 60
)

// A sample has the rates of one interval, in requests per second.
type sample struct {
	at       time.Time          // end of the interval
	requests map[string]float64 // by server
	failed   float64            // error responses of the load balancer itself
}

// total returns the rate of all requests.
func (s sample) total() float64 {
	sum := s.failed
	for _, rate := range s.requests {
		sum += rate
	}
	return sum
}

// A sampler keeps a sample for each of the last intervals. It is safe for concurrent use.
type sampler struct {
	fleet Fleet

	mu       sync.Mutex
	samples  []sample         // oldest first
	last     time.Time        // time of the counts below
	requests map[string]int64 // by server
	failed   int64
}

func newSampler(f Fleet) *sampler {
	w := &sampler{fleet: f}
	w.count(time.Now())
	return w
}

// run takes samples until ctx ends.
func (w *sampler) run(ctx context.Context) {
	ticker := time.NewTicker(sampleInterval)
	defer ticker.Stop()
	for {
		select {
		case now := <-ticker.C:
			w.sample(now)
		case <-ctx.Done():
			return
		}
	}
}

// sample adds a sample: the difference between the fleet's counts and the previous ones.
func (w *sampler) sample(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before, failedBefore, seconds := w.requests, w.failed, now.Sub(w.last).Seconds()
	w.count(now)
	if seconds <= 0 {
		return
	}
	s := sample{at: now, requests: map[string]float64{}, failed: float64(w.failed-failedBefore) / seconds}
	for name, n := range w.requests {
		s.requests[name] = float64(n-before[name]) / seconds
	}
	w.samples = append(w.samples, s)
	w.samples = slices.Clone(w.samples[max(0, len(w.samples)-maxSamples):])
}

func (w *sampler) count(now time.Time) {
	w.last, w.requests = now, map[string]int64{}
	for _, server := range w.fleet.Servers() {
		w.requests[server.Name] = server.Requests
	}
	w.failed = failed(w.fleet)
}

// failed returns the number of error responses of the load balancer itself.
func failed(f Fleet) int64 {
	errors := f.Errors()
	return errors.BadGateway + errors.ServiceUnavailable + errors.GatewayTimeout
}

// history returns the samples, oldest first.
func (w *sampler) history() []sample {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.samples)
}

// roundToTenth rounds to one decimal.
func roundToTenth(rate float64) float64 { return math.Round(rate*10) / 10 }
