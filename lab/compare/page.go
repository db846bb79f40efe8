package compare

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	g "maragu.dev/gomponents"
	c "maragu.dev/gomponents/components"
	h "maragu.dev/gomponents/html"

	"stateless-servers/lab/chart"
	"stateless-servers/lab/cost"
)

// pageStyle is the style sheet of the page; chart.Style has the colours of the chart.
const pageStyle = `:root{color-scheme:light dark;--text:#1a1a1a;--page:#fff;--line:#ccc;--soft:#f4f4f4}
@media(prefers-color-scheme:dark){:root{--text:#eaeaea;--page:#16181b;--line:#44484e;--soft:#22262b}}
body{margin:0 auto;max-width:72rem;padding:1.5rem;color:var(--text);background:var(--page);font:1rem/1.5 system-ui,sans-serif}
figure{margin:1.5rem 0}svg{width:100%;height:auto}.wide{overflow-x:auto}
svg+svg{display:none}@media(max-width:600px){svg:has(+svg){display:none}svg+svg{display:block}}
table{border-collapse:collapse;margin:1rem 0;font-variant-numeric:tabular-nums}
th,td{padding:.25rem .6rem;border-bottom:1px solid var(--line);text-align:left;vertical-align:top}
.number{text-align:right}thead th{border-bottom-width:2px}
ul{padding-left:1rem;list-style:none;overflow-wrap:anywhere}code{font-size:.85rem}
summary{cursor:pointer}`

// WriteHTML writes the report as one page that loads nothing from the network. A table repeats the numbers of the chart.
func (r Report) WriteHTML(w io.Writer) error {
	var body []g.Node
	for _, b := range r.document() {
		switch {
		case b.chart:
			body = append(body, h.H2(g.Text("Cost over traffic")), r.chart(), r.curveTable())
		case b.heading != "":
			body = append(body, h.H2(g.Text(b.heading)))
		case b.table != nil:
			body = append(body, b.table.node(""))
		case b.list != nil:
			body = append(body, h.Ul(g.Map(b.list, func(item string) g.Node { return h.Li(h.Code(g.Text(item))) })))
		default:
			body = append(body, h.P(g.Text(b.text)))
		}
	}
	body = append(body, r.priceTable())
	page := c.HTML5(c.HTML5Props{
		Title: "Session stores compared", Language: "en",
		Head: []g.Node{
			h.Link(h.Rel("icon"), h.Href("data:,")), // keeps the browser from requesting /favicon.ico
			h.StyleEl(g.Raw(pageStyle + chart.Style())),
		},
		Body: []g.Node{h.Main(append([]g.Node{h.H1(g.Text("Session stores compared"))}, body...)...)},
	})
	return page.Render(w)
}

// chart draws cost over traffic: a line for each variant, by what it costs more than the cheapest one, and a ring where two lines
// cross. Similar variants share a line.
func (r Report) chart() g.Node {
	curves := chart.Chart{
		Title: "Monthly cost over traffic, compared with the cheapest variant. The tables have the numbers.",
		X:     chart.Axis{Label: "requests per second", Kind: chart.Log}, Y: chart.Axis{Label: "% above the cheapest variant"},
	}
	line := map[string]int{} // the index of the line of each variant
	var drawn []cost.Curve   // the first variant of each line
	for _, curve := range r.Curves {
		i := slices.IndexFunc(drawn, func(other cost.Curve) bool { return similar(curve, other) })
		if i < 0 {
			i, drawn = len(drawn), append(drawn, curve)
			curves.Series = append(curves.Series, chart.Series{Name: curve.Name})
			for n, p := range curve.Points {
				cheapest := p.USD
				for _, other := range r.Curves {
					cheapest = min(cheapest, other.Points[n].USD)
				}
				curves.Series[i].Points = append(curves.Series[i].Points, chart.Point{X: p.RequestsPerSecond, Y: 100 * (p.USD/cheapest - 1)})
			}
		} else {
			curves.Series[i].Name += ", " + curve.Name
		}
		line[curve.Name] = i
	}
	for i, crossing := range r.Crossings {
		of := line[crossing.CheaperBelow]
		if of == line[crossing.CheaperAbove] {
			continue
		}
		points, x := curves.Series[of].Points, crossing.RequestsPerSecond
		n := slices.IndexFunc(points, func(p chart.Point) bool { return p.X >= x })
		a, b := points[max(0, n-1)], points[n]
		ring := chart.Ring{X: x, Y: b.Y, Label: fmt.Sprint(i + 1)}
		if b.X > a.X {
			ring.Y -= (b.Y - a.Y) * math.Log(b.X/x) / math.Log(b.X/a.X)
		}
		if last := len(curves.Rings) - 1; last >= 0 && ring.X < 1.4*curves.Rings[last].X && math.Abs(ring.Y-curves.Rings[last].Y) < 10 {
			curves.Rings[last].Label += "," + ring.Label // two labels on top of each other would be unreadable
			continue
		}
		curves.Rings = append(curves.Rings, ring)
	}
	return h.Figure(g.Raw(curves.SVG()), g.Raw(curves.Narrow()), h.FigCaption(g.Text("Monthly cost above that of the cheapest "+
		"variant, over traffic. Variants whose costs differ by at most 5 % at every level of traffic share a line. "+
		"A ring marks where two variants cost the same; its number is the row of the table.")))
}

