package chart

import (
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"stateless-servers/session/sessiontest/must"
)

var update = flag.Bool("update", false, "rewrite the golden pictures in testdata")

// fixedColour matches a colour that is not a CSS variable.
var fixedColour = regexp.MustCompile(`#[0-9A-Fa-f]{6}|rgb\(`)

func line(name string, ys ...float64) Series {
	s := Series{Name: name}
	for i, y := range ys {
		s.Points = append(s.Points, Point{float64(i), y})
	}
	return s
}

// Every picture matches its golden file, is well-formed, and uses only the page's colours.
func TestPictures(t *testing.T) {
	var many []Series
	for range 2 * len(palette) {
		many = append(many, line("server", 1, 2, 3))
	}
	x, y, logY := Axis{Label: "x"}, Axis{Label: "y"}, Axis{Label: "y", Kind: Log}
	for name, c := range map[string]Chart{
		"lines": {Title: "<lines>", X: x, Y: y, Series: many, Marks: []Mark{{1, "1"}}},
		"stacked": {X: x, Y: y, Stacked: true, Series: []Series{
			{"server-1", line("", 1, 2, 3).Points, ServerClass(1)}, {"server-2", line("", 3, 0, 1).Points, ServerClass(2)},
			{"failed", line("", 0, 5, 0).Points, FailedClass},
		}},
		"nothing": {X: x, Y: y},
		"zeroes":  {X: x, Y: y, Series: []Series{line("a", 0, 0)}},
		"heights": {X: x, Y: logY, Series: []Series{line("a", 0, 0.5, 5000)}, Marks: []Mark{{1, "1"}}},
		"flat":    {X: x, Y: logY, Series: []Series{line("a", 0, 0)}},
		"point":   {X: x, Y: y, Series: []Series{line("a", 5)}},
		"percentiles": {
			X: Axis{"percentile", Percentile}, Y: Axis{Label: "ms"},
			Series: []Series{{Name: "a", Points: []Point{{0, 1}, {99.95, 50}, {100, 60}}}, line("b & c", 1)},
			Marks:  []Mark{{0, "1"}, {99.9, "2"}, {99.905, "3"}, {99.91, "4"}},
		},
		"rings": {
			X: Axis{"requests a second", Log}, Y: Axis{"USD a month", Log},
			Series: []Series{{Name: "a", Points: []Point{{1, 100}, {1000, 100}}}, {Name: "b", Points: []Point{{1, 10}, {1000, 10_000}}}},
			Rings:  []Ring{{10, 100, "1,2"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			svg := c.SVG() + c.Narrow()
			if found := fixedColour.FindAllString(svg, -1); found != nil || !strings.Contains(svg, "var(--chart-ink)") {
				t.Errorf("the picture has fixed colours %v, want only CSS variables", found)
			}
			if strings.Contains(svg, "NaN") || strings.Contains(svg, "Inf") {
				t.Error("the picture has coordinates that are not finite")
			}
			file := c.File()
			for decoder := xml.NewDecoder(strings.NewReader(file)); ; {
				if _, err := decoder.Token(); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					t.Fatalf("not XML: %v\n%s", err, file)
				}
			}
			golden := filepath.Join("testdata", name+".golden.svg")
			if *update {
				must.Succeed(t, os.WriteFile(golden, []byte(file), 0o600))
			}
			if want, err := os.ReadFile(golden); err != nil || file != string(want) {
				t.Errorf("the picture differs from %s (%v); -update rewrites the file", golden, err)
			}
		})
	}
}

func TestPercentileAxisStretchesTheNines(t *testing.T) {
	place := Percentile.place
	if a, b := place(99)-place(90), place(99.9)-place(99); math.Abs(a-b) > 1e-9 || math.IsInf(place(100), 0) {
		t.Errorf("90 to 99 takes %g and 99 to 99.9 takes %g, want the same; 100 lies at %g, want a finite place", a, b, place(100))
	}
}

func TestTicks(t *testing.T) {
	for _, test := range []struct {
		scale scale
		want  []float64
	}{
		{scale{low: 0, high: 56}, []float64{0, 20, 40}},
		{scale{low: 0, high: 0.4}, []float64{0, 0.1, 0.2, 0.30000000000000004, 0.4}},
		{scale{low: 3, high: 11}, []float64{4, 6, 8, 10}},
		{scale{Axis: Axis{Kind: Log}, low: 0.5, high: 11}, []float64{0.5, 1, 2, 5, 10}},
		{scale{Axis: Axis{Kind: Percentile}, low: 0, high: 99.95}, []float64{0, 50, 90, 99, 99.9}},
	} {
		if got := test.scale.ticks(ySteps); !slices.Equal(got, test.want) {
			t.Errorf("ticks from %g to %g: %v, want %v", test.scale.low, test.scale.high, got, test.want)
		}
	}
}

// The vertical axis of columns ends at a round number, at most half above the highest column.
func TestTopOfColumns(t *testing.T) {
	for highest, want := range map[float64]float64{0: 10, 10: 10, 10.1: 15, 99: 100, 101: 150, 207: 250, 850: 1000} {
		if _, got := (Chart{Series: []Series{line("a", highest/2), line("b", highest/2)}}).Columns(1); got != want {
			t.Errorf("the top of %v is %v, want %v", highest, got, want)
		}
	}
}
