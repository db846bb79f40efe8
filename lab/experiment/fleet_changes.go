package experiment

import (
	"context"
	"fmt"
	"slices"
	"time"

	"stateless-servers/lab/load"
	"stateless-servers/lab/report"
)

// counts has the number of requests that each server was given. A server that is slow to respond on a busy machine has its share
// too.
type counts map[string]int64

func (env *environment) requestCounts() counts {
	c := counts{}
	for _, server := range env.fleet.Servers() {
		c[server.Name] = server.Requests + server.InFlight
	}
	return c
}

// since returns the number of requests that each of the present servers was given since before.
func (now counts) since(before counts) counts {
	d := counts{}
	for name, n := range now {
		d[name] = n - before[name]
	}
	return d
}

func (c counts) sum() (sum int64) {
	for _, n := range c {
		sum += n
	}
	return sum
}

// spread returns the requests of the most loaded server, as a multiple of the mean.
func (c counts) spread() float64 {
	if c.sum() == 0 {
		return 0
	}
	most := int64(0)
	for _, n := range c {
		most = max(most, n)
	}
	return float64(most) * float64(len(c)) / float64(c.sum())
}

// share returns the share of the named servers, as a multiple of an equal share.
func (c counts) share(names []string) float64 {
	if c.sum() == 0 || len(names) == 0 {
		return 0
	}
	own := int64(0)
	for _, name := range names {
		own += c[name]
	}
	return float64(own) * float64(len(c)) / float64(c.sum()) / float64(len(names))
}

// watch counts requests for one phase.
func (env *environment) watch(ctx context.Context) (counts, error) {
	before := env.requestCounts()
	err := pause(ctx, env.runner.Phase)
	return env.requestCounts().since(before), err
}

// add starts n servers and returns their names.
func (env *environment) add(ctx context.Context, n int) ([]string, error) {
	env.addEvent(fmt.Sprintf("%d more servers are started", n))
	servers, err := env.fleet.Launch(ctx, n)
	var names []string
	for _, server := range servers {
		names = append(names, server.Name)
	}
	return names, err
}

// remove stops a server as a deployment does, and waits until it has ended.
func (env *environment) remove(ctx context.Context, name string) error {
	env.addEvent(name + " is to stop")
	stopped, err := env.fleet.Stop(name)
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

// assertNoImpact asserts that no request of a load test failed and no session was affected.
func (o *Observation) assertNoImpact(with string, r load.Result) {
	o.assertAtLeast("requests sent"+with, float64(r.Requests), 1)
	o.assertAtLeast("sessions checked"+with, float64(r.Sessions.Total), 1)
	o.assertAtMost("failed requests"+with, float64(r.Requests-r.OK), 0)
	o.assertAtMost("consistency violations"+with, float64(r.Sessions.Violations()), 0)
}

// addLoadTable adds a table of the results of a load test.
func (o *Observation) addLoadTable(r load.Result) {
	o.Tables = append(o.Tables, Table{Title: "Load test", Columns: []string{"figure", "value"}, Rows: [][]any{
		{"requests", r.Requests}, {"failed", r.Requests - r.OK}, {"sessions", r.Sessions.Total},
		{"sessions lost", r.Sessions.Lost}, {"updates lost", r.Sessions.LostUpdates},
		{"stale reads, cross-session leaks, sessions alive after logout", r.Sessions.StaleReads + r.Sessions.CrossSessionLeaks + r.Sessions.AliveAfterLogout},
		{"p50, ms", r.Latency.P50}, {"p99, ms", r.Latency.P99}, {"max, ms", r.Latency.Max},
	}})
}

// drawServers adds a chart of the requests per second of each server.
func (o *Observation) drawServers(name, run string, r load.Result) {
	title := "Requests per server and second"
	if run != "" {
		title += ", " + run
	}
	o.Charts = append(o.Charts, Chart{name, report.Servers(r, title)})
}

// slowRequests is the duration of the requests that are in flight when a server is stopped.
const slowRequests = time.Second

// answered counts the responses with status 200, and those of them from the named servers.
func answered(responses []response, names ...string) (ok, theirs int) {
	for _, r := range responses {
		if r.status == 200 {
			ok++
			if slices.Contains(names, r.server) {
				theirs++
			}
		}
	}
	return ok, theirs
}
