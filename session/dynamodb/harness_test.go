package dynamodb_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"stateless-servers/session"
	"stateless-servers/session/dynamodb"
	"stateless-servers/session/sessiontest/must"
	"stateless-servers/session/sessiontest/storeserver"
)

// table is the name of the table that each test deletes and creates. No other package uses it.
const table = "sessions-of-package-dynamodb"

// A network connects a store to its table. It counts requests and makes chosen ones fail.
type network struct {
	dynamodb.API

	mu       sync.Mutex
	requests map[string]int
	refuse   map[string][]error // by request: errors of the next requests, which are not sent
	lose     map[string]int     // by request: number of next requests that are sent and whose replies are lost
	before   func(request string)
}

var errLost = errors.New("the reply was lost")

// TestDynamoDB runs the tests that need a server, each with a new table on the same one.
func TestDynamoDB(t *testing.T) {
	server := storeserver.ForTest(t, storeserver.DynamoDB)
	for name, test := range map[string]func(*testing.T, *storeserver.Server){
		"renewals": testRenewals, "many changes": testManyChanges, "sessions of a user": testUserSessions,
		"many sessions of a user": testManySessions, "revocations": testRevocations, "versions side by side": testVersions,
		"a caller's client": testCallersClient,
	} {
		t.Run(name, func(t *testing.T) { test(t, server) })
	}
}

// openNetwork returns a store on a new table, with the network between them and a client of the table.
func openNetwork(t *testing.T, server *storeserver.Server) (*network, *dynamodb.Store, *sdk.Client) {
	t.Helper()
	client := dynamodb.NewClient(config(), server.Endpoint)
	var missing *types.ResourceNotFoundException
	if _, err := client.DeleteTable(t.Context(), &sdk.DeleteTableInput{TableName: aws.String(table)}); !errors.As(err, &missing) {
		must.Succeed(t, err)
	}
	must.Succeed(t, dynamodb.CreateTable(t.Context(), client, table))
	n := &network{API: client}
	n.reset()
	return n, dynamodb.New(n, dynamodb.Options{Table: table}), client
}

func config() aws.Config {
	return aws.Config{Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("local", "local", "")}
}

// reset resets the counters and makes no more requests fail.
func (n *network) reset() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.requests, n.refuse, n.lose, n.before = map[string]int{}, map[string][]error{}, map[string]int{}, nil
}

// send sends a request unless it should fail.
func send[I, O any](ctx context.Context, n *network, name string, in *I, o []func(*sdk.Options),
	f func(context.Context, *I, ...func(*sdk.Options)) (*O, error)) (*O, error) {
	n.mu.Lock()
	n.requests[name]++
	before := n.before
	if errs := n.refuse[name]; len(errs) > 0 {
		n.refuse[name] = errs[1:]
		n.mu.Unlock()
		return nil, errs[0]
	}
	lost := n.lose[name] > 0
	if lost {
		n.lose[name]--
	}
	n.mu.Unlock()
	if before != nil {
		before(name)
	}
	out, err := f(ctx, in, o...)
	if lost {
		return nil, errLost
	}
	return out, err
}

type option = func(*sdk.Options)

func (n *network) GetItem(ctx context.Context, in *sdk.GetItemInput, o ...option) (*sdk.GetItemOutput, error) {
	return send(ctx, n, "get", in, o, n.API.GetItem)
}

func (n *network) PutItem(ctx context.Context, in *sdk.PutItemInput, o ...option) (*sdk.PutItemOutput, error) {
	return send(ctx, n, "put", in, o, n.API.PutItem)
}

func (n *network) UpdateItem(ctx context.Context, in *sdk.UpdateItemInput, o ...option) (*sdk.UpdateItemOutput, error) {
	return send(ctx, n, "update", in, o, n.API.UpdateItem)
}

func (n *network) Query(ctx context.Context, in *sdk.QueryInput, o ...option) (*sdk.QueryOutput, error) {
	return send(ctx, n, "query", in, o, n.API.Query)
}

func (n *network) BatchGetItem(ctx context.Context, in *sdk.BatchGetItemInput, o ...option) (*sdk.BatchGetItemOutput, error) {
	return send(ctx, n, "batch", in, o, n.API.BatchGetItem)
}

func (n *network) TransactWriteItems(ctx context.Context, in *sdk.TransactWriteItemsInput, o ...option) (
	*sdk.TransactWriteItemsOutput, error) {
	return send(ctx, n, "transact", in, o, n.API.TransactWriteItems)
}

// count returns the number of requests of a name since the last reset.
func (n *network) count(name string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.requests[name]
}

// start is the time at which the sessions of these tests start.
var start = time.Unix(2_000_000_000, 0)

// record returns a session of a user that starts now.
func record(user string, values map[string]string) session.Record {
	return session.Record{
		Values: values, User: user, UserAgent: "Browser/1.0",
		Created: start, Expires: start.Add(time.Hour), IdleExpires: start.Add(10 * time.Minute),
	}
}

func update(changes ...session.Change) session.Update {
	return session.Update{Now: start, IdleExpires: start.Add(10 * time.Minute), Changes: changes}
}

func add(key string, n int64) session.Change {
	return session.Change{Op: session.OpAdd, Key: key, N: n}
}

func set(key, value string) session.Change {
	return session.Change{Op: session.OpSet, Key: key, Value: value}
}

// renewal returns the renewal of a login, a second after the start.
func renewal(old, fresh session.ID, known *session.Record) session.Renewal {
	now := start.Add(time.Second)
	return session.Renewal{Old: old, New: fresh, Now: now, AllowRenewed: true, Known: known, Record: session.Record{
		User: "ada", UserAgent: "Browser/1.0", Created: now, Expires: now.Add(time.Hour), IdleExpires: now.Add(10 * time.Minute),
	}}
}
