// Package dax puts Amazon DynamoDB Accelerator (DAX) between the session store of package dynamodb and its table. Items
// are read and written by way of DAX, so that its cache sees every change; queries go to the table, because DAX would
// repeat their answers. A store on it must not expect to read its writes: see [Client].
package dax

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync"
	"time"

	dax "github.com/aws/aws-dax-go-v2/dax"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
	"golang.org/x/sync/singleflight"

	store "stateless-servers/session/dynamodb"
)

const (
	dialTimeout = 2 * time.Second
	// The rest is what the client's own DefaultConfig says, which isn't called: it loads the SDK's whole chain of
	// credentials, and panics where that fails.
	nodesInterval  = 4 * time.Second // between looks at which nodes there are
	nodesThreshold = 125 * time.Millisecond
	healthInterval = 5 * time.Second
	idleInterval   = 30 * time.Second // after which unused connections are closed
	maxDials       = 10               // at a time and node
)

// A Querier asks the table itself.
type Querier interface {
	Query(context.Context, *dynamodb.QueryInput, ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error)
}

// Options configure a Client.
type Options struct {
	// Endpoint is the cluster's discovery endpoint: daxs://host:9111, or dax://host:8111 without TLS.
	Endpoint string
	// Region and Credentials sign; both are required.
	Region      string
	Credentials aws.CredentialsProvider
	// RootCAs, when not nil, are the certificate authorities that TLS trusts instead of the system's.
	RootCAs *x509.CertPool
	// Queries goes to the table.
	Queries Querier
}

// Client is a client of DynamoDB by way of DAX, as dynamodb.New takes it, with Options.EventualReads: an eventual read
// is answered from the cache of whichever node is asked. That follows writes by way of DAX usually within a second and, when
// a node has missed one, when the cached item expires, which the cluster's parameter group decides. Consistent reads go
// through DAX to the table. It looks for the nodes when it is first used, so that a server may start before its cluster.
//
// A write is sent once. PutItem and UpdateItem that fail their condition are followed by a consistent read, since DAX doesn't
// return the item that they failed on.
type Client struct {
	options Options
	config  dax.Config

	attempts singleflight.Group // to find the nodes: one at a time

	mu     sync.Mutex
	ready  *dax.Dax // when the nodes are known
	closed bool
}

var _ store.API = (*Client)(nil)

// New returns a Client; the error is that of an Endpoint that can't be one.
func New(o Options) (*Client, error) {
	address, err := url.Parse(o.Endpoint)
	if err != nil || address.Hostname() == "" || address.Scheme != "dax" && address.Scheme != "daxs" {
		return nil, fmt.Errorf("DAX endpoint %q: want daxs://host:port or dax://host:port", o.Endpoint)
	}
	c := &Client{options: o}
	c.config.HostPorts = []string{o.Endpoint}
	c.config.Region, c.config.Credentials = o.Region, o.Credentials
	c.config.ClusterUpdateInterval, c.config.ClusterUpdateThreshold = nodesInterval, nodesThreshold
	c.config.ClientHealthCheckInterval, c.config.IdleConnectionReapDelay = healthInterval, idleInterval
	c.config.MaxPendingConnectionsPerHost = maxDials
	// The client would repeat a write whose answer it lost, and an addition would count twice.
	c.config.WriteRetries, c.config.ReadRetries = 0, 1
	// Its own dialer knows no timeout.
	plain := &net.Dialer{Timeout: dialTimeout}
	c.config.DialContext = plain.DialContext
	if address.Scheme == "daxs" {
		// Nodes are dialled by address; their certificates are for the cluster's name.
		c.config.DialContext = (&tls.Dialer{NetDialer: plain, Config: &tls.Config{
			ServerName: address.Hostname(), RootCAs: o.RootCAs, MinVersion: tls.VersionTLS12,
		}}).DialContext
	}
	return c, nil
}

// Close ends the connections. No call may follow.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.ready != nil {
		c.ready.Close()
		c.ready = nil
	}
}

// cluster returns the client of the cluster once its nodes are known, or why they aren't yet.
func (c *Client) cluster(ctx context.Context) (*dax.Dax, error) {
	if client, err := c.known(); client != nil || err != nil {
		return client, err
	}
	select {
	case attempt := <-c.attempts.DoChan("", c.connect):
		client, _ := attempt.Val.(*dax.Dax)
		return client, attempt.Err
	case <-ctx.Done():
		return nil, fmt.Errorf("find the nodes of %s: %w", c.options.Endpoint, ctx.Err())
	}
}

