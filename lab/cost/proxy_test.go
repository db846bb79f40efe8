package cost

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"stateless-servers/session"
	"stateless-servers/session/cookie"
	"stateless-servers/session/dynamodb"
	"stateless-servers/session/memcached"
	"stateless-servers/session/memory"
	"stateless-servers/session/postgres"
	"stateless-servers/session/sealing"
	"stateless-servers/session/sessiontest/must"
	"stateless-servers/session/sessiontest/relay"
	"stateless-servers/session/sessiontest/storeserver"
	"stateless-servers/session/token"
	"stateless-servers/session/valkey"
)

// A countingProxy forwards TCP connections. It counts the bytes in both directions before it forwards them.
type countingProxy struct{ up, down atomic.Int64 }

// to listens on a free loopback port until the test ends, forwards connections to the server, and returns its own address.
func (w *countingProxy) to(t *testing.T, server string) string {
	r, err := relay.Listen(server, func(client, server net.Conn) (up, down func()) {
		return func() { io.Copy(countingWriter{server, &w.up}, client) }, func() { io.Copy(countingWriter{client, &w.down}, server) }
	})
	must.Succeed(t, err)
	t.Cleanup(r.Close)
	return r.Addr
}

// A countingWriter counts bytes before it writes them.
type countingWriter struct {
	io.Writer
	count *atomic.Int64
}

func (w countingWriter) Write(b []byte) (int, error) {
	w.count.Add(int64(len(b)))
	return w.Writer.Write(b)
}

func serverSide(store session.Store) func(session.Options) (*session.Manager, error) {
	return func(o session.Options) (*session.Manager, error) { return session.New(store, o) }
}

// oneCommand returns 1, for stores that need one command for every operation.
func oneCommand(session.Operation) float64 { return 1 }

// openValkey counts two commands for a renewal, because the store first enters the new session in the user's list.
func openValkey(t *testing.T, w *countingProxy) measuredStore {
	store := valkey.New(valkey.Options{Address: w.to(t, storeserver.ForTest(t, storeserver.Valkey).Addr)})
	t.Cleanup(store.Close)
	return measuredStore{sessions: serverSide(store), commands: func(op session.Operation) float64 {
		if op.Name == session.OperationRenew {
			return 2
		}
		return 1
	}}
}

// openMemcached counts two commands for a change, which reads first (gets, cas), and four for a renewal, which reads and
// writes both sessions.
func openMemcached(t *testing.T, w *countingProxy) measuredStore {
	store, err := memcached.New(memcached.Options{
		Addresses: []string{w.to(t, storeserver.ForTest(t, storeserver.Memcached).Addr)}, Timeout: 20 * time.Second,
	})
	must.Succeed(t, err)
	t.Cleanup(func() { store.Close() })
	return measuredStore{sessions: serverSide(store), commands: func(op session.Operation) float64 {
		switch op.Name {
		case session.OperationUpdate, session.OperationTouch:
			return 2
		case session.OperationRenew:
			return 4
		}
		return 1
	}}
}

func openPostgres(t *testing.T, w *countingProxy) measuredStore {
	server := storeserver.ForTest(t, storeserver.Postgres)
	store := must.Get(postgres.New(postgres.Options{URL: strings.Replace(server.Endpoint, server.Addr, w.to(t, server.Addr), 1)}))(t)
	t.Cleanup(store.Close)
	must.Succeed(t, postgres.CreateTable(t.Context(), store.Pool()))
	return measuredStore{sessions: serverSide(store), commands: oneCommand}
}

func openMemory(*testing.T, *countingProxy) measuredStore {
	return measuredStore{sessions: serverSide(memory.New())}
}

func openCookie(t *testing.T, _ *countingProxy) measuredStore {
	codec := must.Get(cookie.New(testKeys(t), "session"))(t)
	return measuredStore{sessions: func(o session.Options) (*session.Manager, error) { return session.NewWithCodec(codec, o) }}
}

func openToken(t *testing.T, _ *countingProxy) measuredStore {
	codec := must.Get(token.New(testKeys(t), token.Options{Issuer: "test", Audience: "test"}))(t)
	return measuredStore{readOnly: true, sessions: func(o session.Options) (*session.Manager, error) { return session.NewWithCodec(codec, o) }}
}

func testKeys(t *testing.T) sealing.Keys {
	return must.Get(sealing.ParseKeys("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="))(t)
}

