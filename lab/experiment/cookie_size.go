package experiment

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"stateless-servers/app/config"
	"stateless-servers/lab/chart"
)

// cookieSize measures the cookies of growing sessions, and races requests of one session that is in a cookie.
type cookieSize struct{ server, client setup }

func newCookieSize() cookieSize {
	return cookieSize{setup{store: config.StoreValkey, servers: 2}, setup{store: config.StoreCookie, servers: 2}}
}

func (cookieSize) Name() string { return "cookie-size" }

func (cookieSize) Claim() string {
	return "A session in the visitor's cookie travels with every request, grows with its contents, and loses updates " +
		"of overlapping requests. With a session in a store, the cookie keeps its size and no update is lost."
}

// step is one request of a sequence that fills a session.
type step struct {
	name, path string
	form       url.Values
}

// fillSteps returns the requests that fill a session.
func fillSteps() []step {
	list := []step{{"a visit", "/api/visits", nil}}
	for _, sku := range []string{"rubber-duck", "coffee", "pager", "cactus", "socks", "umbrella"} {
		list = append(list, step{sku + " in the cart", "/api/cart/" + sku, url.Values{"quantity": {"1000"}}})
	}
	return append(list, step{"logged in", "/login", url.Values{"user": {strings.Repeat("a", 64)}}})
}

const overlapping = 20 // requests of one session at once

func (e cookieSize) Run(ctx context.Context, runner *Runner) (Observation, error) {
	o := Observation{Advice: "Keep only small values that seldom change in a cookie. The browser sends it with every " +
		"request, also for images, and uploads are slow."}
	o.set("visitor", "one, who visits, puts %d products into the cart and logs in", len(fillSteps())-2)
	o.set("overlap", "%d requests of one session at once, each adding a visit", overlapping)
	table := Table{Title: "Bytes of the header Cookie", Columns: []string{"after"}}
	for _, s := range fillSteps() {
		table.Rows = append(table.Rows, []any{s.name})
	}
	table.Rows = append(table.Rows, []any{"MB in a million requests, then"})
	lines := chart.Chart{
		Title: "Bytes of the header Cookie, as a session grows",
		X:     chart.Axis{Label: "changes of the session"}, Y: chart.Axis{Label: "bytes of the header Cookie"},
	}
	server, err := e.measure(ctx, runner, e.server)
	if err != nil {
		return o, err
	}
	client, err := e.measure(ctx, runner, e.client)
	if err != nil {
		return o, err
	}
	for _, w := range []cookieMeasurement{server, client} {
		table.Columns = append(table.Columns, w.name)
		line := chart.Series{Name: w.name}
		for i, size := range w.sizes {
			table.Rows[i] = append(table.Rows[i], size)
			line.Points = append(line.Points, chart.Point{X: float64(i + 1), Y: float64(size)})
		}
		last := len(w.sizes)
		table.Rows[last] = append(table.Rows[last], w.sizes[last-1]) // bytes per request are megabytes per million requests
		lines.Series = append(lines.Series, line)
	}
	o.Tables = append(o.Tables, table)
	kept := fmt.Sprintf("of %d overlapping visits, retained with ", overlapping)
	o.assertAtMost("bytes that the cookie grows with "+server.name, server.growth(), 0)
	o.assertAtLeast("bytes that the cookie grows with "+client.name, client.growth(), 100)
	o.assertAtLeast(kept+server.name, server.visits, overlapping)
	o.assertAtMost(kept+client.name, client.visits, overlapping-1)
	o.Charts = append(o.Charts, Chart{e.Name(), lines})
	return o, nil
}

// cookieMeasurement has the sizes of the cookies, and the retained updates, with one store.
type cookieMeasurement struct {
	name   string
	sizes  []int   // of the Cookie header, after each step
	visits float64 // the retained ones of the overlapping visits
}

func (m cookieMeasurement) growth() float64 { return float64(m.sizes[len(m.sizes)-1] - m.sizes[0]) }

// measure fills a session, and then races requests of another.
func (cookieSize) measure(ctx context.Context, runner *Runner, s setup) (cookieMeasurement, error) {
	w := cookieMeasurement{name: s.String()}
	env, err := runner.open(ctx, s)
	if err != nil {
		return w, err
	}
	defer env.Close()
	runner.Report("filling a session")
	b := newClient(env.url)
	for _, step := range fillSteps() {
		if _, err := b.must(ctx, http.MethodPost, step.path, step.form); err != nil {
			return w, err
		}
		w.sizes = append(w.sizes, b.cookieBytes())
	}
	runner.Report("racing requests of one session")
	b = newClient(env.url)
	if _, err := b.must(ctx, http.MethodPost, "/api/cart/coffee", url.Values{"quantity": {"1"}}); err != nil {
		return w, err
	}
	tabs := make([]*client, overlapping)
	errs := make([]error, overlapping)
	var group sync.WaitGroup
	for i := range tabs {
		tabs[i] = b.copy()
		group.Go(func() { _, errs[i] = tabs[i].must(ctx, http.MethodPost, "/api/visits?delay=200ms", nil) })
	}
	group.Wait()
	for _, err := range errs {
		if err != nil {
			return w, err
		}
	}
	// A browser keeps the cookie of the last response, which is the session.
	r, err := tabs[overlapping-1].must(ctx, http.MethodGet, "/api/session", nil)
	w.visits = float64(r.state().Visits)
	return w, err
}
