package dashboard

import (
	"encoding/json"
	"fmt"
	"html/template"
	"slices"
	"strconv"
	"strings"

	"stateless-servers/lab/chart"
)

// A chartView has the charts of a range over the same columns, one for each sample.
type chartView struct {
	Labels, Requests, Latency template.HTML
	Legend                    []legendEntry // of the requests
	Quantiles                 []legendEntry // of the latency
	Columns                   string        // JSON: for each column null, or its time of day and the texts of Legend and Quantiles
}

// A legendEntry explains a colour, and has the value of the newest sample.
type legendEntry struct {
	marker
	Name, Value string
	of          func(sample) string
}

// A marker is the colour and number that distinguish a server. The page of the sample application uses the same ones.
type marker struct {
	Class string `json:"-"`
	Tile  string `json:"-"` // at most two characters
}

// markerOf returns the marker of the server, which is called for example server-12.
func markerOf(name string) marker {
	n := chart.ServerNumber(name)
	return marker{chart.ServerClass(n), strconv.Itoa(n)}
}

// draw makes the charts of the samples, with a mark for each event in their time.
func draw(samples []sample, events []Event, minutes int) chartView {
	var v chartView
	requests, latency := chart.Chart{}, chart.Chart{Y: chart.Axis{Label: "ms"}}
	first := maxSamples - len(samples) // the newest column is at the right edge
	series := func(c *chart.Chart, class, name string, value func(sample) float64) {
		s := chart.Series{Name: name, Class: class}
		for i, sample := range samples {
			if y := value(sample); y > 0 {
				s.Points = append(s.Points, chart.Point{X: float64(first + i), Y: y})
			}
		}
		c.Series = append(c.Series, s)
	}
	perSecond := func(s sample, n int64) string { return tenth(s.rate(n)) }

	v.Legend = []legendEntry{{Name: "all", of: func(s sample) string { return perSecond(s, s.requests()) }}}
	var highest float64
	for _, name := range names(samples) {
		m := markerOf(name)
		v.Legend = append(v.Legend, legendEntry{m, name, "", func(s sample) string { return perSecond(s, s.servers[name].requests) }})
		series(&requests, m.Class, name, func(s sample) float64 { return s.rate(s.servers[name].requests - s.servers[name].failed) })
	}
	series(&requests, "failed", "failed", func(s sample) float64 {
		highest = max(highest, s.rate(s.requests()))
		servers, balancer := s.failed()
		return s.rate(servers + balancer)
	})
	v.Legend = append(v.Legend, legendEntry{marker{"failed", "!"}, "failed", "", func(s sample) string {
		servers, balancer := s.failed()
		return perSecond(s, servers+balancer)
	}})
	v.Quantiles = []legendEntry{
		{marker{"p50", ""}, "median", "", func(s sample) string { return milliseconds(s.P50) }},
		{marker{"p99", ""}, "99th percentile", "", func(s sample) string { return milliseconds(s.P99) }},
	}
	series(&latency, "p50", "median", func(s sample) float64 { return s.P50 })
	series(&latency, "p99", "99th percentile", func(s sample) float64 { return s.P99 })

	for _, event := range events {
		i := slices.IndexFunc(samples, func(s sample) bool { return !s.at.Before(event.At) })
		if i > 0 || i == 0 && event.At.After(samples[0].at.Add(-samples[0].length)) {
			text, _, _ := strings.Cut(event.Text, ":")
			requests.Marks = append(requests.Marks, chart.Mark{X: float64(first + i), Label: fmt.Sprintf("%d %s", event.Number, text)})
		}
	}
	latency.Marks = requests.Marks

	columns := make([][]string, maxSamples)
	entries := slices.Concat(v.Legend, v.Quantiles)
	for i, s := range samples {
		columns[first+i] = []string{s.at.Format("15:04:05")}
		for _, entry := range entries {
			columns[first+i] = append(columns[first+i], entry.of(s))
		}
	}
	for i := range entries {
		value := "–"
		if last := columns[maxSamples-1]; last != nil {
			value = last[i+1]
		}
		if i < len(v.Legend) {
			v.Legend[i].Value = value
		} else {
			v.Quantiles[i-len(v.Legend)].Value = value
		}
	}
	text, _ := json.Marshal(columns) // strings can't fail
	v.Columns = string(text)

	now := v.Legend[0].Value
	requests.Title = fmt.Sprintf("Requests per second in the last %s: %s now, %.0f at most. The slider below has the values.", rangeName(minutes), now, highest)
	latency.Title = fmt.Sprintf("Latency in the last %s: median %s, 99th percentile %s now.", rangeName(minutes), v.Quantiles[0].Value, v.Quantiles[1].Value)
	columnsSVG, _ := requests.Columns(maxSamples)
	v.Labels = template.HTML(requests.Labels(maxSamples)) // #nosec G203 -- package chart escapes all texts
	v.Requests = template.HTML(columnsSVG)                // #nosec G203 -- as above
	v.Latency = template.HTML(latency.Lines(maxSamples))  // #nosec G203 -- as above
	return v
}

// names returns the names of the servers that responded, in natural order: server-2 before server-10.
func names(samples []sample) (list []string) {
	for _, s := range samples {
		for name := range s.servers {
			if name != "" && !slices.Contains(list, name) {
				list = append(list, name)
			}
		}
	}
	slices.SortFunc(list, chart.CompareNames)
	return list
}

// tenth returns n with at most one decimal.
func tenth(n float64) string { return strconv.FormatFloat(roundToTenth(n), 'f', -1, 64) }

// milliseconds returns a latency for people. 0 means that there is none.
func milliseconds(n float64) string {
	if n == 0 {
		return "–"
	}
	return tenth(n) + " ms"
}

// rangeName returns the range for people, such as "5 minutes".
func rangeName(minutes int) string {
	if minutes == 1 {
		return "minute"
	}
	return fmt.Sprintf("%d minutes", minutes)
}
