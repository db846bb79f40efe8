// Package load sends the requests of many visitors to the sample application at a rate that doesn't depend on how fast it
// answers, measures how long every answer takes from the moment at which its request was due, and has package check judge
// what each visitor sees.
package load

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"stateless-servers/lab/check"
)

// Options of a Run. All are required but Warmup and what says otherwise.
type Options struct {
	URL      string        // the address of the application, such as http://127.0.0.1:8080; see ParseURL
	Rate     Rate          // during Duration
	Duration time.Duration // of the measurement
	Warmup   time.Duration // at the first rate, before the measurement
	Sessions int           // how many visitors there are, each with a session of its own
	Mix      Mix           // what they do
	Timeout  time.Duration // after which an answer no longer counts
	// Progress is called once a second, from one goroutine; nil for nobody.
	Progress func(Progress)
}

// Progress is what can be seen of a Run while it goes on.
type Progress struct {
	Phase          Phase
	Elapsed, Total time.Duration    // with the warm-up; Total is 0 where nobody knows
	Rate           float64          // requests answered a second, since the last time
	P50, P99       time.Duration    // latency of these
	Requests, OK   int64            // since the warm-up
	Servers        map[string]int64 // requests answered, since the warm-up
	Errors         map[string]int64 // by class, since the warm-up
	Sessions       check.Counts
}

// Phase is a part of a Run.
type Phase string

// The phases of a Run.
const (
	Warmup  Phase = "warm-up"
	Measure Phase = "measuring"
	Closing Phase = "checking the sessions a last time"
)

const (
	mostInFlight = 10_000      // requests at a time; at more, they wait, which their latency shows
	atATime      = 4           // requests of one visitor at most that are under way on purpose
	lookEvery    = time.Second // between two calls of Progress
)

// Run is one load test. Create it with Start, and call Do once.
type Run struct {
	options  Options
	setting  Setting
	schedule *schedule
	client   *client
	byLogin  bool // sessions begin with a login, for the store changes none after
	checks   check.Run
	history  *check.History // nil for none
	log      *check.Log
	stats    *stats
	events   *events
	servers  servers
	started  atomic.Pointer[time.Time] // nil before Do
	finished atomic.Bool               // nothing more is to be sent
	closing  atomic.Bool               // every request of the schedule was answered

	visitors []*visitor
	workers  sync.WaitGroup
	waiting  atomic.Int64 // workers that want to lead

	lead    sync.Mutex // guards what follows; its holder waits for the next request to be due
	running int        // workers
	next    int        // the number of the next request
	order   []int      // visitors whose turn is still to come in this round
	current *visitor
	joined  int           // requests in a row that were the current visitor's
	stopped time.Duration // when the last request was due, or ctx ended; 0 while requests are sent
}

// Start looks whether the target is the sample application, and prepares a Run. Nothing of it is measured.
func Start(ctx context.Context, options Options) (*Run, error) {
	base, err := ParseURL(options.URL)
	if err != nil {
		return nil, err
	}
	var id [3]byte
	rand.Read(id[:])
	r := &Run{
		options: options, setting: options.setting(), schedule: newSchedule(options.Rate, options.Warmup, options.Duration),
		client: newClient(base, options.Timeout), stats: newStats(spanLength(options.Warmup + options.Duration)), events: newEvents(),
	}
	r.log = check.NewLog(func(f check.Finding) { r.events.add(f.At, f.What) })
	r.checks = check.Run{Name: hex.EncodeToString(id[:]), Log: r.log}
	if err := r.probe(ctx); err != nil {
		r.client.close()
		return nil, err
	}
	for i := range options.Sessions {
		r.visitors = append(r.visitors, newVisitor(i, r.checks))
	}
	return r, nil
}

// ParseURL reads the address of an application: a scheme and a host.
func ParseURL(text string) (*url.URL, error) {
	base, err := url.Parse(text)
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Hostname() == "" || base.User != nil ||
		base.Path != "" && base.Path != "/" || base.RawQuery != "" || base.Fragment != "" {
		return nil, errors.New("the address of an application, such as http://127.0.0.1:8080")
	}
	return base, nil
}

// now is the time from the start of the run.
func (r *Run) now() time.Duration { return time.Since(*r.started.Load()) }

// Note adds an event to the result, such as a drill's, while Do runs; before that it does nothing. Any goroutine may call it.
func (r *Run) Note(what string) {
	if r.started.Load() != nil {
		r.events.add(r.now(), what)
	}
}

// Finish has Do send no more, as if the duration had passed. Any goroutine may call it.
func (r *Run) Finish() { r.finished.Store(true) }

// WriteHistory has Do write down what every visitor sends and sees, for lab check.
func (r *Run) WriteHistory(w io.Writer) {
	r.history = check.NewHistory(w, check.Header{Run: r.checks.Name, URL: r.options.URL, Idle: r.checks.Idle})
}

// Do sends the requests and returns what came of them. When ctx ends it sends no more, and the result is of what was
// sent until then. The error is that of writing the history.
func (r *Run) Do(ctx context.Context) (Result, error) {
	defer r.client.close()
	now := time.Now()
	r.started.Store(&now)
	stopLooking := r.look()
	end := r.sendAll(ctx)
	r.closing.Store(true)
	r.closeSessions(ctx)
	stopLooking()
	result, err := r.result(end)
	if err == nil && r.history != nil {
		if err = r.history.Flush(); err != nil {
			err = fmt.Errorf("writing the history: %w", err)
		}
	}
	return result, err
}

// look calls Progress once a second, until the function that it returns is called.
func (r *Run) look() (stop func()) {
	done := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		ticker := time.NewTicker(lookEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
			case <-done:
				return
			}
			now := r.now()
			r.events.look(now)
			if r.options.Progress == nil {
				continue
			}
			p := Progress{Phase: r.phase(now), Elapsed: now, Total: r.schedule.length, Sessions: r.log.Counts()}
			r.stats.look(&p)
			r.options.Progress(p)
		}
	})
	return func() { close(done); group.Wait() }
}

func (r *Run) phase(now time.Duration) Phase {
	switch {
	case r.closing.Load():
		return Closing
	case now < r.schedule.warmup:
		return Warmup
	}
	return Measure
}
