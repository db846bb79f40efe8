package explore

import (
	"cmp"
	"container/heap"
	"context"
	"slices"
	"sync"
)

// A search holds the schedules of a scenario that have yet to be run. Every run of a prefix shows what else could have been
// chosen after it, and so adds further prefixes, until all schedules have been run. The prefix with the fewest switches
// comes next: most races need few (Musuvathi and Qadeer, Iterative Context Bounding for Systematic Testing of
// Multithreaded Programs, PLDI 2007), and a bound cuts off the least likely.
type search struct {
	requests []Request
	faults   []Fault
	maxRuns  [2]int // of each stage

	mu        sync.Mutex
	changed   *sync.Cond
	queue     queue
	running   int
	stage     int // 0 without faults, 1 with one
	started   int // runs of the stage
	counts    [2]Counts
	unreached int
	trunks    []Result           // the runs of stage 0, to which stage 1 adds a fault
	simplest  map[Promise]Result // the simplest run that breaks each promise
	broken    map[Promise]int    // how many do
}

// push adds a prefix.
func (s *search) push(prefix Schedule) {
	heap.Push(&s.queue, prefix)
}

// next returns the next prefix to run. If others are running, which may add some, it waits. It reports false when there is
// none, or no more may be run.
func (s *search) next(ctx context.Context) (Schedule, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changed == nil {
		s.changed = sync.NewCond(&s.mu)
	}
	defer context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.changed.Broadcast()
	})()
	for len(s.queue) == 0 && s.running > 0 && ctx.Err() == nil {
		s.changed.Wait()
	}
	if ctx.Err() != nil || len(s.queue) == 0 || s.started >= s.maxRuns[s.stage] {
		return nil, false
	}
	s.running++
	s.started++
	prefix, _ := heap.Pop(&s.queue).(Schedule)
	return prefix, true
}

// done takes the result of a run, nil if the prefix could not be followed, and adds the schedules that differ from it in one
// choice after the prefix.
func (s *search) done(prefix Schedule, r *Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running--
	defer s.changed.Broadcast()
	if r == nil {
		s.unreached++
		return
	}
	s.counts[s.stage].count(*r, len(s.requests))
	if v := r.Violation; v != nil {
		s.broken[v.Promise]++
		if best, ok := s.simplest[v.Promise]; !ok || r.Schedule.compare(best.Schedule) < 0 {
			s.simplest[v.Promise] = *r
		}
	}
	if s.stage == 0 {
		s.trunks = append(s.trunks, *r)
	}
	s.branch(*r, len(prefix))
}

// branch pushes the schedules that choose another request at one step from there on.
func (s *search) branch(r Result, from int) {
	for i := from; i < len(r.decisions); i++ {
		for _, lane := range r.decisions[i].enabled {
			if lane != r.decisions[i].chosen.Lane {
				s.push(append(slices.Clone(r.Schedule[:i]), Choice{Lane: lane}))
			}
		}
	}
}

// faultsOn goes on with schedules that have one fault: at every call of every order that was run.
func (s *search) faultsOn() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stage, s.started, s.queue = 1, 0, nil
	seen := map[string]bool{}
	for _, r := range s.trunks {
		for i := range r.decisions {
			for _, fault := range s.faults {
				prefix := append(slices.Clone(r.Schedule[:i]), Choice{r.decisions[i].chosen.Lane, fault})
				if key := prefix.String(); !seen[key] {
					seen[key] = true
					s.push(prefix)
				}
			}
		}
	}
}

// cut notes whether the stage has run every schedule.
func (s *search) cut() {
	counts := &s.counts[s.stage]
	// Where orders are missing, so are their faults.
	counts.Complete = len(s.queue) == 0 && (s.stage == 0 || s.counts[0].Complete && len(s.faults) > 0)
	if len(s.queue) > 0 {
		counts.Switches = max(0, s.queue[0].switches()-1)
	}
}

// findings returns the simplest run for each promise that is broken, the simplest of all first.
func (s *search) findings() []Result {
	var list []Result
	for _, r := range s.simplest {
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b Result) int {
		return cmp.Or(a.Schedule.compare(b.Schedule), cmp.Compare(a.Violation.Promise, b.Violation.Promise))
	})
	return list
}

// queue is a heap of prefixes, the simplest first.
type queue []Schedule

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].compare(q[j]) < 0 }
func (q queue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any) {
	if s, ok := x.(Schedule); ok {
		*q = append(*q, s)
	}
}
func (q *queue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}
