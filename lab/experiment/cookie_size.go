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

// cookieSize weighs the cookies of visitors whose sessions grow, and races requests of one session that is in a cookie.
type cookieSize struct{ server, client setup }

func newCookieSize() cookieSize {
	return cookieSize{setup{store: config.StoreValkey, servers: 2}, setup{store: config.StoreCookie, servers: 2}}
}

func (cookieSize) Name() string { return "cookie-size" }

func (cookieSize) Claim() string {
	return "A session in the visitor's cookie travels with every request, grows with what is in it, and loses " +
		"updates of requests that overlap. The cookie of a session in a store keeps its size, and loses none."
}

// stage is what a visitor does, after what came before.
type stage struct {
	name, path string
	form       url.Values
}

// stages fill a session.
func stages() []stage {
	list := []stage{{"a visit", "/api/visits", nil}}
	for _, sku := range []string{"rubber-duck", "coffee", "pager", "cactus", "socks", "umbrella"} {
		list = append(list, stage{sku + " in the cart", "/api/cart/" + sku, url.Values{"quantity": {"1000"}}})
	}
	return append(list, stage{"logged in", "/login", url.Values{"user": {strings.Repeat("a", 64)}}})
}

const overlapping = 20 // requests of one session at once

func (e cookieSize) Run(ctx context.Context, lab *Lab) (Observation, error) {
	o := Observation{Advice: "Keep in a cookie what is small and seldom changes. It goes with every request, also " +
		"for images, and upstream, where lines are slow."}
	o.set("visitor", "one, who visits, puts %d products into the cart and logs in", len(stages())-2)
	o.set("overlap", "%d requests of one session at once, each adding a visit", overlapping)
	table := Table{Title: "Bytes of the header Cookie", Columns: []string{"after"}}
	for _, s := range stages() {
		table.Rows = append(table.Rows, []any{s.name})
	}
	table.Rows = append(table.Rows, []any{"MB in a million requests, then"})
	lines := chart.Chart{
		Title: "Bytes of the header Cookie, as a session grows",
		X:     chart.Axis{Label: "changes of the session"}, Y: chart.Axis{Label: "bytes of the header Cookie"},
	}
	server, err := e.weigh(ctx, lab, e.server)
	if err != nil {
		return o, err
	}
	client, err := e.weigh(ctx, lab, e.client)
	if err != nil {
		return o, err
	}
	for _, w := range []weight{server, client} {
		table.Columns = append(table.Columns, w.name)
		line := chart.Series{Name: w.name}
		for i, size := range w.sizes {
			table.Rows[i] = append(table.Rows[i], size)
			line.Points = append(line.Points, chart.Point{X: float64(i + 1), Y: float64(size)})
		}
		last := len(w.sizes)
		table.Rows[last] = append(table.Rows[last], w.sizes[last-1]) // bytes of a million are megabytes
		lines.Series = append(lines.Series, line)
	}
	o.Tables = append(o.Tables, table)
	kept := fmt.Sprintf("of %d overlapping visits, kept with ", overlapping)
	o.atMost("bytes that the cookie grows with "+server.name, server.growth(), 0)
	o.atLeast("bytes that the cookie grows with "+client.name, client.growth(), 100)
	o.atLeast(kept+server.name, server.visits, overlapping)
	o.atMost(kept+client.name, client.visits, overlapping-1)
	o.Charts = append(o.Charts, Chart{e.Name(), lines})
	return o, nil
}

// weight is what one place for sessions does to cookies.
type weight struct {
	name   string
	sizes  []int   // of the cookies, after each stage
	visits float64 // of those that overlapped, kept
}

func (w weight) growth() float64 { return float64(w.sizes[len(w.sizes)-1] - w.sizes[0]) }

// weigh fills a session, and then races requests of another.
func (cookieSize) weigh(ctx context.Context, lab *Lab, s setup) (weight, error) {
	w := weight{name: s.String()}
	scene, err := lab.open(ctx, s)
	if err != nil {
		return w, err
	}
	defer scene.Close()
	lab.Report("filling a session")
	b := newBrowser(scene.url)
	for _, stage := range stages() {
		if _, err := b.must(ctx, http.MethodPost, stage.path, stage.form); err != nil {
			return w, err
		}
		w.sizes = append(w.sizes, b.size())
	}
	lab.Report("racing requests of one session")
	b = newBrowser(scene.url)
	if _, err := b.must(ctx, http.MethodPost, "/api/cart/coffee", url.Values{"quantity": {"1"}}); err != nil {
		return w, err
	}
	tabs := make([]*browser, overlapping)
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
	// The browser has the cookie of the answer that came last; what it says is the session.
	r, err := tabs[overlapping-1].must(ctx, http.MethodGet, "/api/session", nil)
	w.visits = float64(r.state().Visits)
	return w, err
}