// similar reports whether two curves differ by at most 5 % at every point.
func similar(a, b cost.Curve) bool {
	for i := range a.Points {
		if math.Abs(math.Log(a.Points[i].USD/b.Points[i].USD)) > math.Log(1.05) {
			return false
		}
	}
	return true
}

// curveTable lists the points of the chart, three for each power of ten of the traffic.
func (r Report) curveTable() g.Node {
	t := table{head: []string{"requests/s"}}
	for _, curve := range r.Curves {
		t.head = append(t.head, curve.Name)
	}
	for i := 0; len(r.Curves) > 0 && i < len(r.Curves[0].Points); i += cost.PerDecade / 3 {
		row := []string{fmt.Sprintf("%.3g", r.Curves[0].Points[i].RequestsPerSecond)}
		for _, curve := range r.Curves {
			row = append(row, usd(curve.Points[i].USD))
		}
		t.rows = append(t.rows, row)
	}
	return h.Details(h.Summary(g.Text("Numbers of the chart")), t.node("USD per month"))
}

// priceTable lists the prices that the bills use.
func (r Report) priceTable() g.Node {
	t := table{head: []string{"item", "unit", "source", "date", "status", "USD"}, textColumns: 5}
	seen := map[string]bool{}
	for _, v := range r.Variants {
		for _, l := range v.Bill.Lines {
			if p := l.Price; !seen[p.Item] {
				seen[p.Item] = true
				status := "verified"
				if !p.Verified {
					status = "unverified"
				}
				t.rows = append(t.rows, []string{p.Item, p.Unit, p.Source, p.Date, status, fmt.Sprintf("%g", p.USD)})
			}
		}
	}
	return h.Details(h.Summary(g.Text("Every price, with its source")), t.node("Prices of "+r.Region))
}

// node renders the table as HTML, in a region that scrolls sideways. An empty caption is left out.
func (t table) node(caption string) g.Node {
	cell := func(element func(...g.Node) g.Node) func(int, string) g.Node {
		return func(i int, text string) g.Node {
			return element(g.If(i >= t.textColumns, h.Class("number")), g.Text(text))
		}
	}
	row := func(cells []string, render func(int, string) g.Node) g.Node {
		var nodes []g.Node
		for i, text := range cells {
			nodes = append(nodes, render(i, text))
		}
		return h.Tr(nodes...)
	}
	head := cell(func(nodes ...g.Node) g.Node { return h.Th(append(nodes, g.Attr("scope", "col"))...) })
	body := func(i int, text string) g.Node {
		if i == 0 {
			return h.Th(g.Attr("scope", "row"), g.If(t.textColumns == 0, h.Class("number")), g.Text(text))
		}
		return cell(h.Td)(i, text)
	}
	label := "Table: " + strings.Join(t.head, ", ")
	return h.Div(h.Class("wide"), g.Attr("tabindex", "0"), h.Role("region"), g.Attr("aria-label", label),
		h.Table(g.If(caption != "", h.Caption(g.Text(caption))),
			h.THead(row(t.head, head)),
			h.TBody(g.Map(t.rows, func(cells []string) g.Node { return row(cells, body) }))))
}
