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

// resource is a resource of a server process, whose usage must not grow.
type resource struct {
	name, unitName string // unitName is empty for a count
	metric         string
	unit           float64 // one unit, in units of the metric
	// maxGrowth is the greatest allowed difference between the medians of the last and the first third.
	maxGrowth float64
}

// String returns the name with the unit.
func (r resource) String() string {
	if r.unitName == "" {
		return r.name
	}
	return r.name + ", " + r.unitName
}

const (
	residentMemory = iota
	heap
	goroutines
	descriptors
	resourceCount
)

const megabyte = 1 << 20

// resources returns the resources to measure. In twenty minutes, 720 seconds lie between the middle of the first and of the
// last third: 24,000 requests of one server of three, and 48 faults. A leak of 200 bytes per request is 4.6 MB of heap by
// then, while the heap of a server without a leak varies by about 2 MB. Resident memory follows the largest heap. Goroutines
// and descriptors follow the connections: a fault leaves dozens for some seconds, and more on a busy machine. assertNoLeak
// finds those that remain.
func resources() [resourceCount]resource {
	return [resourceCount]resource{
		residentMemory: {"resident memory", "MB", "process_resident_memory_bytes", megabyte, 12},
		heap:           {"heap in use", "MB", "go_memstats_heap_inuse_bytes", megabyte, 4},
		goroutines:     {"goroutines", "", "go_goroutines", 1, 100},
		descriptors:    {"file descriptors", "", "process_open_fds", 1, 100},
	}
}

// sample is the resource usage of a server at one time.
type sample struct {
	at    time.Duration
	usage [resourceCount]float64
}

// meter reads the resource usage of a server from its metrics.
type meter struct {
	url    string
	client *http.Client
}

// meterTimeout bounds one reading. It is generous, since the machine may be busy.
const meterTimeout = 5 * time.Second

func newMeter(url string) meter {
	// Each reading uses a new connection, so that the server has the same number of connections at every reading.
	return meter{url, &http.Client{Timeout: meterTimeout, Transport: &http.Transport{DisableKeepAlives: true}}}
}

const (
	samplesWanted = 400 // the approximate number of samples of a run, enough for a chart
	readPause     = 100 * time.Millisecond
)

// watch takes samples until length has passed since began. It leaves out readings that fail.
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
		one.usage[i] = metrics[0].GetGauge().GetValue() / r.unit
	}
	return one, nil
}

// warmUpShare is the share of the run, at its start, without samples: caches, pools and buffers fill.
const warmUpShare = 0.1

// assertNoGrowth asserts that the median usage in the last third of the run, after the warm-up, does not exceed that in the
// first third by more than the resource's maxGrowth.
func (o *Observation) assertNoGrowth(samples []sample, length time.Duration) {
	warmUp := time.Duration(warmUpShare * float64(length))
	third := (length - warmUp) / 3
	table := Table{Title: "Resource usage of " + survivor, Columns: []string{
		"resource", "median of the first third", "median of the last third", "growth", "min", "max"}}
	between := func(from, to time.Duration) (part []sample) {
		for _, one := range samples {
			if from <= one.at && one.at < to {
				part = append(part, one)
			}
		}
		return part
	}
	all, first, last := between(warmUp, length), between(warmUp, warmUp+third), between(length-third, length)
	o.assertAtLeast("measurements of "+survivor+" in the first or the last third, whichever has fewer", float64(min(len(first), len(last))), 1)
	if len(first) == 0 || len(last) == 0 {
		return
	}
	for i, r := range resources() {
		growth := median(last, i) - median(first, i)
		o.assertAtMost("growth of "+r.String(), growth, r.maxGrowth)
		values := resourceValues(all, i)
		table.Rows = append(table.Rows, []any{
			r.String(), median(first, i), median(last, i), growth, slices.Min(values), slices.Max(values)})
	}
	o.Tables = append(o.Tables, table)
}

const (
	idleLength = 2 * time.Second // the time to measure an idle server; some readings fall between health checks
	// maxLeak is the greatest allowed difference of goroutines and descriptors, since the runtime starts and ends some
	// goroutines. A leak of one per ten faults exceeds it after twenty minutes.
	maxLeak = 5
)

// assertNoLeak is the leak check: an idle server must not have more goroutines and descriptors after the load than before it.
// It compares the least of each, because health checks and readings add some for a moment.
func (o *Observation) assertNoLeak(before, after []sample) {
	n := min(len(before), len(after))
	o.assertAtLeast("measurements of "+survivor+" before or after the load, whichever has fewer", float64(n), 1)
	if n == 0 {
		return
	}
	for _, i := range []int{goroutines, descriptors} {
		growth := slices.Min(resourceValues(after, i)) - slices.Min(resourceValues(before, i))
		o.assertAtMost(resources()[i].name+" after the load, less those before it", growth, maxLeak)
	}
}

// resourceValues returns the values of one resource.
func resourceValues(samples []sample, resource int) []float64 {
	values := make([]float64, len(samples))
	for i, one := range samples {
		values[i] = one.usage[resource]
	}
	return values
}

func median(samples []sample, resource int) float64 {
	values := resourceValues(samples, resource)
	slices.Sort(values)
	return values[len(values)/2]
}

// drawSamples adds charts of the resource usage over time, with the events as marks.
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
				line.Points = append(line.Points, chart.Point{X: one.at.Seconds(), Y: one.usage[i]})
			}
			lines.Series = append(lines.Series, line)
		}
		o.Charts = append(o.Charts, Chart{name + "-" + picture.name, lines})
	}
}
