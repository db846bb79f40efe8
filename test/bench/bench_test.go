package main

import (
	"encoding/json"
	"errors"
	"flag"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	store "stateless-servers/session/dynamodb"
	"stateless-servers/session/sessiontest/storeserver"
)

var update = flag.Bool("update", false, "write the golden files")

// asBench, in the environment, makes the test binary the benchmark: the processes that it starts are of the same
// program.
const asBench = "TEST_RUN_AS_BENCH"

func TestMain(m *testing.M) {
	if os.Getenv(asBench) != "" {
		main()
		return
	}
	os.Exit(m.Run())
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
	valkey := storeserver.ForTest(t, storeserver.Valkey)
	for _, v := range variants() {
		t.Run(v.Name, func(t *testing.T) {
			got, err := countCalls(t.Context(), v, valkey.Addr)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want[v.Name]) {
				t.Errorf("store calls of a request are %v, want %v", got, want[v.Name])
			}
		})
	}
}

func TestDynamoDB(t *testing.T) {
	endpoint := storeserver.ForTest(t, storeserver.DynamoDB).Endpoint
	if err := store.CreateTable(t.Context(), newDynamoDBClient(endpoint), tableName); err != nil {
		t.Fatal(err)
	}
	t.Run("stub", func(t *testing.T) { testStub(t, endpoint) })
	t.Run("units", func(t *testing.T) { testUnits(t, endpoint) })
}

// What is measured against the stub is worth what the stub's answers are worth.
func testStub(t *testing.T, endpoint string) {
	stub, err := startDynamoDBStub()
	if err != nil {
		t.Fatal(err)
	}
	defer stub.Close()

	now := time.Now()
	id := hashedID(newSecret())
	item := map[string]types.AttributeValue{
		"id": id, "expires": number(now.Add(lifetime).Unix()), "ttl": number(now.Add(idleTimeout).Unix()),
		"agent": text(userAgent), "values": &types.AttributeValueMemberM{Value: map[string]types.AttributeValue{
			"visits": number(9), "name": text(`"Ada <&> Lovelace"`),
		}},
	}
	key := map[string]types.AttributeValue{"id": id}
	type answers struct {
		before, stored, updated, after map[string]types.AttributeValue
	}
	ask := func(client *dynamodb.Client) (a answers) {
		t.Helper()
		get := func() map[string]types.AttributeValue {
			output, err := client.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: aws.String(tableName), Key: key})
			if err != nil {
				t.Fatal(err)
			}
			return output.Item
		}
		a.before = get()
		if _, err := client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String(tableName), Item: item}); err != nil {
			t.Fatal(err)
		}
		a.stored = get()
		output, err := client.UpdateItem(t.Context(), addVisit(id, now.Add(time.Minute)))
		if err != nil {
			t.Fatal(err)
		}
		a.updated, a.after = output.Attributes, get()
		return a
	}
	got, want := ask(newDynamoDBClient(stub.endpoint)), ask(newDynamoDBClient(endpoint))
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the stub answers\n%v\nDynamoDB answers\n%v", got, want)
	}
	if n, err := visitsOf(want.after); n != 10 || err != nil {
		t.Errorf("after one more visit there are %d (%v), want 10", n, err)
	}
}

func testUnits(t *testing.T, endpoint string) {
	tests := []Units{
		// 500 requests of 1000 don't use the session, 400 read it, 100 write.
		{Bytes: 300, Pace: 10 * time.Second, OwnReads: 400, OwnWrites: 100, EagerReads: 1000, EagerWrites: 1000},
		// So slow that every read extends the session.
		{Bytes: 1500, Pace: 5 * time.Minute, OwnReads: 400, OwnWrites: 1000, EagerReads: 1000, EagerWrites: 2000},
	}
	for _, want := range tests {
		got, err := countUnits(t.Context(), endpoint, want.Bytes, want.Pace)
		if err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("%d B, a request every %v: %+v, want %+v", want.Bytes, want.Pace, got, want)
		}
	}
}

