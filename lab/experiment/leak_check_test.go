package experiment

import (
	"math/rand/v2"
	"net"
	"slices"
	"testing"
	"time"

	"stateless-servers/app/config"
	"stateless-servers/session/sessiontest/must"
)

// series simulates the resource usage of a server over twenty minutes: random variation, and a leak of one resource.
func series(grows int, perHour float64) []sample {
	r := rand.New(rand.NewPCG(1, 1))
	usual := [resourceCount]float64{residentMemory: 30, heap: 6, goroutines: 60, descriptors: 40}
	var samples []sample
	for at := time.Duration(0); at < DefaultLength; at += 3 * time.Second {
		one := sample{at: at}
		for i, n := range usual {
			one.usage[i] = n * (0.9 + 0.2*r.Float64())
			if r.IntN(20) == 0 {
				one.usage[i] *= 3 // while the store is away, requests pile up
			}
		}
		if grows >= 0 {
			one.usage[grows] += perHour * at.Hours()
		}
		samples = append(samples, one)
	}
	return samples
}

func fails(samples []sample, length time.Duration) []string {
	var o Observation
	o.assertNoGrowth(samples, length)
	var failed []string
	for _, assertion := range o.Failed() {
		failed = append(failed, assertion.What)
	}
	return failed
}

func TestAssertNoGrowth(t *testing.T) {
	steady := series(-1, 0)
	if failed := fails(steady, DefaultLength); failed != nil {
		t.Errorf("a server without a leak fails %q, want no failure", failed)
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
			t.Errorf("with a leak of %s, %q fail, want its growth", name, failed)
		}
	}
	// Without measurements, the assertion must fail.
	third := len(steady) / 3
	for name, samples := range map[string][]sample{
		"nothing": nil, "the end": steady[2*third:], "the beginning": steady[:third],
	} {
		if failed := fails(samples, DefaultLength); len(failed) != 1 {
			t.Errorf("measured only %s: %q fail, want one", name, failed)
		}
	}
}

// A server whose clients keep their connections open fails the leak check.
func TestLeakIsFound(t *testing.T) {
	env := must.Get(testRunner(t).open(t.Context(), setup{store: config.StoreMemory, servers: 1}))(t)
	defer env.Close()
	url := must.Get(env.fleet.Metrics(survivor))(t)
	server := must.Get(env.fleet.Server(survivor))(t)
	meter := newMeter(url)
	watch := func() []sample {
		return must.Get(meter.watch(t.Context(), time.Now(), time.Second))(t)
	}
	before := watch()
	var during []sample
	const length, visitors = time.Minute, 10 // the simulated length, and new connections per reading
	for at := time.Duration(0); at < length; at += length / 30 {
		for range visitors {
			conn := must.Get(net.Dial("tcp", server.Address))(t)
			defer conn.Close()
		}
		one := must.Get(meter.read(t.Context()))(t)
		one.at = at
		during = append(during, one)
	}
	var o Observation
	o.assertNoGrowth(during, length)
	o.assertNoLeak(before, watch())
	var failed []string
	for _, assertion := range o.Failed() {
		failed = append(failed, assertion.What)
	}
	want := []string{
		"growth of goroutines", "growth of file descriptors",
		"goroutines after the load, less those before it", "file descriptors after the load, less those before it",
	}
	if !slices.Equal(failed, want) {
		t.Errorf("%q fail, want %q", failed, want)
	}
}

// A server that has ended has no measurements, and fails the leak check.
func TestEndedServerFailsLeakCheck(t *testing.T) {
	samples, err := newMeter("http://127.0.0.1:1/metrics").watch(t.Context(), time.Now(), time.Second)
	if err != nil || len(samples) != 0 {
		t.Errorf("%d samples, %v", len(samples), err)
	}
	var o Observation
	o.assertNoLeak(samples, samples)
	if len(o.Failed()) != 1 {
		t.Errorf("%v", o.Assertions)
	}
}