// known returns the client, nil while there is none, or that the Client is closed.
func (c *Client) known() (*dax.Dax, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, net.ErrClosed
	}
	return c.ready, nil
}

// connect makes a client and keeps it if it has found nodes. One that hasn't would go on looking by itself, but locks
// itself up for good when it is used while it does (aws-dax-go-v2 1.0.1: cluster.client takes a read lock twice).
func (c *Client) connect() (any, error) {
	if client, err := c.known(); client != nil || err != nil { // since the caller asked
		return client, err
	}
	client, err := dax.New(c.config)
	if err == nil {
		if err = found(client); err != nil {
			client.Close()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("find the nodes of %s: %w", c.options.Endpoint, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		client.Close()
		return nil, net.ErrClosed
	}
	c.ready = client
	return client, nil
}

// found is nil when the client knows a node: then a request that is cancelled fails of that, and of nothing else.
func found(client *dax.Dax) error {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := client.GetItem(ctx, &dynamodb.GetItemInput{})
	var cancelled *smithy.CanceledError
	if errors.As(err, &cancelled) {
		return nil
	}
	return err
}

// GetItem reads an item. Options are the SDK's own client's, and not used.
func (c *Client) GetItem(ctx context.Context, input *dynamodb.GetItemInput, _ ...func(*dynamodb.Options)) (
	*dynamodb.GetItemOutput, error) {
	client, err := c.cluster(ctx)
	if err != nil {
		return nil, err
	}
	return client.GetItem(ctx, input)
}

// PutItem writes an item.
func (c *Client) PutItem(ctx context.Context, input *dynamodb.PutItemInput, _ ...func(*dynamodb.Options)) (
	*dynamodb.PutItemOutput, error) {
	client, err := c.cluster(ctx)
	if err != nil {
		return nil, err
	}
	output, err := client.PutItem(ctx, input)
	if input.ReturnValuesOnConditionCheckFailure == types.ReturnValuesOnConditionCheckFailureAllOld {
		key := map[string]types.AttributeValue{store.KeyAttribute: input.Item[store.KeyAttribute]}
		err = explain(ctx, client, err, input.TableName, key)
	}
	return output, err
}

// UpdateItem changes an item.
func (c *Client) UpdateItem(ctx context.Context, input *dynamodb.UpdateItemInput, _ ...func(*dynamodb.Options)) (
	*dynamodb.UpdateItemOutput, error) {
	client, err := c.cluster(ctx)
	if err != nil {
		return nil, err
	}
	output, err := client.UpdateItem(ctx, input)
	if input.ReturnValuesOnConditionCheckFailure == types.ReturnValuesOnConditionCheckFailureAllOld {
		err = explain(ctx, client, err, input.TableName, input.Key)
	}
	return output, err
}

// BatchGetItem reads items.
func (c *Client) BatchGetItem(ctx context.Context, input *dynamodb.BatchGetItemInput, _ ...func(*dynamodb.Options)) (
	*dynamodb.BatchGetItemOutput, error) {
	client, err := c.cluster(ctx)
	if err != nil {
		return nil, err
	}
	return client.BatchGetItem(ctx, input)
}

// TransactWriteItems writes items in one step. DAX then reads them from the table, to have them in its cache.
func (c *Client) TransactWriteItems(ctx context.Context, input *dynamodb.TransactWriteItemsInput, _ ...func(*dynamodb.Options)) (
	*dynamodb.TransactWriteItemsOutput, error) {
	client, err := c.cluster(ctx)
	if err != nil {
		return nil, err
	}
	return client.TransactWriteItems(ctx, input)
}

// Query asks the table.
func (c *Client) Query(ctx context.Context, input *dynamodb.QueryInput, options ...func(*dynamodb.Options)) (
	*dynamodb.QueryOutput, error) {
	return c.options.Queries.Query(ctx, input, options...)
}

// explain adds to the error of a failed condition the item that it failed on, as it is now. For a session that is as good:
// one that has ended or expired stays so.
func explain(ctx context.Context, client *dax.Dax, err error, table *string, key map[string]types.AttributeValue) error {
	var failed *types.ConditionalCheckFailedException
	if !errors.As(err, &failed) {
		return err
	}
	output, readErr := client.GetItem(ctx, &dynamodb.GetItemInput{TableName: table, Key: key, ConsistentRead: aws.Bool(true)})
	if readErr != nil {
		return fmt.Errorf("read what a condition failed on: %w", readErr)
	}
	failed.Item = output.Item
	return err
}