func openDynamoDB(t *testing.T, w *countingProxy) measuredStore {
	server := storeserver.ForTest(t, storeserver.DynamoDB)
	m := &capacityMeter{Client: dynamodb.NewClient(aws.Config{
		Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""),
	}, "http://"+w.to(t, strings.TrimPrefix(server.Endpoint, "http://")))}
	must.Succeed(t, dynamodb.CreateTable(t.Context(), m.Client, "counts"))
	return measuredStore{sessions: serverSide(dynamodb.New(m, dynamodb.Options{Table: "counts"})), meter: m}
}

// A capacityMeter adds up the request units that DynamoDB reports, and remembers the key of the last request.
type capacityMeter struct {
	*sdk.Client
	reads, writes float64
	key           map[string]types.AttributeValue
}

type option = func(*sdk.Options)

func (m *capacityMeter) GetItem(ctx context.Context, in *sdk.GetItemInput, o ...option) (*sdk.GetItemOutput, error) {
	in.ReturnConsumedCapacity, m.key = types.ReturnConsumedCapacityTotal, in.Key
	out, err := m.Client.GetItem(ctx, in, o...)
	if err == nil {
		m.reads += *out.ConsumedCapacity.CapacityUnits
	}
	return out, err
}

func (m *capacityMeter) UpdateItem(ctx context.Context, in *sdk.UpdateItemInput, o ...option) (*sdk.UpdateItemOutput, error) {
	in.ReturnConsumedCapacity, m.key = types.ReturnConsumedCapacityTotal, in.Key
	out, err := m.Client.UpdateItem(ctx, in, o...)
	if err == nil {
		m.writes += *out.ConsumedCapacity.CapacityUnits
	}
	return out, err
}

func (m *capacityMeter) PutItem(ctx context.Context, in *sdk.PutItemInput, o ...option) (*sdk.PutItemOutput, error) {
	in.ReturnConsumedCapacity = types.ReturnConsumedCapacityTotal
	m.key = map[string]types.AttributeValue{"id": in.Item["id"]}
	out, err := m.Client.PutItem(ctx, in, o...)
	if err == nil {
		m.writes += *out.ConsumedCapacity.CapacityUnits
	}
	return out, err
}

func (m *capacityMeter) TransactWriteItems(ctx context.Context, in *sdk.TransactWriteItemsInput, o ...option) (*sdk.TransactWriteItemsOutput, error) {
	in.ReturnConsumedCapacity = types.ReturnConsumedCapacityTotal
	out, err := m.Client.TransactWriteItems(ctx, in, o...)
	if err == nil {
		for _, table := range out.ConsumedCapacity {
			m.writes += *table.CapacityUnits
		}
		m.key = map[string]types.AttributeValue{"id": in.TransactItems[len(in.TransactItems)-1].Put.Item["id"]}
	}
	return out, err
}

// item returns the size of the item of the last request, as DynamoDB counts it (Amazon DynamoDB Developer Guide, "DynamoDB item
// sizes and formats").
func (m *capacityMeter) item(t *testing.T) float64 {
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

// The bill computes units from the size of the item. They must equal the units that DynamoDB reported.
func TestComputedUnitsEqualReportedOnes(t *testing.T) {
	counts := must.Get(LibraryCounts())(t)
	for kind, count := range counts["dynamodb"] {
		for i, size := range MeasuredBytes {
			only := Counts{"dynamodb": {Read: count}} // every request is of this kind
			reads, writes := only.units(Traffic{RequestsPerSecond: 1, SessionBytes: float64(size), ReadsPerWrite: math.Inf(1)})
			if reads != count.ReadUnits[i] || writes != count.WriteUnits[i] {
				t.Errorf("%s of %d bytes: %v read and %v write units, but DynamoDB reported %v and %v",
					kind, size, reads, writes, count.ReadUnits[i], count.WriteUnits[i])
			}
		}
	}
}

func TestCountsFileIsAsGenerated(t *testing.T) {
	counts := must.Get(LibraryCounts())(t)
	for store, kinds := range counts {
		if len(kinds[Untouched].Calls) != 0 {
			t.Errorf("%s: a request that doesn't use its session makes the calls %v, want none", store, kinds[Untouched].Calls)
		}
	}
	text, _ := json.MarshalIndent(counts, "", "  ")
	if !bytes.Equal(append(text, '\n'), embeddedCounts) {
		t.Error("counts.json isn't what go generate ./lab/cost writes")
	}
}
