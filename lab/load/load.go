// Package load is the load generator. It sends the requests of many virtual users to the sample application, or to another that
// follows the lab's contract, at a rate that doesn't depend on the response times (an open model). It measures each latency from
// the time at which the request was due, and passes every response to the consistency checker of package check. Start prepares a
// Run, Run.Do sends the requests, and Result has the figures. Merge combines the results of several machines. Start reading at
// attack.
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

// Options configures a Run. Warmup and Progress are optional; all other fields are required.
type Options struct {
	URL      string        // the address of the application, such as http://127.0.0.1:8080; see ParseURL
	Rate     Rate          // during Duration
	Duration time.Duration // of the measurement
	Warmup   time.Duration // at the first rate, before the measurement; may be 0
	Sessions int           // the number of virtual users, each with a session of its own
	Mix      Mix           // the kinds of their requests
	Timeout  time.Duration // for each response
	// Progress is called once a second, from one goroutine; may be nil.
	Progress func(Progress)
}

func (o Options) settings() Settings {
	return Settings{"", o.Rate.String(), o.Sessions, o.Mix.String(), o.Timeout.Seconds(), machine.Current()}
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
	closing  atomic.Bool               // whether every scheduled request has its response
}

// Start checks that the target is the sample application or follows the lab's contract, and prepares a Run. The requests of this check are not measured.
func Start(ctx context.Context, options Options) (*Run, error) {
	base, err := ParseURL(options.URL)
	if err != nil {
		return nil, err
	}
	var id [6]byte
	rand.Read(id[:])
	r := &Run{options: options, settings: options.settings()}
	r.client, r.stats = newClient(base, options.Timeout), newStats(spanLength(options.Warmup+options.Duration))
	r.checker = check.Checker{RunID: hex.EncodeToString(id[:]), Log: check.NewLog(func(f check.Finding) { r.stats.events.add(f.At, f.What) })}
	found, err := probe(ctx, *r.client, options.URL, r.checker.NewSession(-1, 0).User)
	if err != nil {
		r.client.close()
		return nil, err
	}
	r.checker.Idle, r.settings.Run = found.idle, r.checker.RunID
	r.schedule, r.now, r.mix = newSchedule(options.Rate, options.Warmup, options.Duration), r.elapsed, options.Mix
	for i := range options.Sessions {
		r.users = append(r.users, newVirtualUser(i, r.checker, found, r.now))
	}
	return r, nil
}

// ParseURL parses the address of an application: a scheme, http or https, and a host. The error says what is allowed.
func ParseURL(text string) (*url.URL, error) {
	base, err := url.Parse(text)
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Hostname() == "" || base.User != nil ||
		base.Path != "" && base.Path != "/" || base.RawQuery != "" || base.Fragment != "" {
		return nil, errors.New("the address of an application, such as http://127.0.0.1:8080")
	}
	return base, nil
}

// elapsed returns the time since the start of the run.
func (r *Run) elapsed() time.Duration { return time.Since(*r.started.Load()) }

// Note adds an event to the result, such as the start of a fault, while Do runs; before that it does nothing. It is safe for
// concurrent use.
func (r *Run) Note(what string) {
	if r.started.Load() != nil {
		r.stats.events.add(r.now(), what)
	}
}

// Finish makes Do send no more requests, as if the duration had passed. It is safe for concurrent use.
func (r *Run) Finish() { r.finished.Store(true) }

// WriteHistory makes Do write the requests and responses of every virtual user to w, for lab check. Call it before Do.
func (r *Run) WriteHistory(w io.Writer) {
	r.history = check.NewHistory(w, check.Header{Run: r.checker.RunID, URL: r.options.URL, Idle: r.checker.Idle})
}

// Do sends the requests and returns their result. When ctx ends, Do sends no more requests and returns the result up to then,
// with the verdict Interrupted. The error says that the history could not be written, or a histogram not encoded.
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

// reportProgress calls Progress once a second, until the returned function is called.
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

// result sums up the measurements.
func (r *Run) result() (Result, error) {
	s := r.stats
	duration := max(0, r.stopped-r.warmup).Seconds()
	result := Result{
		Requests: s.requests, OK: s.ok, Duration: duration, Operations: s.operations, Servers: s.servers, Errors: s.errors,
		Latency: quantiles(s.latency), Service: quantiles(s.service), Late: milliseconds(s.late.ValueAtPercentile(99)),
		Sessions: r.checker.Log.Counts(), Events: s.events.sorted(),
		URL: r.options.URL, Started: r.started.Load().Round(0).UTC(), Warmup: r.warmup.Seconds(), Findings: []string{},
		Settings: []Settings{r.settings},
	}
	if duration > 0 {
		result.RateTarget = round(float64(r.scheduled(r.stopped)) / duration)
		result.RateAchieved = round(float64(s.requests) / duration)
	}
	if r.interrupted {
		result.Verdict = Interrupted
	}
	result.Judge(Thresholds{})
	for _, finding := range r.checker.Log.Findings() {
		result.Findings = append(result.Findings, finding.Text)
	}
	var err error
	if result.Series, err = s.series.all(); err != nil {
		return result, err
	}
	return result, result.encode(s.latency, s.service)
}
