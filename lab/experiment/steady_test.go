package experiment

import (
	"math/rand/v2"
	"net"
	"slices"
	"testing"
	"time"

	"stateless-servers/app/config"
)

// series is what a server took in twenty minutes: the ups and downs of a steady one, and what grows by the hour.
func series(grows int, perHour float64) []sample {
	r := rand.New(rand.NewPCG(1, 1))
	usual := [resourceCount]float64{residentMemory: 30, heap: 6, goroutines: 60, descriptors: 40}
	var samples []sample
	for at := time.Duration(0); at < DefaultLength; at += 3 * time.Second {
		one := sample{at: at}
		for i, n := range usual {
			one.takes[i] = n * (0.9 + 0.2*r.Float64())
			if r.IntN(20) == 0 {
				one.takes[i] *= 3 // while the store is away, requests pile up
			}
		}
		if grows >= 0 {
			one.takes[grows] += perHour * at.Hours()
		}
		samples = append(samples, one)
	}
	return samples
}

func fails(samples []sample, length time.Duration) []string {
	var o Observation
	o.steady(samples, length)
	var failed []string
	for _, check := range o.Failed() {
		failed = append(failed, check.What)
	}
	return failed
}

func TestSteady(t *testing.T) {
	steady := series(-1, 0)
	if failed := fails(steady, DefaultLength); failed != nil {
		t.Errorf("a steady server grows: %q", failed)
	}
	const perRequest = 3600 * 100 / 3 // requests an hour, of one server of three
	for _, leak := range []struct {
		of      int
		perHour float64
	}{
		{residentMemory, 600 * perRequest / megabyte}, {heap, 200 * perRequest / megabyte},
		{goroutines, 0.006 * perRequest}, {descriptors, 0.006 * perRequest},
	} {
		name := resources()[leak.of].String()
		failed := fails(series(leak.of, leak.perHour), DefaultLength)
		if len(failed) != 1 || failed[0] != "growth of "+name {
			t.Errorf("a leak of %s: %q fail", name, failed)
		}
	}
	// What isn't measured proves nothing.
	third := len(steady) / 3
	for name, samples := range map[string][]sample{
		"nothing": nil, "the end": steady[2*third:], "the beginning": steady[:third],
	} {
		if failed := fails(samples, DefaultLength); len(failed) != 1 {
			t.Errorf("measured %s: %q fail", name, failed)
		}
	}
}

// A server whose visitors never hang up takes more and more, and its own metrics say so.
func TestServerThatGrows(t *testing.T) {
	scene, err := testLab(t).open(t.Context(), setup{store: config.StoreMemory, servers: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer scene.Close()
	url, err := scene.fleet.Metrics(survivor)
	if err != nil {
		t.Fatal(err)
	}
	server, err := scene.fleet.Server(survivor)
	if err != nil {
		t.Fatal(err)
	}
	meter := newMeter(url)
	watch := func() []sample {
		samples, err := meter.watch(t.Context(), time.Now(), time.Second)
		if err != nil {
			t.Fatal(err)
		}
		return samples
	}
	before := watch()
	var during []sample
	const length, visitors = time.Minute, 10 // between two readings
	for at := time.Duration(0); at < length; at += length / 30 {
		for range visitors {
			conn, err := net.Dial("tcp", server.Address)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
		}
		one, err := meter.read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		one.at = at
		during = append(during, one)
	}
	var o Observation
	o.steady(during, length)
	o.settled(before, watch())
	var failed []string
	for _, check := range o.Failed() {
		failed = append(failed, check.What)
	}
	want := []string{
		"growth of goroutines", "growth of file descriptors",
		"goroutines more after the visitors than before them", "file descriptors more after the visitors than before them",
	}
	if !slices.Equal(failed, want) {
		t.Errorf("%q fail", failed)
	}
}

// A server that has ended has no measurements, and is no steady one.
func TestServerThatEnded(t *testing.T) {
	samples, err := newMeter("http://127.0.0.1:1/metrics").watch(t.Context(), time.Now(), time.Second)
	if err != nil || len(samples) != 0 {
		t.Errorf("%d samples, %v", len(samples), err)
	}
	var o Observation
	o.settled(samples, samples)
	if len(o.Failed()) != 1 {
		t.Errorf("%v", o.Checks)
	}
}
