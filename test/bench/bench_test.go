package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	store "stateless-servers/session/dynamodb"
	"stateless-servers/session/sessiontest/must"
	"stateless-servers/session/sessiontest/storeserver"
)

// With the environment variable runAsBench the test binary runs the benchmark's main, because the benchmark starts its own
// executable as a server.
const runAsBench = "TEST_RUN_AS_BENCH"

func TestMain(m *testing.M) {
	if os.Getenv(runAsBench) != "" || len(os.Args) > 1 && os.Args[1] == "serve" {
		main()
		return
	}
	os.Exit(m.Run())
}

// realStores starts a Valkey and a DynamoDB Local for one test or benchmark.
func realStores(t testing.TB) stores {
	t.Helper()
	s := stores{storeValkey: storeserver.ForTest(t, storeserver.Valkey).Addr,
		storeDynamoDB: storeserver.ForTest(t, storeserver.DynamoDB).Endpoint}
	must.Succeed(t, store.CreateTable(t.Context(), newDynamoDBClient(s[storeDynamoDB]), tableName))
	return s
}

// The metrics are the server's CPU time and allocations per request. Ignore the time per operation: it is mostly the clients'.
func BenchmarkRequest(b *testing.B) {
	s := realStores(b)
	for _, v := range variants() {
		b.Run(v.Name, func(b *testing.B) {
			server := must.Get(startServer(v, s))(b)
			defer server.end()
			for _, l := range v.loads() {
				b.Run(fmt.Sprintf("%s-%d", l.Route, l.Clients), func(b *testing.B) { server.benchmark(b, l) })
			}
		})
	}
}

func TestStoreCalls(t *testing.T) {
	want := map[string]map[string]Calls{
		noSession:         {routeUntouched: {}},
		"bare-middleware": {routeUntouched: {}},
		bareValkey:        {routeRead: {"HGETALL": 1}, routeWrite: {"EVALSHA": 1}},
		ownValkey:         {routeUntouched: {}, routeRead: {"HGETALL": 1}, routeWrite: {"EVALSHA": 1}},
		"scs":             {routeUntouched: {"GET": 1}, routeRead: {"GET": 1}, routeWrite: {"GET": 1, "SET": 1}},
		"scs-idle":        {routeUntouched: {"GET": 1, "SET": 1}, routeRead: {"GET": 1, "SET": 1}, routeWrite: {"GET": 1, "SET": 1}},
		"gorilla":         {routeUntouched: {}, routeRead: {"GET": 1, "PING": 1}, routeWrite: {"GET": 1, "PING": 2, "SETEX": 1}},
		bareDynamoDB:      {routeRead: {"GetItem": 1}, routeWrite: {"UpdateItem": 1}},
		ownDynamoDB:       {routeUntouched: {}, routeRead: {"GetItem": 1}, routeWrite: {"UpdateItem": 1}},
	}
	s := realStores(t)
	for _, v := range variants() {
		t.Run(v.Name, func(t *testing.T) {
			counts := must.Get(countCalls(t.Context(), v, s))(t)
			got := map[string]Calls{}
			for route, c := range counts {
				got[route] = c.calls
				if (c.bytes > 0) != (len(c.calls) > 0) {
					t.Errorf("%s: %d bytes for the calls %v", route, c.bytes, c.calls)
				}
			}
			if !reflect.DeepEqual(got, want[v.Name]) {
				t.Errorf("store calls per request: %v, want %v", got, want[v.Name])
			}
		})
	}
	for _, want := range []Units{
		// 500 requests of 1000 don't use the session, 400 read it, 100 write.
		{Bytes: 300, Interval: 10 * time.Second, Reads: 400, Writes: 100},
		// With this interval every read extends the session.
		{Bytes: 1500, Interval: 20 * time.Minute, Reads: 400, Writes: 1000},
	} {
		got := Units{Bytes: want.Bytes, Interval: want.Interval}
		must.Succeed(t, got.count(t.Context(), s[storeDynamoDB]))
		if got != want {
			t.Errorf("DynamoDB request units: %+v, want %+v", got, want)
		}
	}
}

// A run this short measures nothing useful. The test checks that every figure is present.
func TestRun(t *testing.T) {
	data := filepath.Join(t.TempDir(), "bench.json")
	command := exec.CommandContext(t.Context(), os.Args[0], "-variants", "none,bare-valkey,own-valkey",
		"-turns", "2", "-requests", "200", "-json", data)
	command.Env = append(os.Environ(), runAsBench+"=1")
	var stderr strings.Builder
	command.Stderr = &stderr
	stdout, err := command.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	for _, want := range []string{"| bare valkey-go | write | 16 |", "| session, valkey | write | 16 |"} {
		if !strings.Contains(string(stdout), want) {
			t.Errorf("the report lacks %q:\n%s", want, stdout)
		}
	}
	if n := strings.Count(string(stdout), "(at most 1."); n != 3 {
		t.Errorf("%d ratios are compared with a goal, want 3:\n%s", n, stdout)
	}
	text, err := os.ReadFile(data)
	must.Succeed(t, err)
	var r struct {
		Costs []struct {
			Name, Route          string
			CPU, Mallocs, Median []float64
		}
	}
	must.Succeed(t, json.Unmarshal(text, &r))
	var got []string
	for _, c := range r.Costs {
		got = append(got, c.Name+" "+c.Route)
		if len(c.CPU) != 2 || len(c.Mallocs) != 2 || len(c.Median) != 2 || c.CPU[0] <= 0 || c.Mallocs[0] <= 0 || c.Median[0] <= 0 {
			t.Errorf("want a CPU time, allocations and a median latency of 2 turns, got %+v", c)
		}
	}
	want := []string{"none untouched", "bare-valkey read", "bare-valkey write",
		"own-valkey untouched", "own-valkey read", "own-valkey write"}
	if !slices.Equal(got, want) {
		t.Errorf("measured %q, want %q", got, want)
	}
}

func TestBadFlags(t *testing.T) {
	for _, test := range []struct {
		args string
		want []string
	}{
		{"-variants none,nosuch", []string{"nosuch", "own-valkey"}},
		{"-turns 0", []string{"-turns 0", "from 1"}},
		{"-requests 3", []string{"-requests 3", "from 64"}},
		{"-requests many", []string{"-requests", "many"}},
		{"-nosuch", []string{"-nosuch"}},
		{"nosuch", []string{"nosuch"}},
		{"serve nosuch here", []string{"nosuch", "own-valkey"}},
	} {
		var output strings.Builder
		err := run(t.Context(), strings.Fields(test.args), &output, &output)
		for _, want := range test.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%q: %v lacks %q", test.args, err, want)
			}
		}
	}
	if err := run(t.Context(), []string{"-help"}, &strings.Builder{}, &strings.Builder{}); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("-help: %v", err)
	}
}
