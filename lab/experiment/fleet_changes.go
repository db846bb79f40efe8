package experiment

import (
	"context"
	"fmt"
	"slices"
	"time"

	"stateless-servers/lab/load"
	"stateless-servers/lab/report"
)

// counted is how many requests each server has answered.
type counted map[string]int64

func (s *scene) counted() counted {
	c := counted{}
	for _, server := range s.fleet.Servers() {
		c[server.Name] = server.Requests
	}
	return c
}

// during is what each server of now answered since before.
func (now counted) during(before counted) counted {
	d := counted{}
	for name, n := range now {
		d[name] = n - before[name]
	}
	return d
}

func (c counted) sum() (sum int64) {
	for _, n := range c {
		sum += n
	}
	return sum
}

// spread is the most that a server answered, as a multiple of the mean.
func (c counted) spread() float64 {
	if c.sum() == 0 {
		return 0
	}
	most := int64(0)
	for _, n := range c {
		most = max(most, n)
	}
	return float64(most) * float64(len(c)) / float64(c.sum())
}

// share is the part of the servers of those names, as a multiple of a fair one.
func (c counted) share(names []string) float64 {
	if c.sum() == 0 || len(names) == 0 {
		return 0
	}
	own := int64(0)
	for _, name := range names {
		own += c[name]
	}
	return float64(own) * float64(len(c)) / float64(c.sum()) / float64(len(names))
}

// watch counts for a phase.
func (s *scene) watch(ctx context.Context) (counted, error) {
	before := s.counted()
	err := pause(ctx, s.lab.Phase)
	return s.counted().during(before), err
}

// add starts n servers, and returns their names.
func (s *scene) add(ctx context.Context, n int) ([]string, error) {
	s.happened(fmt.Sprintf("%d more servers are started", n))
	servers, err := s.fleet.Launch(ctx, n)
	var names []string
	for _, server := range servers {
		names = append(names, server.Name)
	}
	return names, err
}

// remove stops a server as a deployment does, and waits for its end.
func (s *scene) remove(ctx context.Context, name string) error {
	s.happened(name + " is to stop")
	stopped, err := s.fleet.Stop(name)
	if err != nil {
		return err
	}
	select {
	case <-stopped:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stopping %s: %w", name, ctx.Err())
	}
}

// unnoticed checks that the visitors of a load noticed nothing.
func (o *Observation) unnoticed(with string, r load.Result) {
	o.atLeast("requests sent"+with, float64(r.Requests), 1)
	o.atLeast("sessions followed"+with, float64(r.Sessions.Total), 1)
	o.atMost("failed requests"+with, float64(r.Requests-r.OK), 0)
	o.atMost("sessions and updates lost, stale, crossed or resurrected"+with, float64(r.Sessions.Violations()), 0)
}

// figures is a table of what came of a load.
func (o *Observation) figures(r load.Result) {
	o.Tables = append(o.Tables, Table{Title: "What visitors noticed", Columns: []string{"figure", "is"}, Rows: [][]any{
		{"requests", r.Requests}, {"failed", r.Requests - r.OK}, {"sessions", r.Sessions.Total},
		{"sessions lost", r.Sessions.Lost}, {"updates lost", r.Sessions.LostUpdates},
		{"stale, crossed, resurrected", r.Sessions.StaleReads + r.Sessions.CrossSessionLeaks + r.Sessions.AliveAfterLogout},
		{"p50, ms", r.Latency.P50}, {"p99, ms", r.Latency.P99}, {"longest, ms", r.Latency.Max},
	}})
}

// servers draws how many requests each server answered, second by second.
func (o *Observation) servers(name, run string, r load.Result) {
	title := "Requests per server and second"
	if run != "" {
		title += ", " + run
	}
	o.Charts = append(o.Charts, Chart{name, report.Servers(r, title)})
}

// slowRequests are in flight at every server of which one is stopped.
const slowRequests = time.Second

// answered counts the replies with status 200, and those of them that came from the servers of those names.
func answered(replies []reply, names ...string) (ok, theirs int) {
	for _, r := range replies {
		if r.status == 200 {
			ok++
			if slices.Contains(names, r.server) {
				theirs++
			}
		}
	}
	return ok, theirs
}
