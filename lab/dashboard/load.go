package dashboard

import (
	"context"
	"fmt"
	"sync"
	"time"

	"stateless-servers/lab/check"
	"stateless-servers/lab/load"
)

const (
	maxLoadDuration = 15 * time.Minute // after it a forgotten load ends by itself
	loadTimeout     = 10 * time.Second // of a request
)

// A Level is a position of the load switch.
type Level struct {
	Name     string  `json:"level"`
	Label    string  `json:"-"`           // for people
	Rate     float64 `json:"target_rate"` // requests per second
	Visitors int     `json:"visitors"`
}

// levels returns the positions of the switch. The first is off; the machine that runs the fleet can sustain the highest.
func levels() []Level {
	return []Level{{Name: "off", Label: "Off"}, {"low", "Low", 20, 20}, {"high", "High", 200, 100}}
}

func (l Level) off() bool { return l.Rate == 0 }

// loadState is the position of the switch with the results of the running load or, if none runs, of the last one.
type loadState struct {
	Level
	Phase    load.Phase   `json:"phase"`    // empty when no load runs; after a change of the level, at first that of the previous load
	Requests int64        `json:"requests"` // completed requests
	Failed   int64        `json:"failed"`
	P50      float64      `json:"p50_ms"`
	P99      float64      `json:"p99_ms"`
	Sessions check.Counts `json:"sessions"`
}

// runLoad runs a load until ctx ends and reports its progress.
type runLoad func(ctx context.Context, level Level, progress func(load.Progress)) (load.Result, error)

// loadRunner returns a function that runs loads against the application at that URL.
func loadRunner(url string) runLoad {
	return func(ctx context.Context, level Level, progress func(load.Progress)) (load.Result, error) {
		run, err := load.Start(ctx, load.Options{
			URL: url, Rate: load.Rate{{From: level.Rate, To: level.Rate}}, Duration: maxLoadDuration, Sessions: level.Visitors,
			Mix: load.DefaultMix(), Timeout: loadTimeout, Progress: progress,
		})
		if err != nil {
			return load.Result{}, err
		}
		return run.Do(ctx)
	}
}

// A loadSwitch runs one load at a time. It is safe for concurrent use.
type loadSwitch struct {
	run    runLoad
	events *Events

	mu     sync.Mutex
	state  loadState
	cancel context.CancelFunc // ends the running load
	ended  chan struct{}      // closed when it has ended
}

func newLoadSwitch(run runLoad, events *Events) *loadSwitch {
	s := &loadSwitch{run: run, events: events, state: loadState{Level: levels()[0]}, cancel: func() {}, ended: make(chan struct{})}
	close(s.ended)
	return s
}

// set ends the running load and starts one of that level afterwards. It does not wait for either.
func (s *loadSwitch) set(level Level) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if level == s.state.Level {
		return
	}
	s.cancel()
	s.state.Level = level
	before, ended := s.ended, make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel, s.ended = cancel, ended
	go func() {
		defer close(ended)
		defer cancel()
		<-before
		if !level.off() && ctx.Err() == nil {
			s.runLevel(ctx, level)
		}
	}()
}

// close ends the running load and waits until it has ended.
func (s *loadSwitch) close() {
	s.set(levels()[0])
	s.mu.Lock()
	ended := s.ended
	s.mu.Unlock()
	<-ended
}

func (s *loadSwitch) now() loadState {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// runLevel runs a load and updates the state meanwhile.
func (s *loadSwitch) runLevel(ctx context.Context, level Level) {
	update := func(state loadState) {
		s.mu.Lock()
		defer s.mu.Unlock()
		state.Level = s.state.Level
		s.state = state
	}
	update(loadState{Phase: load.Measure})
	s.events.Add(fmt.Sprintf("load %s: %.0f requests per second by %d visitors", level.Name, level.Rate, level.Visitors))
	result, err := s.run(ctx, level, func(p load.Progress) {
		update(loadState{
			Phase: p.Phase, Requests: p.Requests, Failed: p.Requests - p.OK, Sessions: p.Sessions,
			P50: float64(p.P50.Microseconds()) / 1000, P99: float64(p.P99.Microseconds()) / 1000,
		})
	})
	update(loadState{
		Requests: result.Requests, Failed: result.Requests - result.OK, Sessions: result.Sessions,
		P50: result.Latency.P50, P99: result.Latency.P99,
	})
	s.mu.Lock()
	if ctx.Err() == nil { // it ended by itself or failed to start
		s.state.Level = levels()[0]
	}
	s.mu.Unlock()
	if err != nil {
		if ctx.Err() == nil {
			s.events.Add("load failed: " + err.Error())
		}
		return
	}
	s.events.Add(fmt.Sprintf("load ended: %d requests, %d failed, %d sessions lost, %d updates lost",
		result.Requests, result.Requests-result.OK, result.Sessions.Lost, result.Sessions.LostUpdates))
}
