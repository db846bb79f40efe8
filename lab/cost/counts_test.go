package cost

import (
	"context"
	"encoding/json"
	"flag"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"stateless-servers/session"
	"stateless-servers/session/sessiontest/must"
)

var update = flag.Bool("update", false, "write counts.json")

// byteTolerance is the relative difference from counts.json that numbers of bytes may have, as clients send the machine's name.
const byteTolerance = 0.05

func TestCountsMatchTheLibrary(t *testing.T) {
	measured := Counts{}
	for store, open := range map[string]func(*testing.T, *countingProxy) measuredStore{
		"valkey": openValkey, "memcached": openMemcached, "postgres": openPostgres, "dynamodb": openDynamoDB,
		"cookie": openCookie, "token": openToken, "memory": openMemory,
	} {
		t.Run(store, func(t *testing.T) { measured[store] = measure(t, open) })
	}
	if t.Failed() {
		return
	}
	if *update {
		writeCounts(t, measured)
		return
	}
	recorded := must.Get(LibraryCounts())(t)
	for store, kinds := range measured { // lacks the stores in SKIP_STORES
		for kind, got := range kinds {
			if want := recorded[store][kind]; !similar(got, want) {
				t.Errorf("%s, %s: counts.json has\n%+v\nmeasured\n%+v\n(go generate ./lab/cost)", store, kind, want, got)
			}
		}
		if len(kinds) != len(recorded[store]) {
			t.Errorf("%s: counts.json has %d kinds of requests, want %d", store, len(recorded[store]), len(kinds))
		}
	}
}

// similar reports whether the counts are equal, with bytes within byteTolerance.
func similar(a, b Count) bool {
	near := func(a, b Linear) bool {
		x, y := a.at(1000), b.at(1000)
		return math.Abs(x-y) <= byteTolerance*max(x, y) && math.Abs(a.PerByte-b.PerByte) <= byteTolerance
	}
	// Sizes of items may differ because DynamoDB drops trailing zeros of numbers such as times.
	if (a.Item == nil) != (b.Item == nil) || a.Item != nil && !near(*a.Item, *b.Item) {
		return false
	}
	return sameCalls(a.Calls, b.Calls) && a.Commands == b.Commands && reflect.DeepEqual(a.ReadUnits, b.ReadUnits) &&
		reflect.DeepEqual(a.WriteUnits, b.WriteUnits) && near(a.FromVisitor, b.FromVisitor) && near(a.ToVisitor, b.ToVisitor) &&
		near(a.ToStore, b.ToStore) && near(a.FromStore, b.FromStore)
}

func sameCalls(a, b map[string]float64) bool {
	return len(a) == 0 && len(b) == 0 || reflect.DeepEqual(a, b)
}

func writeCounts(t *testing.T, c Counts) {
	text := must.Get(json.MarshalIndent(c, "", "  "))(t)
	must.Succeed(t, os.WriteFile("counts.json", append(text, '\n'), 0o644))
}

// A measuredStore is a store whose connections pass through a countingProxy.
type measuredStore struct {
	sessions func(session.Options) (*session.Manager, error)
	commands func(session.Operation) float64 // number of commands in one operation
	meter    *capacityMeter                  // nil except for DynamoDB
	readOnly bool                            // a session can't change after its start
}

// measure counts what each kind of request does, with sessions of both sizes.
func measure(t *testing.T, open func(*testing.T, *countingProxy) measuredStore) map[string]Count {
	toStore := &countingProxy{}
	store := open(t, toStore)
	small, large := measureSize(t, store, toStore, MeasuredBytes[0]), measureSize(t, store, toStore, MeasuredBytes[1])
	counts := map[string]Count{}
	for kind, a := range small {
		b := large[kind]
		if !sameCalls(a.calls, b.calls) {
			t.Errorf("%s: %v calls for small sessions, but %v for large ones", kind, a.calls, b.calls)
		}
		count := Count{
			Calls: a.calls, Commands: a.commands,
			FromVisitor: line(a.fromVisitor, b.fromVisitor), ToVisitor: line(a.toVisitor, b.toVisitor),
			ToStore: line(a.toStore, b.toStore), FromStore: line(a.fromStore, b.fromStore),
		}
		if store.meter != nil {
			item := line(a.item, b.item)
			count.Item, count.ReadUnits, count.WriteUnits = &item, []float64{a.reads, b.reads}, []float64{a.writes, b.writes}
		}
		counts[kind] = count
	}
	return counts
}

// line returns the linear function through the values at both sizes.
func line(small, large float64) Linear {
	slope := (large - small) / float64(MeasuredBytes[1]-MeasuredBytes[0])
	round := func(x float64) float64 { return math.Round(x*1000) / 1000 }
	return Linear{Base: round(small - slope*float64(MeasuredBytes[0])), PerByte: round(slope)}
}

// requestTotals counts what requests do.
type requestTotals struct {
	calls                                      map[string]float64
	commands                                   float64
	fromVisitor, toVisitor, toStore, fromStore float64
	item, reads, writes                        float64
}

// observer counts the store operations of the library.
type observer struct {
	calls    map[string]float64
	commands float64
	perCall  func(session.Operation) float64 // commands in one operation
}

func (o *observer) ObserveOperation(_ context.Context, op session.Operation) {
	o.calls[string(op.Name)]++
	if o.perCall != nil {
		o.commands += o.perCall(op)
	}
}

