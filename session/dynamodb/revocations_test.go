package dynamodb_test

import (
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"stateless-servers/session"
	"stateless-servers/session/dynamodb"
	"stateless-servers/session/revocation"
	"stateless-servers/session/sessiontest"
	"stateless-servers/session/sessiontest/must"
	"stateless-servers/session/sessiontest/storeserver"
)

// revocationTable is the name of the table that each test deletes and creates.
const revocationTable = "revocations-of-package-dynamodb"

func openRevocations(t testing.TB, server *storeserver.Server) (*network, *dynamodb.Revocations, *sdk.Client) {
	t.Helper()
	client := dynamodb.NewClient(config(), server.Endpoint)
	var missing *types.ResourceNotFoundException
	if _, err := client.DeleteTable(t.Context(), &sdk.DeleteTableInput{TableName: aws.String(revocationTable)}); err != nil && !errors.As(err, &missing) {
		t.Fatal(err)
	}
	must.Succeed(t, dynamodb.CreateRevocationTable(t.Context(), client, revocationTable))
	n := &network{API: client}
	n.reset()
	return n, dynamodb.NewRevocations(n, revocationTable), client
}

func testRevocations(t *testing.T, server *storeserver.Server) {
	n, list, _ := openRevocations(t, server)
	sessiontest.RunList(t, list)
	n.reset()
	entry := revocation.Entry{CutOff: true, ID: session.ID{1}, At: start, Expires: start.Add(time.Hour)}
	for _, want := range []int{1, 2} {
		n.reset()
		must.Get(list.Add(t.Context(), entry))(t)
		if got := n.count("put"); got != want || n.count("get") != 0 {
			t.Errorf("a cut-off takes %d writes, want %d and no read", got, want)
		}
	}
	n.refuse["put"] = []error{&types.ProvisionedThroughputExceededException{}}
	must.Get(list.Add(t.Context(), entry))(t)
}

// BenchmarkRevocations adds an entry per iteration and reports the bytes that each takes in the table and its index.
func BenchmarkRevocations(b *testing.B) {
	_, list, client := openRevocations(b, storeserver.ForTest(b, storeserver.DynamoDB))
	now := time.Now()
	for b.Loop() {
		entry := revocation.Entry{At: now, Expires: now.Add(24 * time.Hour)}
		rand.Read(entry.ID[:])
		must.Get(list.Add(b.Context(), entry))(b)
		now = now.Add(time.Millisecond)
	}
	output := must.Get(client.DescribeTable(b.Context(), &sdk.DescribeTableInput{TableName: aws.String(revocationTable)}))(b)
	bytes := *output.Table.TableSizeBytes
	for _, index := range output.Table.LocalSecondaryIndexes {
		bytes += *index.IndexSizeBytes
	}
	b.ReportMetric(float64(bytes)/float64(b.N), "storedB/entry")
	b.ReportMetric(0, "ns/op")
}
