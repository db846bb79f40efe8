// Package explore finds session races and lost sessions by exhaustion. It sends a few requests of one visitor at once, each
// to a server of its own, holds every call that the servers make to their store, and releases the calls in every order, and
// with every failure at every call. After each run it compares what the visitor's session holds with what the answers
// promised.
//
// It needs to know nothing of the application but its requests and their effects: see Application. Explore runs all
// scenarios of a Target. A Scenario's findings have the simplest schedule that breaks a promise, which Finding.Text and
// Finding.SVG draw, and Replay runs again. Start reading at Explore, then cell.run for a single run and outcome.judge for the promises.
package explore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// Options of Explore.
type Options struct {
	// Requests is how many requests overlap, 1 to 3. Each request also runs alone with faults.
	Requests int
	// Only is the name of the scenario to explore; empty for all.
	Only string
	// MaxOrders bounds the schedules of a scenario without a fault, and MaxFaults those with one. Beyond them, those with the
	// fewest switches between requests are explored. With MaxFaults 0, faults are left out.
	MaxOrders, MaxFaults int
	// Parallel is how many runs go on at a time, each on servers of its own.
	Parallel int
	// Progress is told of each scenario that ends, and of each run; nil for nobody.
	Progress func(Progress)
}

// DefaultMax is the default of the options MaxOrders and MaxFaults.
const DefaultMax = 500

// Replays is how often the simplest schedule that breaks a promise is run again.
const Replays = 5

// Progress says how far an exploration is.
type Progress struct {
	Scenario  string
	Done, All int // scenarios
	Explored  int // runs of all scenarios so far
	Broken    int
	Ended     *Scenario // the scenario that has ended, if one has
}

// Explore explores every scenario of the target. The error says why it could not; broken promises are no error.
func Explore(ctx context.Context, t Target, o Options) ([]Scenario, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	t.Requests = slices.Clone(t.Requests) // which are measured
	e := &exploration{Target: t, options: o}
	defer func() {
		for _, c := range e.cells {
			if c != nil {
				c.close()
			}
		}
	}()
	combinations, err := t.combinations(o)
	if err == nil {
		err = e.startCells(ctx)
	}
	if err == nil {
		combinations, err = e.combinations(o) // of the measured requests
	}
	if err != nil {
		return nil, err
	}
	e.progress.All = len(combinations)
	var list []Scenario
	for i, requests := range combinations {
		e.progress.Done, e.progress.Scenario = i, scenarioName(requests)
		s, err := e.explore(ctx, requests)
		if err != nil {
			return list, fmt.Errorf("%s: %w", scenarioName(requests), err)
		}
		list = append(list, s)
		e.tell(&s)
	}
	return list, nil
}

// Replay runs one schedule of a scenario. It returns what came of it, with an empty Promise if none was broken, and the
// names of the requests.
func Replay(ctx context.Context, t Target, scenario, schedule string) (Finding, []string, error) {
	fail := func(err error) (Finding, []string, error) { return Finding{}, nil, err }
	if err := t.check(); err != nil {
		return fail(err)
	}
	t.Requests = slices.Clone(t.Requests) // which are measured
	requests, err := t.Scenario(scenario)
	if err != nil {
		return fail(err)
	}
	s, err := ParseSchedule(schedule, len(requests))
	if err != nil {
		return fail(err)
	}
	c, err := newCell(ctx, &t, "", len(requests))
	if err != nil {
		return fail(err)
	}
	defer c.close()
	if err := c.measureLate(ctx); err != nil {
		return fail(err)
	}
	if requests, err = t.Scenario(scenario); err != nil { // of the measured requests
		return fail(err)
	}
	result, err := c.run(ctx, requests, s)
	if err != nil {
		return fail(err)
	}
	return newFinding(result, 0), names(requests), nil
}

// Scenario returns the requests of a scenario by its name, such as "visits + logout". The error says which requests there are.
func (a Application) Scenario(scenario string) (requests []Request, err error) {
	for name := range strings.SplitSeq(scenario, "+") {
		found := false
		for _, r := range a.Requests {
			if r.Name == strings.TrimSpace(name) {
				requests, found = append(requests, r), true
			}
		}
		if !found {
			return nil, fmt.Errorf("no request is named %q; there are: %s", strings.TrimSpace(name), strings.Join(names(a.Requests), ", "))
		}
	}
	if len(requests) > maxRequests {
		return nil, fmt.Errorf("%d requests overlap; allowed is 1 to %d", len(requests), maxRequests)
	}
	return requests, nil
}

const maxRequests = 3

func scenarioName(requests []Request) string { return strings.Join(names(requests), " + ") }

func names(requests []Request) []string {
	list := make([]string, len(requests))
	for i, r := range requests {
		list[i] = r.Name
	}
	return list
}