// measureSize sends requests one after another over real HTTP, through counted connections.
func measureSize(t *testing.T, store measuredStore, toStore *countingProxy, size int) map[string]requestTotals {
	now := time.Now()
	seen := &observer{calls: map[string]float64{}, perCall: store.commands}
	manager, err := store.sessions(session.Options{
		PlainHTTP: true, Observer: seen, Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return now },
		StoreTimeout: 20 * time.Second, // a busy machine must not fail the test
	})
	must.Succeed(t, err)
	padding, value := session.Key[string]("padding"), session.Key[string]("value")
	mux := http.NewServeMux()
	mux.HandleFunc("POST /start", func(w http.ResponseWriter, r *http.Request) {
		bare := len("padding") + len("value") + len(`""`) + len(`"x"`) + len(r.UserAgent())
		padding.Set(r.Context(), strings.Repeat("p", size-bare))
		value.Set(r.Context(), "x")
	})
	mux.HandleFunc("POST /start-as-user", func(w http.ResponseWriter, r *http.Request) {
		padding.Set(r.Context(), strings.Repeat("p", size-len("paddingvalueu")-5-len(r.UserAgent())))
		value.Set(r.Context(), "x")
		check(w, session.From(r.Context()).Login(r.Context(), "u"))
	})
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		check(w, session.From(r.Context()).Login(r.Context(), "u"))
	})
	mux.HandleFunc("POST /write", func(_ http.ResponseWriter, r *http.Request) { value.Set(r.Context(), "y") })
	mux.HandleFunc("GET /read", func(w http.ResponseWriter, r *http.Request) {
		_, _, err := value.Get(r.Context())
		check(w, err)
	})
	mux.HandleFunc("GET /untouched", func(http.ResponseWriter, *http.Request) {})
	server := httptest.NewServer(manager.Handler(mux))
	defer server.Close()
	visitors := &countingProxy{}
	address := visitors.to(t, server.Listener.Addr().String())

	start := "/start"
	if store.readOnly {
		start = "/start-as-user" // a token gets its contents at login
	}
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}}
	defer client.CloseIdleConnections()
	var cookie *http.Cookie
	send := func(method, path string) {
		request, err := http.NewRequestWithContext(t.Context(), method, "http://"+address+path, nil)
		must.Succeed(t, err)
		if cookie != nil {
			request.AddCookie(cookie)
		}
		response, err := client.Do(request)
		must.Succeed(t, err)
		text, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || response.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s %s (%v)", path, response.Status, text, err)
		}
		for _, c := range response.Cookies() {
			cookie = c
		}
	}
	kinds := []struct{ name, method, path string }{
		{Untouched, "GET", "/untouched"}, {Read, "GET", "/read"}, {Extend, "GET", "/read"}, {Write, "POST", "/write"}, {Start, "POST", start},
		{Login, "POST", "/login"},
	}
	totals := map[string]requestTotals{}
	for _, kind := range kinds {
		if (kind.name == Write || kind.name == Login) && store.readOnly {
			continue
		}
		const requests = 10
		var sum requestTotals
		for i := range requests + 1 {
			if kind.name == Start || kind.name == Login {
				cookie = nil
			}
			if kind.name != Start && cookie == nil {
				send("POST", start)
			}
			if kind.name == Extend {
				now = now.Add(20 * time.Minute) // more than half of the idle timeout, less than all of it
			}
			before := readCounters(visitors, toStore, store.meter)
			seen.calls, seen.commands = map[string]float64{}, 0
			send(kind.method, kind.path)
			if i == 0 {
				continue // the first request also opens connections and sends statements and scripts
			}
			after := readCounters(visitors, toStore, store.meter)
			sum.add(after, before, seen)
		}
		totals[kind.name] = sum.over(requests)
		if store.meter != nil {
			total := totals[kind.name]
			total.item = store.meter.item(t)
			totals[kind.name] = total
		}
	}
	return totals
}

func check(w http.ResponseWriter, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// readCounters returns the present values of all counters.
func readCounters(visitors, store *countingProxy, m *capacityMeter) requestTotals {
	t := requestTotals{
		fromVisitor: float64(visitors.up.Load()), toVisitor: float64(visitors.down.Load()),
		toStore: float64(store.up.Load()), fromStore: float64(store.down.Load()),
	}
	if m != nil {
		t.reads, t.writes = m.reads, m.writes
	}
	return t
}

// add adds a request. For bytes it keeps the minimum over all requests, because clients ping their servers now and then.
func (t *requestTotals) add(after, before requestTotals, seen *observer) {
	fewest := func(sum *float64, n float64) {
		if t.calls == nil || n < *sum {
			*sum = n
		}
	}
	fewest(&t.fromVisitor, after.fromVisitor-before.fromVisitor)
	fewest(&t.toVisitor, after.toVisitor-before.toVisitor)
	fewest(&t.toStore, after.toStore-before.toStore)
	fewest(&t.fromStore, after.fromStore-before.fromStore)
	if t.calls == nil {
		t.calls = map[string]float64{}
	}
	for name, n := range seen.calls {
		t.calls[name] += n
	}
	t.commands += seen.commands
	t.reads += after.reads - before.reads
	t.writes += after.writes - before.writes
}

// over returns the average over n requests.
func (t requestTotals) over(n float64) requestTotals {
	for name := range t.calls {
		t.calls[name] /= n
	}
	for _, x := range []*float64{&t.commands, &t.reads, &t.writes} {
		*x /= n
	}
	return t
}
