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
	loadAtMost  = 15 * time.Minute // a load that was forgotten ends by itself
	loadTimeout = 10 * time.Second // of its requests
)

// Level is a position of the load switch.
type Level struct {
	Name     string  `json:"level"`
	Label    string  `json:"-"`           // for people
	Rate     float64 `json:"target_rate"` // requests a second
	Visitors int     `json:"visitors"`
}

// levels are the switch's positions, the first of which is off. A machine that runs the fleet bears the highest.
func levels() []Level {
	return []Level{{Name: "off", Label: "Off"}, {"low", "Low", 20, 20}, {"high", "High", 200, 100}}
}

func (l Level) off() bool { return l.Rate == 0 }

// loadState is what the switch is set to, and what came of the load that runs, or that ran last.
type loadState struct {
	Level
	Phase    load.Phase   `json:"phase"`    // empty when none runs; after a switch, still that of the last one
	Requests int64        `json:"requests"` // answered
	Failed   int64        `json:"failed"`
	P50      float64      `json:"p50_ms"`
	P99      float64      `json:"p99_ms"`
	Sessions check.Counts `json:"sessions"`
}

// runLoad runs a load until ctx ends, and reports how it goes on.
type runLoad func(ctx context.Context, level Level, progress func(load.Progress)) (load.Result, error)

// against runs loads against the application at that URL.
func against(url string) runLoad {
	return func(ctx context.Context, level Level, progress func(load.Progress)) (load.Result, error) {
		run, err := load.Start(ctx, load.Options{
			URL: url, Rate: load.Rate{{From: level.Rate, To: level.Rate}}, Duration: loadAtMost, Sessions: level.Visitors,
			Mix: load.DefaultMix(), Timeout: loadTimeout, Progress: progress,
		})
		if err != nil {
			return load.Result{}, err
		}
		return run.Do(ctx)
	}
}

// loadSwitch runs one load at a time. It is safe for concurrent use.
type loadSwitch struct {
	run    runLoad
	events *Events

	mu     sync.Mutex
	state  loadState
	cancel context.CancelFunc // ends the load that runs
	ended  chan struct{}      // closed when it has ended
}

func newLoadSwitch(run runLoad, events *Events) *loadSwitch {
	s := &loadSwitch{run: run, events: events, state: loadState{Level: levels()[0]}, cancel: func() {}, ended: make(chan struct{})}
	close(s.ended)
	return s
}

// set ends the load that runs, and then begins one of that level. It waits for neither.
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
			s.do(ctx, level)
		}
	}()
}

// close ends the load that runs, and returns when it has ended.
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

// do runs a load, and keeps what is to be seen of it.
func (s *loadSwitch) do(ctx context.Context, level Level) {
	keep := func(state loadState) {
		s.mu.Lock()
		defer s.mu.Unlock()
		state.Level = s.state.Level
		s.state = state
	}
	keep(loadState{Phase: load.Measure})
	s.events.Add(fmt.Sprintf("load %s: %.0f requests a second of %d visitors", level.Name, level.Rate, level.Visitors))
	result, err := s.run(ctx, level, func(p load.Progress) {
		keep(loadState{
			Phase: p.Phase, Requests: p.Requests, Failed: p.Requests - p.OK, Sessions: p.Sessions,
			P50: float64(p.P50.Microseconds()) / 1000, P99: float64(p.P99.Microseconds()) / 1000,
		})
	})
	keep(loadState{
		Requests: result.Requests, Failed: result.Requests - result.OK, Sessions: result.Sessions,
		P50: result.Latency.P50, P99: result.Latency.P99,
	})
	s.mu.Lock()
	if ctx.Err() == nil { // it ended by itself, or didn't begin
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