func TestOwnLibraryKeepsEverything(t *testing.T) {
	t.Setenv(asBench, "1")
	v, err := variantNamed(ownValkey)
	if err != nil {
		t.Fatal(err)
	}
	got, err := keep(t.Context(), v, storeserver.ForTest(t, storeserver.Valkey).Addr)
	if err != nil {
		t.Fatal(err)
	}
	want := Kept{Variant: ownValkey, Increments: increments, SlowIncrements: increments, Abandoned: trials}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// A run of a moment: its figures mean nothing, but each is there.
func TestRun(t *testing.T) {
	data := filepath.Join(t.TempDir(), "bench.json")
	command := exec.CommandContext(t.Context(), os.Args[0], "-timing", "-variants", "none,bare-middleware,bare-valkey,own-valkey,own-dynamodb",
		"-rounds", "2", "-requests", "320", "-warmup", "16", "-json", data)
	command.Env = append(os.Environ(), asBench+"=1")
	var stderr strings.Builder
	command.Stderr = &stderr
	stdout, err := command.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	if !strings.Contains(string(stdout), "| app/session, valkey | read |") {
		t.Errorf("the report lacks its table:\n%s", stdout)
	}
	text, err := os.ReadFile(data)
	if err != nil {
		t.Fatal(err)
	}
	var r Report
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, timing := range r.Timings {
		got = append(got, timing.Variant+" "+timing.Route)
		complete := len(timing.Turns) == 2*turns && timing.CPU > 0 && timing.ToNone > 0 && timing.PerSecond > 0 && timing.Mallocs > 0
		if !complete || timing.Calls == nil {
			t.Errorf("something is missing: %+v", timing)
		}
	}
	want := []string{
		"none untouched", "bare-middleware untouched", "bare-valkey read", "bare-valkey write",
		"own-valkey untouched", "own-valkey read", "own-valkey write",
		"own-dynamodb untouched", "own-dynamodb read", "own-dynamodb write",
	}
	if !slices.Equal(got, want) {
		t.Errorf("measured %q, want %q", got, want)
	}
	if len(r.Targets) != 4 {
		t.Errorf("%d targets compared, want those of which both sides were measured: 4", len(r.Targets))
	}
}

func TestBadFlags(t *testing.T) {
	tests := []struct {
		args []string
		want []string
	}{
		{[]string{"-variants", "none,nosuch"}, []string{"nosuch", "own-valkey"}},
		{[]string{"-rounds", "0"}, []string{"-rounds", "0", "1 or more"}},
		{[]string{"-requests", "3"}, []string{"-requests", "3", "160 or more"}},
		{[]string{"-warmup", "3"}, []string{"-warmup", "3", "16 or more"}},
		{[]string{"-requests", "many"}, []string{"-requests", "many"}},
		{[]string{"-nosuch"}, []string{"-nosuch"}},
		{[]string{"nosuch"}, []string{"nosuch"}},
		{[]string{"serve", "-variant", "nosuch"}, []string{"nosuch", "own-valkey"}},
	}
	for _, test := range tests {
		var output strings.Builder
		err := run(t.Context(), test.args, &output, &output)
		if err == nil {
			t.Errorf("%q: no error", test.args)
			continue
		}
		for _, want := range test.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q: %q lacks %q", test.args, err, want)
			}
		}
	}
	if err := run(t.Context(), []string{"-help"}, &strings.Builder{}, &strings.Builder{}); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("-help: %v", err)
	}
}

func TestMarkdown(t *testing.T) {
	none := []Turn{{CPU: 16, PerSecond: 60000, Mallocs: 22}, {CPU: 20, PerSecond: 50000, Mallocs: 22}}
	bare := []Turn{{CPU: 32, PerSecond: 30000, Mallocs: 40}, {CPU: 36, PerSecond: 28000, Mallocs: 40}}
	own := []Turn{{CPU: 36, PerSecond: 27000, Mallocs: 60}, {CPU: 48, PerSecond: 21000, Mallocs: 60}}
	all := measurements{
		noSession: {routeUntouched: none}, bareValkey: {routeRead: bare}, ownValkey: {routeUntouched: none, routeRead: own},
	}
	r := &Report{
		Started: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Rounds: 2, Requests: 1000, Visitors: 16,
		Machine: Machine{
			CPU: "A CPU", CPUs: 2, Kernel: "6.1", Go: "go1.26", Store: "valkey 8.0", LoadBefore: "0.1 0.2 0.3", LoadAfter: "1.0 0.5 0.4",
		},
		Modules: map[string]string{"example.com/a": "v1.0.0", "example.com/b": "v2.0.0"},
		Units:   []Units{{Bytes: 300, Pace: time.Minute, OwnReads: 400, OwnWrites: 100, EagerReads: 1000, EagerWrites: 1000}},
		Kept:    []Kept{{Variant: ownValkey, Increments: 1000, SlowIncrements: 1000, Abandoned: 20}},
	}
	for _, name := range []string{noSession, bareValkey, ownValkey} {
		v, err := variantNamed(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, route := range slices.Sorted(maps.Keys(all[name])) {
			r.Timings = append(r.Timings, newTiming(v, route, all, Calls{"HGETALL": 1}))
		}
	}
	r.Targets = r.targets()
	got, err := r.markdown()
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "report.md")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the report differs from %s (go test -update writes it):\n%s", golden, got)
	}
}
