package cost

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"stateless-servers/app/session"
	"stateless-servers/app/session/cookie"
	"stateless-servers/app/session/dynamodb"
	"stateless-servers/app/session/memcached"
	"stateless-servers/app/session/memory"
	"stateless-servers/app/session/postgres"
	"stateless-servers/app/session/sealing"
	"stateless-servers/app/session/token"
	"stateless-servers/app/session/valkey"
	"stateless-servers/lab/storeserver"
)

var update = flag.Bool("update", false, "write counts.json anew")

// byteTolerance is how much the bytes of a request may differ from counts.json: machines tell stores their names.
const byteTolerance = 0.05

func TestCountsAreTheLibrarys(t *testing.T) {
	measured := Counts{}
	for store, open := range map[string]func(*testing.T, *wire) opened{
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
	recorded, err := LibraryCounts()
	if err != nil {
		t.Fatal(err)
	}
	for store, kinds := range measured { // a store whose server is knowingly missing isn't measured
		for kind, got := range kinds {
			if want := recorded[store][kind]; !alike(got, want) {
				t.Errorf("%s, %s: counts.json has\n%+v\nand it is\n%+v\n(go generate ./lab/cost)", store, kind, want, got)
			}
		}
		if len(kinds) != len(recorded[store]) {
			t.Errorf("%s: counts.json has %d kinds of requests, and there are %d", store, len(recorded[store]), len(kinds))
		}
	}
}

func alike(a, b Count) bool {
	near := func(a, b Linear) bool {
		x, y := a.at(1000), b.at(1000)
		return math.Abs(x-y) <= byteTolerance*max(x, y) && math.Abs(a.PerByte-b.PerByte) <= byteTolerance
	}
	if (a.Item == nil) != (b.Item == nil) || a.Item != nil && *a.Item != *b.Item {
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
	text, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("counts.json", append(text, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

// opened is a store that is ready to be measured.
type opened struct {
	sessions func(session.Options) (*session.Manager, error)
	commands func(session.Operation) float64 // of the store's own, for one call of it
	meter    *meter                          // of DynamoDB
	readOnly bool                            // a session can't change after its start
}

// measure counts each kind of request at both sizes.
func measure(t *testing.T, open func(*testing.T, *wire) opened) map[string]Count {
	toStore := &wire{}
	store := open(t, toStore)
	small, large := measureSize(t, store, toStore, MeasuredBytes[0]), measureSize(t, store, toStore, MeasuredBytes[1])
	counts := map[string]Count{}
	for kind, a := range small {
		b := large[kind]
		if !sameCalls(a.calls, b.calls) {
			t.Errorf("%s: %v calls for small sessions, and %v for large ones", kind, a.calls, b.calls)
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

// line goes through what was measured at both sizes.
func line(small, large float64) Linear {
	slope := (large - small) / float64(MeasuredBytes[1]-MeasuredBytes[0])
	round := func(x float64) float64 { return math.Round(x*1000) / 1000 }
	return Linear{Base: round(small - slope*float64(MeasuredBytes[0])), PerByte: round(slope)}
}

// tally is what one request does, at one size.
type tally struct {
	calls                                      map[string]float64
	commands                                   float64
	fromVisitor, toVisitor, toStore, fromStore float64
	item, reads, writes                        float64
}

// observer counts the store operations of the library.
type observer struct {
	calls    map[string]float64
	commands float64
	of       func(session.Operation) float64
}

func (o *observer) ObserveOperation(op session.Operation) {
	o.calls[op.Name]++
	if o.of != nil {
		o.commands += o.of(op)
	}
}

// measureSize sends requests of one visitor after another over real HTTP, through counted connections.
func measureSize(t *testing.T, store opened, toStore *wire, size int) map[string]tally {
	now := time.Now()
	seen := &observer{calls: map[string]float64{}, of: store.commands}
	manager, err := store.sessions(session.Options{
		PlainHTTP: true, Observer: seen, Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return now },
		StoreTimeout: 20 * time.Second, // busy machines are no errors here
	})
	if err != nil {
		t.Fatal(err)
	}
	padding, value := session.Key[string]("padding"), session.Key[string]("value")
	mux := http.NewServeMux()
	mux.HandleFunc("POST /start", func(w http.ResponseWriter, r *http.Request) {
		s := session.From(r.Context())
		bare := len("padding") + len("value") + len(`""`) + len(`"x"`) + len(r.UserAgent())
		check(w, cmp.Or(padding.Set(s, strings.Repeat("p", size-bare)), value.Set(s, "x"), s.Apply(r.Context())))
	})
	mux.HandleFunc("POST /start-as-user", func(w http.ResponseWriter, r *http.Request) {
		s := session.From(r.Context())
		check(w, cmp.Or(padding.Set(s, strings.Repeat("p", size-len("paddingvalueu")-5-len(r.UserAgent()))), value.Set(s, "x"),
			s.Login(r.Context(), "u")))
	})
	mux.HandleFunc("POST /write", func(w http.ResponseWriter, r *http.Request) {
		check(w, value.Set(session.From(r.Context()), "y"))
	})
	mux.HandleFunc("GET /read", func(w http.ResponseWriter, r *http.Request) {
		_, _, err := value.Get(r.Context(), session.From(r.Context()))
		check(w, err)
	})
	mux.HandleFunc("GET /untouched", func(http.ResponseWriter, *http.Request) {})
	server := httptest.NewServer(manager.Handler(mux))
	defer server.Close()
	visitors := &wire{}
	address := visitors.to(t, server.Listener.Addr().String())

	start := "/start"
	if store.readOnly {
		start = "/start-as-user" // what a token can hold is stored at login
	}
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}}
	defer client.CloseIdleConnections()
	var session *http.Cookie
	send := func(method, path string) {
		request, err := http.NewRequestWithContext(t.Context(), method, "http://"+address+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if session != nil {
			request.AddCookie(session)
		}
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || response.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s %s (%v)", path, response.Status, text, err)
		}
		for _, c := range response.Cookies() {
			session = c
		}
	}
	kinds := []struct{ name, method, path string }{
		{Untouched, "GET", "/untouched"}, {Read, "GET", "/read"}, {Extend, "GET", "/read"}, {Write, "POST", "/write"}, {Start, "POST", start},
	}
	tallies := map[string]tally{}
	for _, kind := range kinds {
		if kind.name == Write && store.readOnly {
			continue
		}
		const requests = 10
		var sum tally
		for i := range requests + 1 {
			if kind.name == Start {
				session = nil
			} else if session == nil {
				send("POST", start)
			}
			if kind.name == Extend {
				now = now.Add(4 * time.Minute) // more than a tenth of the idle timeout, and the session stays
			}
			before := take(visitors, toStore, store.meter)
			seen.calls, seen.commands = map[string]float64{}, 0
			send(kind.method, kind.path)
			if i == 0 {
				continue // connections are made, statements and scripts sent once
			}
			after := take(visitors, toStore, store.meter)
			sum.add(after, before, seen)
		}
		tallies[kind.name] = sum.over(requests)
		if store.meter != nil {
			of := tallies[kind.name]
			of.item = store.meter.item(t)
			tallies[kind.name] = of
		}
	}
	return tallies
}

func check(w http.ResponseWriter, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// take is what the counters stand at.
func take(visitors, store *wire, m *meter) tally {
	t := tally{
		fromVisitor: float64(visitors.up.Load()), toVisitor: float64(visitors.down.Load()),
		toStore: float64(store.up.Load()), fromStore: float64(store.down.Load()),
	}
	if m != nil {
		t.reads, t.writes = m.reads, m.writes
	}
	return t
}

func (t *tally) add(after, before tally, seen *observer) {
	if t.calls == nil {
		t.calls = map[string]float64{}
	}
	for name, n := range seen.calls {
		t.calls[name] += n
	}
	t.commands += seen.commands
	t.fromVisitor += after.fromVisitor - before.fromVisitor
	t.toVisitor += after.toVisitor - before.toVisitor
	t.toStore += after.toStore - before.toStore
	t.fromStore += after.fromStore - before.fromStore
	t.reads += after.reads - before.reads
	t.writes += after.writes - before.writes
}

func (t tally) over(n float64) tally {
	for name := range t.calls {
		t.calls[name] /= n
	}
	for _, x := range []*float64{&t.commands, &t.fromVisitor, &t.toVisitor, &t.toStore, &t.fromStore, &t.reads, &t.writes} {
		*x /= n
	}
	return t
}

// A wire passes connections on and counts the bytes in both directions, before it passes them on.
type wire struct{ up, down atomic.Int64 }

// to listens on a free loopback port until the test ends.
func (w *wire) to(t *testing.T, server string) string {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			upstream, err := net.Dial("tcp", server)
			if err != nil {
				client.Close()
				continue
			}
			go pass(upstream, client, &w.up)
			go pass(client, upstream, &w.down)
		}
	}()
	return listener.Addr().String()
}

func pass(to, from net.Conn, count *atomic.Int64) {
	defer to.Close()
	defer from.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		count.Add(int64(n))
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func inStore(store session.Store) func(session.Options) (*session.Manager, error) {
	return func(o session.Options) (*session.Manager, error) { return session.New(store, o) }
}

// oneCommand is for stores whose every call is one command.
func oneCommand(session.Operation) float64 { return 1 }

func openValkey(t *testing.T, w *wire) opened {
	store := valkey.New(valkey.Options{Address: w.to(t, storeserver.ForTest(t, storeserver.Valkey).Addr)})
	t.Cleanup(store.Close)
	return opened{sessions: inStore(store), commands: oneCommand}
}

// openMemcached counts two commands for a change, which reads first (gets, cas).
func openMemcached(t *testing.T, w *wire) opened {
	store, err := memcached.New(memcached.Options{
		Addresses: []string{w.to(t, storeserver.ForTest(t, storeserver.Memcached).Addr)}, Timeout: 20 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return opened{sessions: inStore(store), commands: func(op session.Operation) float64 {
		if op.Name == "update" || op.Name == "touch" {
			return 2
		}
		return 1
	}}
}

func openPostgres(t *testing.T, w *wire) opened {
	server := storeserver.ForTest(t, storeserver.Postgres)
	store, err := postgres.New(postgres.Options{URL: strings.Replace(server.Endpoint, server.Addr, w.to(t, server.Addr), 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	if err := postgres.Migrate(t.Context(), store.Pool()); err != nil {
		t.Fatal(err)
	}
	return opened{sessions: inStore(store), commands: oneCommand}
}

func openMemory(*testing.T, *wire) opened { return opened{sessions: inStore(memory.New())} }

func openCookie(t *testing.T, _ *wire) opened {
	sealer, err := cookie.New(testKeys(t), "session")
	if err != nil {
		t.Fatal(err)
	}
	return opened{sessions: func(o session.Options) (*session.Manager, error) { return session.NewSealed(sealer, o) }}
}

func openToken(t *testing.T, _ *wire) opened {
	sealer, err := token.New(testKeys(t), token.Options{Issuer: "test", Audience: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return opened{readOnly: true, sessions: func(o session.Options) (*session.Manager, error) { return session.NewSealed(sealer, o) }}
}

func testKeys(t *testing.T) sealing.Keys {
	keys, err := sealing.ParseKeys("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=")
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func openDynamoDB(t *testing.T, w *wire) opened {
	server := storeserver.ForTest(t, storeserver.DynamoDB)
	m := &meter{Client: dynamodb.NewClient(aws.Config{
		Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""),
	}, "http://"+w.to(t, strings.TrimPrefix(server.Endpoint, "http://")))}
	if err := dynamodb.CreateTable(t.Context(), m.Client, "counts"); err != nil {
		t.Fatal(err)
	}
	return opened{sessions: inStore(dynamodb.New(m, dynamodb.Options{Table: "counts"})), meter: m}
}

// A meter adds up the units that DynamoDB reports, and remembers the item that was last asked for.
type meter struct {
	*sdk.Client
	reads, writes float64
	key           map[string]types.AttributeValue
}

type option = func(*sdk.Options)

func (m *meter) GetItem(ctx context.Context, in *sdk.GetItemInput, o ...option) (*sdk.GetItemOutput, error) {
	in.ReturnConsumedCapacity, m.key = types.ReturnConsumedCapacityTotal, in.Key
	out, err := m.Client.GetItem(ctx, in, o...)
	if err == nil {
		m.reads += *out.ConsumedCapacity.CapacityUnits
	}
	return out, err
}

func (m *meter) UpdateItem(ctx context.Context, in *sdk.UpdateItemInput, o ...option) (*sdk.UpdateItemOutput, error) {
	in.ReturnConsumedCapacity, m.key = types.ReturnConsumedCapacityTotal, in.Key
	out, err := m.Client.UpdateItem(ctx, in, o...)
	if err == nil {
		m.writes += *out.ConsumedCapacity.CapacityUnits
	}
	return out, err
}

func (m *meter) PutItem(ctx context.Context, in *sdk.PutItemInput, o ...option) (*sdk.PutItemOutput, error) {
	in.ReturnConsumedCapacity = types.ReturnConsumedCapacityTotal
	m.key = map[string]types.AttributeValue{"id": in.Item["id"]}
	out, err := m.Client.PutItem(ctx, in, o...)
	if err == nil {
		m.writes += *out.ConsumedCapacity.CapacityUnits
	}
	return out, err
}

// item is the size of the item that was last asked for, as DynamoDB counts it (Amazon DynamoDB Developer Guide, "DynamoDB
// item sizes and formats").
func (m *meter) item(t *testing.T) float64 {
	out, err := m.Client.GetItem(t.Context(), &sdk.GetItemInput{TableName: aws.String("counts"), Key: m.key, ConsistentRead: aws.Bool(true)})
	if err != nil || len(out.Item) == 0 {
		t.Fatalf("no item: %v", err)
	}
	size := 0
	for name, value := range out.Item {
		size += len(name) + attributeSize(value)
	}
	return float64(size)
}

func attributeSize(value types.AttributeValue) int {
	switch value := value.(type) {
	case *types.AttributeValueMemberS:
		return len(value.Value)
	case *types.AttributeValueMemberN:
		return (len(strings.Trim(value.Value, "-0"))+1)/2 + 1
	case *types.AttributeValueMemberM:
		size := 3
		for name, part := range value.Value {
			size += 1 + len(name) + attributeSize(part)
		}
		return size
	}
	return 0
}

// The bill computes units from the size of the item; DynamoDB must have reported the same.
func TestUnitsAreThoseThatDynamoDBReported(t *testing.T) {
	counts, err := LibraryCounts()
	if err != nil {
		t.Fatal(err)
	}
	for kind, count := range counts["dynamodb"] {
		for i, size := range MeasuredBytes {
			only := Counts{"dynamodb": {Read: count}} // every request is of this kind
			reads, writes := only.units(Traffic{RequestsPerSecond: 1, SessionBytes: float64(size), ReadsPerWrite: math.Inf(1)})
			if reads != count.ReadUnits[i] || writes != count.WriteUnits[i] {
				t.Errorf("%s of %d bytes: %v read and %v write units, and DynamoDB reported %v and %v",
					kind, size, reads, writes, count.ReadUnits[i], count.WriteUnits[i])
			}
		}
	}
}

func TestCountsFileIsNeverForgotten(t *testing.T) {
	counts, err := LibraryCounts()
	if err != nil {
		t.Fatal(err)
	}
	for store, kinds := range counts {
		if len(kinds[Untouched].Calls) != 0 {
			t.Errorf("%s: an untouched session costs %v", store, kinds[Untouched].Calls)
		}
	}
	text, _ := json.MarshalIndent(counts, "", "  ")
	if !bytes.Equal(append(text, '\n'), ownCounts) {
		t.Error("counts.json isn't what go generate ./lab/cost writes")
	}
}
