package chart

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"regexp"
	"strings"
	"testing"
)

// drawn returns the texts of an SVG, after a look whether it is one.
func drawn(t *testing.T, svg []byte) string {
	t.Helper()
	var texts []string
	decoder := xml.NewDecoder(strings.NewReader(string(svg)))
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return strings.Join(texts, "|")
		}
		if err != nil {
			t.Fatalf("not XML: %v\n%s", err, svg)
		}
		if data, ok := token.(xml.CharData); ok && strings.TrimSpace(string(data)) != "" {
			texts = append(texts, strings.TrimSpace(string(data)))
		}
	}
}

// colours are those that are neither a variable nor none.
var colours = regexp.MustCompile(`#[0-9A-Fa-f]{6}|rgb\(`)

func line(name string, ys ...float64) Series {
	s := Series{Name: name}
	for i, y := range ys {
		s.Points = append(s.Points, Point{float64(i), y})
	}
	return s
}

// Charts follow the page's colours, whatever is in them.
func TestColours(t *testing.T) {
	var many []Series
	for range 2 * len(palette) {
		many = append(many, line("server", 1, 2, 3))
	}
	for name, draw := range map[string]func() ([]byte, error){
		"lines":   Lines{X: "x", Y: "y", Series: many, Marks: []Mark{{1, "1"}}}.SVG,
		"nothing": Lines{X: "x", Y: "y"}.SVG,
		"zeroes":  Lines{X: "x", Y: "y", Series: []Series{line("a", 0, 0)}}.SVG,
		"heights": Lines{X: "x", Y: "y", LogY: true, Series: []Series{line("a", 0, 0.5, 5000)}, Marks: []Mark{{1, "1"}}}.SVG,
		"flat":    Lines{X: "x", Y: "y", LogY: true, Series: []Series{line("a", 0, 0)}}.SVG,
		"a point": Lines{X: "x", Y: "y", Series: []Series{line("a", 5)}}.SVG,
	} {
		t.Run(name, func(t *testing.T) {
			svg, err := draw()
			if err != nil {
				t.Fatal(err)
			}
			drawn(t, svg)
			if found := colours.FindAllString(string(svg), -1); found != nil {
				t.Errorf("fixed colours: %v", found)
			}
			if !strings.Contains(string(svg), "var(--chart-ink)") {
				t.Error("no variables")
			}
			if strings.Contains(string(svg), "NaN") || strings.Contains(string(svg), "Inf") {
				t.Error("it has places that are none")
			}
			file := File(svg, "a <chart>")
			if texts := drawn(t, file); !strings.Contains(texts, "a <chart>") || !strings.Contains(texts, "prefers-color-scheme:dark") {
				t.Errorf("a file of its own has %s", texts)
			}
		})
	}
}

func TestWhatIsWritten(t *testing.T) {
	svg, err := Lines{
		X: "percentile", Y: "ms", Percentiles: true,
		Series: []Series{{Name: "a", Points: []Point{{0, 1}, {99.95, 50}, {100, 60}}}, line("b & c", 1)},
		Marks:  []Mark{{0, "1"}, {99.9, "2"}, {99.905, "3"}, {99.91, "4"}},
	}.SVG()
	if err != nil {
		t.Fatal(err)
	}
	texts := "|" + drawn(t, svg) + "|"
	for _, text := range []string{"percentile", "ms", "a", "b & c", "50", "90", "99", "99.9", "99.99", "1", "2–4"} {
		if !strings.Contains(texts, "|"+text+"|") {
			t.Errorf("%q is not in %s", text, texts)
		}
	}
	if strings.Contains(texts, ".00|") {
		t.Errorf("numbers with nothing behind the point: %s", texts)
	}
}

// From 90 to 99 there is as much room as from 99 to 99.9, and 100 has a place.
func TestPercentilesHaveRoom(t *testing.T) {
	l := Lines{Percentiles: true}
	if a, b := l.place(99)-l.place(90), l.place(99.9)-l.place(99); math.Abs(a-b) > 1e-9 || math.IsInf(l.place(100), 0) {
		t.Errorf("%g and %g, 100 at %g", a, b, l.place(100))
	}
}
