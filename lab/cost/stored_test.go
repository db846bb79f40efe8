package cost

import (
	"fmt"
	"math"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// takenRow matches a row of the experiment's table: store, sessions, bytes of a session, logged in, bytes taken.
var takenRow = regexp.MustCompile(`(?m)^\| ([a-z]+) \| [0-9]+ \| ([0-9]+) \| (yes|no) \| ([0-9]+) \|$`)

func TestStoredSizesAreThoseOfTheObservation(t *testing.T) {
	page, err := os.ReadFile("../../docs/observations/scale.md")
	if err != nil {
		t.Fatal(err)
	}
	taken := map[string]float64{} // the last row has the most sessions
	for _, row := range takenRow.FindAllStringSubmatch(string(page), -1) {
		taken[fmt.Sprint(row[1:4])], _ = strconv.ParseFloat(row[4], 64)
	}
	for store, got := range storedSizes() {
		small, large := taken[fmt.Sprintf("[%s 500 no]", store)], taken[fmt.Sprintf("[%s 2000 no]", store)]
		slope := math.Round((large-small)/15) / 100
		want := storedSize{Linear{math.Round(small - 500*slope), slope}, taken[fmt.Sprintf("[%s 500 yes]", store)] - small}
		if small == 0 || got != want {
			t.Errorf("%s is %+v, want %+v, as in scale.md", store, got, want)
		}
	}
}

// Nodes that have room for the sessions' contents, but not for what these take in memory, are too small.
func TestMemoryIsComparedWithWhatSessionsTake(t *testing.T) {
	e, traffic := estimator(t), usual
	for _, test := range []struct {
		variant string
		small   bool
	}{{"valkey", true}, {"memcached", false}, {"redis", true}} {
		traffic.Sessions = 0.75 * 0.54 * bytesPerGB / traffic.SessionBytes / 1.5 // of one cache.t4g.micro; Memcached has two
		limits := e.Bill(golden(t, test.variant), traffic).Limits
		found := slices.ContainsFunc(limits, func(l string) bool { return strings.HasPrefix(l, "The sessions take") })
		if found != test.small {
			t.Errorf("%s: %q, want too small: %t", test.variant, limits, test.small)
		}
	}
}
