package experiment

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"stateless-servers/lab/chart"
)

// resource is something that a server takes, and must not take more and more of.
type resource struct {
	name, in string // in is the unit; empty for a number
	metric   string
	unit     float64 // in those of the metric
	// most is by how much the median of the last third may exceed that of the first.
	most float64
}

// String is the name with the unit.
func (r resource) String() string {
	if r.in == "" {
		return r.name
	}
	return r.name + ", " + r.in
}

const (
	residentMemory = iota
	heap
	goroutines
	descriptors
	resourceCount
)

const megabyte = 1 << 20

// resources are what is measured. Of twenty minutes, 720 seconds are between the middle of the first third and that of
// the last: 24 000 requests of one server of three, and 48 faults. A leak of 200 bytes a request is 4.6 MB of heap by then,
// while that of a steady server goes up and down by some 2 MB. Its resident memory follows the highest heap there was.
// Goroutines and descriptors follow the connections, of which a fault leaves dozens for some seconds, and a machine that
// is busy with something else more; what a server keeps of them for good, settled finds.
func resources() [resourceCount]resource {
	return [resourceCount]resource{
		residentMemory: {"resident memory", "MB", "process_resident_memory_bytes", megabyte, 12},
		heap:           {"heap in use", "MB", "go_memstats_heap_inuse_bytes", megabyte, 4},
		goroutines:     {"goroutines", "", "go_goroutines", 1, 100},
		descriptors:    {"file descriptors", "", "process_open_fds", 1, 100},
	}
}

// sample is what a server took at a time.
type sample struct {
	at    time.Duration
	takes [resourceCount]float64
}

// meter reads what a server says of itself.
type meter struct {
	url    string
	client *http.Client
}

// meterTimeout bounds one reading: a machine that is busy with something else proves nothing.
const meterTimeout = 5 * time.Second

func newMeter(url string) meter {
	// A connection each, so that the server has the same number of them at every reading.
	return meter{url, &http.Client{Timeout: meterTimeout, Transport: &http.Transport{DisableKeepAlives: true}}}
}

const (
	samplesWanted = 400 // of a run, more or less: enough for a chart
	readPause     = 100 * time.Millisecond
)

// watch reads until length has passed since began. A reading that fails is left out; steady counts what there is.
func (m meter) watch(ctx context.Context, began time.Time, length time.Duration) ([]sample, error) {
	var samples []sample
	ticker := time.NewTicker(max(readPause, length/samplesWanted))
	defer ticker.Stop()
	for time.Since(began) < length {
		if one, err := m.read(ctx); err == nil {
			one.at = time.Since(began)
			samples = append(samples, one)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return samples, ctx.Err()
		}
	}
	return samples, nil
}

func (m meter) read(ctx context.Context) (one sample, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, m.url, nil)
	if err != nil {
		return one, err
	}
	response, err := m.client.Do(request)
	if err != nil {
		return one, err
	}
	defer response.Body.Close()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(response.Body)
	if err != nil {
		return one, fmt.Errorf("reading %s: %w", m.url, err)
	}
	for i, r := range resources() {
		metrics := families[r.metric].GetMetric()
		if len(metrics) != 1 {
			return one, fmt.Errorf("reading %s: it has %d values of %s, not 1", m.url, len(metrics), r.metric)
		}
		one.takes[i] = metrics[0].GetGauge().GetValue() / r.unit
	}
	return one, nil
}

// warmUpShare is the part of the length, at its beginning, that isn't judged: caches, pools and buffers fill.
const warmUpShare = 0.1

// steady checks that a server takes no more in the last third of what follows the warm-up than in the first.
func (o *Observation) steady(samples []sample, length time.Duration) {
	warmUp := time.Duration(warmUpShare * float64(length))
	third := (length - warmUp) / 3
	table := Table{Title: "What " + survivor + " took", Columns: []string{
		"resource", "median of the first third", "median of the last third", "growth", "least", "most"}}
	between := func(from, to time.Duration) (part []sample) {
		for _, one := range samples {
			if from <= one.at && one.at < to {
				part = append(part, one)
			}
		}
		return part
	}
	all, first, last := between(warmUp, length), between(warmUp, warmUp+third), between(length-third, length)
	o.atLeast("measurements of "+survivor+" in the first third, or in the last if it has less", float64(min(len(first), len(last))), 1)
	if len(first) == 0 || len(last) == 0 {
		return
	}
	for i, r := range resources() {
		growth := median(last, i) - median(first, i)
		o.atMost("growth of "+r.String(), growth, r.most)
		values := takes(all, i)
		table.Rows = append(table.Rows, []any{
			r.String(), median(first, i), median(last, i), growth, slices.Min(values), slices.Max(values)})
	}
	o.Tables = append(o.Tables, table)
}

const (
	restLength = 2 * time.Second // in which a server is measured without visitors: some readings are between health checks
	// maxAtRest is by how much goroutines and descriptors may grow without visitors: the runtime has some goroutines that
	// come and go. One that is left by every tenth fault would show after twenty minutes.
	maxAtRest = 5
)

// settled checks that a server has no more goroutines and descriptors after the visitors than before them: the least of
// each, for health checks and readings come and go.
func (o *Observation) settled(before, after []sample) {
	n := min(len(before), len(after))
	o.atLeast("measurements of "+survivor+" before the visitors, or after them if there are less", float64(n), 1)
	if n == 0 {
		return
	}
	for _, i := range []int{goroutines, descriptors} {
		growth := slices.Min(takes(after, i)) - slices.Min(takes(before, i))
		o.atMost(resources()[i].name+" more after the visitors than before them", growth, maxAtRest)
	}
}

// takes are the values of one resource.
func takes(samples []sample, resource int) []float64 {
	values := make([]float64, len(samples))
	for i, one := range samples {
		values[i] = one.takes[resource]
	}
	return values
}

func median(samples []sample, resource int) float64 {
	values := takes(samples, resource)
	slices.Sort(values)
	return values[len(values)/2]
}

// drawSamples draws what a server took over time, with what happened meanwhile.
func (o *Observation) drawSamples(name string, samples []sample, events []Event) {
	var marks []chart.Mark
	for _, event := range events {
		marks = append(marks, chart.Mark{X: event.T, Label: fmt.Sprint(event.N)})
	}
	for _, picture := range []struct {
		name, title, y string
		resources      []int
	}{
		{"memory", "Memory of " + survivor + " over time, in MB", "MB", []int{residentMemory, heap}},
		{"counts", "Goroutines and file descriptors of " + survivor + " over time", "number", []int{goroutines, descriptors}},
	} {
		lines := chart.Chart{
			Title: picture.title, X: chart.Axis{Label: "seconds from the start"}, Y: chart.Axis{Label: picture.y}, Marks: marks,
		}
		for _, i := range picture.resources {
			line := chart.Series{Name: resources()[i].name}
			for _, one := range samples {
				line.Points = append(line.Points, chart.Point{X: one.at.Seconds(), Y: one.takes[i]})
			}
			lines.Series = append(lines.Series, line)
		}
		o.Charts = append(o.Charts, Chart{name + "-" + picture.name, lines})
	}
}
