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
	lines := chart.Lines{X: "changes of the session", Y: "bytes of the header Cookie"}
	sizes, visits := map[setupName][]int{}, map[setupName]int64{}
	for _, s := range []setup{e.server, e.client} {
		name := setupName(s.String())
		var err error
		if sizes[name], visits[name], err = e.weigh(ctx, lab, s); err != nil {
			return o, err
		}
		table.Columns = append(table.Columns, s.String())
		line := chart.Series{Name: s.String()}
		for i, size := range sizes[name] {
			table.Rows[i] = append(table.Rows[i], size)
			line.Points = append(line.Points, chart.Point{X: float64(i + 1), Y: float64(size)})
		}
		last := len(table.Rows) - 1
		table.Rows[last] = append(table.Rows[last], float64(sizes[name][len(sizes[name])-1])) // bytes of a million are megabytes
		lines.Series = append(lines.Series, line)
	}
	o.Tables = append(o.Tables, table)
	server, client := setupName(e.server.String()), setupName(e.client.String())
	o.atMost("bytes that the cookie grows with "+e.server.String(), float64(growth(sizes[server])), 0)
	o.atLeast("bytes that the cookie grows with "+e.client.String(), float64(growth(sizes[client])), 100)
	kept := fmt.Sprintf("of %d overlapping visits, kept with ", overlapping)
	o.atLeast(kept+e.server.String(), float64(visits[server]), overlapping)
	o.atMost(kept+e.client.String(), float64(visits[client]), overlapping-1)
	svg, err := lines.SVG()
	if err != nil {
		return o, err
	}
	const alt = "Bytes of the header Cookie, as a session grows"
	o.Charts = append(o.Charts, Chart{e.Name(), alt, chart.File(svg, alt)})
	return o, nil
}

type setupName string

func growth(sizes []int) int { return sizes[len(sizes)-1] - sizes[0] }

// weigh returns the size of the cookies after each stage, and how many of the overlapping visits are kept.
func (e cookieSize) weigh(ctx context.Context, lab *Lab, s setup) (sizes []int, visits int64, err error) {
	scene, err := lab.open(ctx, s)
	if err != nil {
		return nil, 0, err
	}
	defer scene.Close()
	lab.Report("filling a session")
	b := newBrowser(scene.url)
	for _, stage := range stages() {
		if _, err := b.must(ctx, http.MethodPost, stage.path, stage.form); err != nil {
			return nil, 0, err
		}
		sizes = append(sizes, len(b.header()))
	}
	lab.Report("racing requests of one session")
	b = newBrowser(scene.url)
	if _, err := b.must(ctx, http.MethodPost, "/api/cart/coffee", url.Values{"quantity": {"1"}}); err != nil {
		return nil, 0, err
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
			return nil, 0, err
		}
	}
	// The browser has the cookie of the answer that came last; what it says is the session.
	r, err := tabs[overlapping-1].must(ctx, http.MethodGet, "/api/session", nil)
	return sizes, r.state().Visits, err
}
