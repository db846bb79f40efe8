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
	"stateless-servers/lab/machine"
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

func (o Options) settings() Settings {
	return Settings{o.Rate.String(), o.Sessions, o.Mix.String(), o.Timeout.Seconds(), machine.Current()}
}

// reportInterval is the time between two calls of Progress.
const reportInterval = time.Second

// Run is one load test. Create it with Start, and call Do once.
type Run struct {
	attack
	options  Options
	settings Settings
	checker  check.Checker
	started  atomic.Pointer[time.Time] // nil before Do
	closing  atomic.Bool               // every request of the schedule was answered
}

// Start looks whether the target is the sample application, and prepares a Run. Nothing of it is measured.
func Start(ctx context.Context, options Options) (*Run, error) {
	base, err := ParseURL(options.URL)
	if err != nil {
		return nil, err
	}
	var id [3]byte
	rand.Read(id[:])
	r := &Run{options: options, settings: options.settings()}
	r.client, r.stats = newClient(base, options.Timeout), newStats(spanLength(options.Warmup+options.Duration))
	r.checker = check.Checker{RunID: hex.EncodeToString(id[:]), Log: check.NewLog(func(f check.Finding) { r.stats.events.add(f.At, f.What) })}
	var byLogin bool
	if r.checker.Idle, byLogin, err = probe(ctx, *r.client, options.URL, r.checker.NewSession(-1, 0).User); err != nil {
		r.client.close()
		return nil, err
	}
	r.schedule, r.now, r.mix = newSchedule(options.Rate, options.Warmup, options.Duration), r.elapsed, options.Mix
	for i := range options.Sessions {
		r.users = append(r.users, newVirtualUser(i, r.checker, byLogin, r.now))
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

// elapsed is the time from the start of the run.
func (r *Run) elapsed() time.Duration { return time.Since(*r.started.Load()) }

// Note adds an event to the result, such as a drill's, while Do runs; before that it does nothing. Any goroutine may call it.
func (r *Run) Note(what string) {
	if r.started.Load() != nil {
		r.stats.events.add(r.now(), what)
	}
}

// Finish has Do send no more, as if the duration had passed. Any goroutine may call it.
func (r *Run) Finish() { r.finished.Store(true) }

// WriteHistory has Do write down what every visitor sends and sees, for lab check.
func (r *Run) WriteHistory(w io.Writer) {
	r.history = check.NewHistory(w, check.Header{Run: r.checker.RunID, URL: r.options.URL, Idle: r.checker.Idle})
}

// Do sends the requests and returns what came of them. When ctx ends it sends no more, and the result is of what was
// sent until then. The error is that of writing the history.
func (r *Run) Do(ctx context.Context) (Result, error) {
	defer r.client.close()
	now := time.Now()
	r.started.Store(&now)
	stopReporting := r.reportProgress()
	r.send(ctx)
	if r.interrupted {
		r.stats.events.add(r.stopped, "interrupted")
	}
	r.closing.Store(true)
	r.close(ctx)
	stopReporting()
	result, err := r.result()
	if err == nil && r.history != nil {
		if err = r.history.Flush(); err != nil {
			err = fmt.Errorf("writing the history: %w", err)
		}
	}
	return result, err
}

// look calls Progress once a second, until the function that it returns is called.
func (r *Run) reportProgress() (stop func()) {
	done := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		ticker := time.NewTicker(reportInterval)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
			case <-done:
				return
			}
			now := r.now()
			r.stats.events.endSpell(now)
			if r.options.Progress == nil {
				continue
			}
			p := Progress{Phase: r.phase(now), Elapsed: now, Total: r.length, Sessions: r.checker.Log.Counts()}
			r.stats.progress(&p)
			r.options.Progress(p)
		}
	})
	return func() { close(done); group.Wait() }
}

func (r *Run) phase(now time.Duration) Phase {
	switch {
	case r.closing.Load():
		return Closing
	case now < r.warmup:
		return Warmup
	}
	return Measure
}

// result adds everything up.
func (r *Run) result() (Result, error) {
	s := r.stats
	duration := max(0, r.stopped-r.warmup).Seconds()
	result := Result{
		Requests: s.requests, OK: s.ok, Duration: duration, Servers: s.servers, Errors: s.errors,
		Latency: quantiles(s.latency), Service: quantiles(s.service), Late: milliseconds(s.late.ValueAtPercentile(99)),
		Sessions: r.checker.Log.Counts(), Events: s.events.sorted(),
		URL: r.options.URL, Started: r.started.Load().Round(0).UTC(), Warmup: r.warmup.Seconds(), Findings: []string{},
		Settings: []Settings{r.settings},
	}
	if duration > 0 {
		result.RateTarget = round(float64(r.scheduled(r.stopped)) / duration)
		result.RateAchieved = round(float64(s.requests) / duration)
	}
	for _, finding := range r.checker.Log.Findings() {
		result.Findings = append(result.Findings, finding.Text)
	}
	var err error
	if result.Series, err = s.series.all(); err != nil {
		return result, err
	}
	return result, result.encode(s.latency, s.service)
}
