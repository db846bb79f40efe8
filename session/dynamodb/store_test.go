package dynamodb_test

import (
	"errors"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awsdynamodb "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"stateless-servers/session"
	"stateless-servers/session/dynamodb"
	"stateless-servers/session/sessiontest"
	"stateless-servers/session/sessiontest/must"
	"stateless-servers/session/sessiontest/storeserver"
)

func TestStore(t *testing.T) {
	_, store, _ := openNetwork(t, storeserver.ForTest(t, storeserver.DynamoDB))
	sessiontest.Run(t, store)
}

func TestStoreWithBatches(t *testing.T) {
	network, store, _ := openNetwork(t, storeserver.ForTest(t, storeserver.DynamoDB))
	dynamodb.BatchEveryRead(store, 0)
	sessiontest.Run(t, store)
	if network.count("batch") == 0 {
		t.Error("no read was sent in a batch")
	}
}

// TestFaults makes every message between a server and DynamoDB fail in every way.
func TestFaults(t *testing.T) { testFaults(t, func(*dynamodb.Store) {}) }

func TestFaultsWithBatches(t *testing.T) {
	testFaults(t, func(s *dynamodb.Store) { dynamodb.BatchEveryRead(s, 0) })
}

func testFaults(t *testing.T, configure func(*dynamodb.Store)) {
	server := storeserver.ForTest(t, storeserver.DynamoDB)
	sessiontest.RunFaults(t, server.Addr, func(t *testing.T, address string) session.Store {
		config := config()
		config.Retryer = func() aws.Retryer { // of reads, which the SDK repeats after up to a second
			return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxBackoff = 10 * time.Millisecond })
		}
		client := dynamodb.NewClient(config, "http://"+address)
		must.Succeed(t, dynamodb.CreateTable(t.Context(), client, table))
		store := dynamodb.New(client, dynamodb.Options{Table: table})
		configure(store)
		return store
	})
}

// Replicas don't keep more than OneRegion declares: between regions the last writer wins, with the whole session.
// One table stands for the replica of each region, and the test copies items between them.
func TestBetweenRegionsTheLastWriterWins(t *testing.T) {
	here, there := openReplica(t, "here"), openReplica(t, "there")
	if p := here.store.Promises(); !p.OneRegion {
		t.Errorf("declared %+v", p)
	}
	now := time.Now()
	record := session.Record{
		Values: map[string]string{"visits": "0"}, User: "ann",
		Created: now, Expires: now.Add(time.Hour), IdleExpires: now.Add(time.Hour),
	}
	visit := session.Update{Now: now, IdleExpires: now.Add(time.Hour), Changes: []session.Change{
		{Op: session.OpAdd, Key: "visits", N: 1},
	}}
	visits := func(region replica, id session.ID) string {
		t.Helper()
		got := must.Get(region.store.Load(t.Context(), id, now))(t)
		return got.Values["visits"]
	}

	id := session.ID{1}
	must.Succeed(t, here.store.Create(t.Context(), id, record))
	here.copyTo(t, there, id)
	for _, region := range []replica{here, there} { // both before replication
		must.Get(region.store.Update(t.Context(), id, visit))(t)
	}
	there.copyTo(t, here, id) // the later one
	if got := visits(here, id); got != "1" {
		t.Errorf("after two additions in two regions, the counter is %s, want one of them lost", got)
	}

	must.Get(here.store.End(t.Context(), id, session.EndOptions{Now: now}))(t)
	must.Get(there.store.Update(t.Context(), id, visit))(t)
	there.copyTo(t, here, id) // the later one
	if got := visits(here, id); got != "2" {
		t.Errorf("got %s visits", got)
	}

	// A change that has been replicated is not lost.
	must.Get(here.store.End(t.Context(), id, session.EndOptions{Now: now}))(t)
	here.copyTo(t, there, id)
	if _, err := there.store.Update(t.Context(), id, visit); !errors.Is(err, session.ErrEnded) {
		t.Errorf("got %v of a session that ended in another region", err)
	}
}

type replica struct {
	store  *dynamodb.Store
	client *awsdynamodb.Client
	table  string
}

func openReplica(t *testing.T, table string) replica {
	t.Helper()
	server := storeserver.ForTest(t, storeserver.DynamoDB)
	client := dynamodb.NewClient(config(), server.Endpoint)
	must.Succeed(t, dynamodb.CreateTable(t.Context(), client, table))
	return replica{dynamodb.New(client, dynamodb.Options{Table: table, Replicated: true}), client, table}
}

// copyTo copies an item as replication does.
func (r replica) copyTo(t *testing.T, other replica, id session.ID) {
	t.Helper()
	key := map[string]types.AttributeValue{dynamodb.KeyAttribute: &types.AttributeValueMemberS{Value: id.String()}}
	output := must.Get(r.client.GetItem(t.Context(), &awsdynamodb.GetItemInput{TableName: &r.table, Key: key}))(t)
	must.Get(other.client.PutItem(t.Context(), &awsdynamodb.PutItemInput{TableName: &other.table, Item: output.Item}))(t)
}