// combinations returns the requests of each scenario that the options select: each request alone, for faults, and all
// combinations that overlap.
func (a Application) combinations(o Options) (all [][]Request, err error) {
	if o.Only != "" {
		requests, err := a.Scenario(o.Only)
		return [][]Request{requests}, err
	}
	var choose func(chosen []Request, from, size int)
	choose = func(chosen []Request, from, size int) {
		if len(chosen) == size {
			all = append(all, append([]Request(nil), chosen...))
			return
		}
		for i := from; i < len(a.Requests); i++ {
			choose(append(chosen, a.Requests[i]), i, size)
		}
	}
	if o.MaxFaults > 0 {
		choose(nil, 0, 1)
	}
	if o.Requests > 1 {
		choose(nil, 0, o.Requests)
	}
	return all, nil
}

type exploration struct {
	Target
	options Options
	cells   []*cell

	mu       sync.Mutex
	progress Progress
}

// startsAtATime bounds how many cells start at a time: servers of some languages compute for seconds before they are ready.
const startsAtATime = 4

func (e *exploration) startCells(ctx context.Context) error {
	requests := max(1, e.options.Requests)
	if e.options.Only != "" {
		requests = strings.Count(e.options.Only, "+") + 1
	}
	first, err := newCell(ctx, &e.Target, "1", requests)
	if err != nil {
		return err
	}
	e.cells = make([]*cell, max(1, e.options.Parallel))
	e.cells[0] = first
	if err := first.measureLate(ctx); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(startsAtATime)
	for i := 1; i < len(e.cells); i++ {
		group.Go(func() (err error) {
			e.cells[i], err = newCell(ctx, &e.Target, fmt.Sprint(i+1), requests)
			return err
		})
	}
	return group.Wait()
}

// tell reports the progress.
func (e *exploration) tell(ended *Scenario) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.options.Progress != nil {
		p := e.progress
		p.Ended = ended
		e.options.Progress(p)
	}
}

// explore explores a scenario: first its orders, then each order with each fault.
func (e *exploration) explore(ctx context.Context, requests []Request) (Scenario, error) {
	s := Scenario{Name: scenarioName(requests), Requests: names(requests)}
	search := &search{requests: requests, maxRuns: [2]int{e.options.MaxOrders, e.options.MaxFaults}, simplest: map[Promise]Result{}, broken: map[Promise]int{}}
	search.faults = Faults()
	if e.Store == "" {
		search.faults = []Fault{Drop, Refuse, Down, Kill} // an error reply needs a protocol
	}
	if e.options.MaxFaults == 0 {
		search.faults = nil
	}
	search.push(nil)
	if err := e.runAll(ctx, search); err != nil {
		return s, err
	}
	search.faultsOn()
	if err := e.runAll(ctx, search); err != nil {
		return s, err
	}
	if len(requests) == 1 && len(search.trunks) > 0 {
		s.Calls = len(search.trunks[0].Schedule)
	}
	s.Orders, s.Faults, s.Unreached = search.counts[0], search.counts[1], search.unreached
	s.Explored, s.Broken = s.Orders.Explored+s.Faults.Explored, s.Orders.Broken+s.Faults.Broken
	for _, result := range search.findings() {
		f := newFinding(result, search.broken[result.Violation.Promise])
		var err error
		if f.Replayed, err = e.replay(ctx, requests, result); err != nil {
			return s, err
		}
		s.Findings = append(s.Findings, f)
	}
	if len(s.Findings) > 0 {
		s.Shortest = &s.Findings[0]
	}
	return s, nil
}

// replay runs the schedule of a result again, on all cells, and returns how often the same came of it.
func (e *exploration) replay(ctx context.Context, requests []Request, result Result) (int, error) {
	var left, same atomic.Int64
	left.Store(Replays)
	group, ctx := errgroup.WithContext(ctx)
	for _, c := range e.cells {
		group.Go(func() error {
			for left.Add(-1) >= 0 {
				again, err := c.run(ctx, requests, result.Schedule)
				if err != nil && !errors.Is(err, errUnreached) {
					return err
				}
				if err == nil && again.sameAs(result) {
					same.Add(1)
				}
			}
			return nil
		})
	}
	err := group.Wait()
	return int(same.Load()), err
}

// runAll runs the schedules of the search on all cells until there is none left.
func (e *exploration) runAll(ctx context.Context, s *search) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, c := range e.cells {
		group.Go(func() error {
			for {
				prefix, ok := s.next(ctx)
				if !ok {
					return ctx.Err()
				}
				result, err := c.run(ctx, s.requests, prefix)
				if errors.Is(err, errUnreached) {
					err = c.recover(ctx, prefix)
					s.done(prefix, nil)
				} else if err == nil {
					s.done(prefix, &result)
				}
				if err != nil {
					return fmt.Errorf("schedule %s: %w", prefix, err)
				}
				e.mu.Lock()
				e.progress.Explored++
				if result.Violation != nil {
					e.progress.Broken++
				}
				e.mu.Unlock()
				e.tell(nil)
			}
		})
	}
	err := group.Wait()
	s.cut()
	return err
}
