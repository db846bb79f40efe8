package experiment

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"stateless-servers/app/config"
)

// storeOutage makes the store hang, and refuse connections, and records the responses of every route meanwhile.
type storeOutage struct{ setups []setup }

func newStoreOutage() storeOutage {
	e := storeOutage{}
	for _, kind := range sharedStores() {
		e.setups = append(e.setups, setup{store: kind, servers: 2, link: true, change: defaultTimeout})
	}
	return e
}

// defaultTimeout sets the servers' default timeout for the store.
func defaultTimeout(_ context.Context, c *config.Config) (func() error, error) {
	c.StoreTimeout = config.Default().StoreTimeout
	return func() error { return nil }, nil
}

func (storeOutage) Name() string { return "store-outage" }

func (storeOutage) Claim() string {
	return "While the store hangs or refuses connections, requests that need a session get a 503 with Retry-After, and " +
		"all others work. When the store is back, the sessions are back, without a restart."
}

// route is a request, and whether it needs the store.
type route struct {
	method, path string
	form         url.Values
	cookie       bool // is sent by a visitor who has a session
	needsStore   bool
}

func (r route) String() string {
	text := r.method + " " + r.path
	if r.path == "/api/session" {
		text += map[bool]string{true: " (has a session)", false: " (has none)"}[r.cookie]
	}
	return text
}

func outageRoutes() []route {
	return []route{
		{http.MethodGet, "/none", nil, true, false},
		{http.MethodGet, "/healthz", nil, false, false},
		{http.MethodGet, "/api/session", nil, false, false},
		{http.MethodGet, "/api/session", nil, true, true},
		{http.MethodPost, "/api/visits", nil, true, true},
		{http.MethodPost, "/login", url.Values{"user": {"ada"}}, true, true},
		{http.MethodGet, "/readyz", nil, false, true},
	}
}

// healTimeout bounds the wait for a store that is available again.
const healTimeout = 30 * time.Second

func (e storeOutage) Run(ctx context.Context, runner *Runner) (Observation, error) {
	o := Observation{Advice: "Give the store its own timeout, well below the load balancer's. Health checks must not " +
		"call the store: an outage of a minute must not remove every server from the load balancer."}
	o.set("fleet", "%d servers; a store has %v to answer", e.setups[0].servers, config.Default().StoreTimeout)
	table := Table{Title: "Status, and how long it took in ms", Columns: []string{"route"}}
	for _, r := range outageRoutes() {
		table.Rows = append(table.Rows, []any{r.String()})
	}
	healed := Table{
		Title: "Time to the first response with the session, in ms", Columns: []string{"sessions in", "after it hung", "after it refused"},
	}
	for _, s := range e.setups {
		if err := e.observe(ctx, runner, s, &o, &table, &healed); err != nil {
			return o, err
		}
	}
	o.Tables = append(o.Tables, table, healed)
	return o, nil
}

// observe tests one store.
func (e storeOutage) observe(ctx context.Context, runner *Runner, s setup, o *Observation, table, healed *Table) error {
	env, err := runner.open(ctx, s)
	if err != nil {
		return err
	}
	defer env.Close()
	visitor := newClient(env.url)
	if _, err := visitor.must(ctx, http.MethodPost, "/api/visits", nil); err != nil {
		return err
	}
	row := []any{s.String()}
	for _, outage := range []struct {
		name       string
		begin, end func() error
	}{
		{"hangs", env.store.Server.Pause, env.store.Server.Resume},
		{"refuses", func() error { env.link.Refuse(); return nil }, env.link.Accept},
	} {
		when := s.String() + " " + outage.name
		runner.Report(when)
		if err := outage.begin(); err != nil {
			return err
		}
		table.Columns = append(table.Columns, when)
		var needing, refused, others, served int
		for i, r := range outageRoutes() {
			answer := e.ask(ctx, r, visitor)
			table.Rows[i] = append(table.Rows[i], fmt.Sprintf("%d, %d", answer.status, answer.took.Milliseconds()))
			if r.needsStore {
				needing++
				if answer.status == http.StatusServiceUnavailable && answer.retryAfter != "" {
					refused++
				}
			} else {
				others++
				if answer.status == http.StatusOK {
					served++
				}
			}
		}
		if err := outage.end(); err != nil {
			return err
		}
		o.assertAtLeast(fmt.Sprintf("routes that need the session and answer 503 with Retry-After, of %d, while %s", needing, when),
			float64(refused), float64(needing))
		o.assertAtLeast(fmt.Sprintf("routes that don't need it and answer 200, of %d, while %s", others, when),
			float64(served), float64(others))
		took, back := e.heal(ctx, visitor)
		row = append(row, took.Milliseconds())
		o.assertAtLeast("sessions alive again after "+when, float64(back), 1)
	}
	healed.Rows = append(healed.Rows, row)
	return nil
}

// ask sends the request from a copy of the visitor, so that the next request has the same cookies.
func (storeOutage) ask(ctx context.Context, r route, visitor *client) response {
	b := newClient(visitor.url)
	if r.cookie {
		b = visitor.copy()
	}
	return b.do(ctx, r.method, r.path, r.form)
}

// heal waits for the visitor's session, and returns the time that it took and the number of sessions found: 1 or 0.
func (storeOutage) heal(ctx context.Context, visitor *client) (time.Duration, int) {
	began := time.Now()
	for time.Since(began) < healTimeout && ctx.Err() == nil {
		if r := visitor.copy().do(ctx, http.MethodGet, "/api/session", nil); r.status == http.StatusOK {
			if r.state().Visits > 0 {
				return time.Since(began), 1
			}
			return time.Since(began), 0
		}
		_ = pause(ctx, 20*time.Millisecond)
	}
	return time.Since(began), 0
}
