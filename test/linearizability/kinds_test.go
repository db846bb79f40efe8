package linearizability

import (
	"context"
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	dynamodbclient "github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"stateless-servers/session"
	"stateless-servers/session/dynamodb"
	"stateless-servers/session/dynamodb/dynamodbtest"
	"stateless-servers/session/memcached"
	"stateless-servers/session/postgres"
	"stateless-servers/session/sessiontest/storeserver"
	"stateless-servers/session/valkey"
)

// A kind is a kind of store that servers share.
type kind struct {
	name  string
	nodes func(t testing.TB) []*storeserver.Server
	open  func(endpoint string) (session.Store, error)
	// prepare creates tables after each start of the store's server. It is nil if there are none.
	prepare func(ctx context.Context, endpoint string) error
}

func kinds() []kind {
	return []kind{
		{"valkey", one(storeserver.Valkey), openValkey, nil},
		{"valkey cluster", valkeyCluster, openValkey, nil},
		{"dynamodb", one(storeserver.DynamoDB), openDynamoDB, createTable},
		{"dynamodb in batches", one(storeserver.DynamoDB), openBatches, createTable},
		{"postgres", one(storeserver.Postgres), openPostgres, migrate},
		{"memcached", one(storeserver.Memcached), openMemcached, nil},
	}
}

func kindNamed(name string) (kind, error) {
	for _, kind := range kinds() {
		if kind.name == name {
			return kind, nil
		}
	}
	return kind{}, fmt.Errorf("there is no store %q", name)
}

type starter = func(context.Context, ...storeserver.Option) (*storeserver.Server, error)

func one(start starter) func(testing.TB) []*storeserver.Server {
	return func(t testing.TB) []*storeserver.Server {
		return []*storeserver.Server{storeserver.OwnForTest(t, start)}
	}
}

// valkeyCluster has three primaries and a replica of the first, which comes last.
func valkeyCluster(t testing.TB) []*storeserver.Server { return storeserver.ValkeyCluster(t, 3, 1) }

func openValkey(endpoint string) (session.Store, error) {
	return valkey.New(valkey.Options{Address: endpoint}), nil
}

const table = "linearizability"

func dynamoDBClient(endpoint string) *dynamodbclient.Client {
	config := aws.Config{Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("local", "local", "")}
	return dynamodb.NewClient(config, endpoint)
}

func openDynamoDB(endpoint string) (session.Store, error) {
	return dynamodb.New(dynamoDBClient(endpoint), dynamodb.Options{Table: table}), nil
}

func openBatches(endpoint string) (session.Store, error) {
	return dynamodbtest.BatchEveryRead(context.Background(), dynamoDBClient(endpoint), dynamodb.Options{Table: table}), nil
}

func createTable(ctx context.Context, endpoint string) error {
	return dynamodb.CreateTable(ctx, dynamoDBClient(endpoint), table)
}

func openPostgres(endpoint string) (session.Store, error) {
	return postgres.New(postgres.Options{URL: endpoint})
}

func migrate(ctx context.Context, endpoint string) error {
	store, err := postgres.New(postgres.Options{URL: endpoint})
	if err != nil {
		return err
	}
	defer store.Close()
	return postgres.CreateTable(ctx, store.Pool())
}

func openMemcached(endpoint string) (session.Store, error) {
	return memcached.New(memcached.Options{Addresses: []string{endpoint}})
}
