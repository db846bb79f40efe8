package dashboard

import (
	"context"
	"maps"
	"math"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

const (
	sampleInterval = time.Second
	maxSamples     = 60 // of each range
	maxLatency     = time.Hour
)

// ranges returns the time ranges that the page can show, in minutes. A minute is also the length of a sample, in seconds.
func ranges() []int { return []int{1, 5, 15} }

// counts are the responses of a server.
type counts struct{ requests, failed int64 }

// A sample has the responses of an interval. It doesn't change after its interval has ended.
type sample struct {
	at       time.Time         // end of the interval
	length   time.Duration     // 0 until the interval has ended
	servers  map[string]counts // by server; "" is the load balancer itself
	latency  *hdrhistogram.Histogram
	P50, P99 float64 // of latency, in ms
}

func newSample() sample {
	return sample{servers: map[string]counts{}, latency: hdrhistogram.New(1, maxLatency.Microseconds(), 2)}
}

// merge returns a sample of all the intervals.
func merge(samples ...sample) sample {
	all := newSample()
	for _, s := range samples {
		all.at, all.length = s.at, all.length+s.length
		for name, c := range s.servers {
			sum := all.servers[name]
			all.servers[name] = counts{sum.requests + c.requests, sum.failed + c.failed}
		}
		all.latency.Merge(s.latency)
	}
	percentile := func(n float64) float64 { return float64(all.latency.ValueAtQuantile(n)) / 1000 }
	all.P50, all.P99 = percentile(50), percentile(99)
	return all
}

// failed returns the number of failed requests, at the servers and at the load balancer itself.
func (s sample) failed() (servers, balancer int64) {
	for name, c := range s.servers {
		if name != "" {
			servers += c.failed
		}
	}
	return servers, s.servers[""].failed
}

// requests returns the number of all requests, including those that failed.
func (s sample) requests() (n int64) {
	for _, c := range s.servers {
		n += c.requests
	}
	return n
}

// rate returns n per second.
func (s sample) rate(n int64) float64 {
	if s.length == 0 {
		return 0
	}
	return float64(n) / s.length.Seconds()
}

// A sampler counts the responses of the fleet and keeps samples of them for each range. It is safe for concurrent use.
type sampler struct {
	fleet Fleet

	mu      sync.Mutex
	open    sample           // since began
	began   time.Time        // when the previous sample ended
	samples map[int][]sample // by range in minutes; oldest first
	failed  map[string]int64 // since the start, by server; "" is the load balancer itself, until began
}

func newSampler(f Fleet) *sampler {
	return &sampler{fleet: f, open: newSample(), began: time.Now(), samples: map[int][]sample{}, failed: map[string]int64{"": failed(f)}}
}

// failed returns the number of error responses of the load balancer itself.
func failed(f Fleet) int64 {
	errors := f.Errors()
	return errors.BadGateway + errors.ServiceUnavailable + errors.GatewayTimeout
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

// observe counts a response. Server is empty if it is the load balancer's own; the load balancer counts these.
func (w *sampler) observe(server string, status int, latency time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	_ = w.open.latency.RecordValue(min(latency, maxLatency).Microseconds()) // fails only above maxLatency
	if server == "" {
		return
	}
	c := w.open.servers[server]
	c.requests++
	if status >= http.StatusInternalServerError {
		c.failed++
		w.failed[server]++
	}
	w.open.servers[server] = c
}

// sample ends the open sample and adds it to each range, to its last sample unless that is long enough.
func (w *sampler) sample(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	done := w.open
	done.at, done.length = now, now.Sub(w.began)
	own := failed(w.fleet)
	if n := own - w.failed[""]; n > 0 {
		done.servers[""] = counts{n, n}
	}
	w.failed[""] = own
	w.open, w.began = newSample(), now
	if done.length <= 0 {
		return
	}
	for _, minutes := range ranges() {
		list := slices.Clone(w.samples[minutes])
		last := len(list) - 1
		if last < 0 || list[last].length > time.Duration(minutes)*sampleInterval-sampleInterval/2 {
			list = append(list, merge(done))
		} else {
			list[last] = merge(list[last], done)
		}
		w.samples[minutes] = list[max(0, len(list)-maxSamples):]
	}
}

// history returns the samples of the range, oldest first, and the numbers of failed requests since the start, by server.
func (w *sampler) history(minutes int) ([]sample, map[string]int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.samples[minutes], maps.Clone(w.failed)
}

// roundToTenth rounds to one decimal.
func roundToTenth(rate float64) float64 { return math.Round(rate*10) / 10 }

// Observe returns a handler that serves next and counts its responses, with the time until they begin. Next must name the server
// in the header X-Served-By.
func (p *Page) Observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(&observer{w, p.sampler, time.Now()}, r)
	})
}

// An observer counts the response that is written to it.
type observer struct {
	http.ResponseWriter
	sampler *sampler
	began   time.Time
}

func (o *observer) WriteHeader(status int) {
	if status >= http.StatusOK {
		o.sampler.observe(o.Header().Get("X-Served-By"), status, time.Since(o.began))
	}
	o.ResponseWriter.WriteHeader(status)
}

// Unwrap makes the methods of the underlying writer available to http.ResponseController.
func (o *observer) Unwrap() http.ResponseWriter { return o.ResponseWriter }
