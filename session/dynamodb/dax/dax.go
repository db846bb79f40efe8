// Package dax connects the session store of package dynamodb to its table through Amazon DynamoDB Accelerator (DAX). The store
// reads and writes items through DAX, so that its cache sees every change. Queries go to the table, because DAX would cache
// their results. The store can't promise ReadYourWrites: see [Client]. Create a Client with New and pass it to dynamodb.New.
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
	// The values below are from the client's DefaultConfig. DefaultConfig itself is not called, because it loads the SDK's whole
	// chain of credentials and panics if that fails.
	nodesInterval  = 4 * time.Second // interval between updates of the list of nodes
	nodesThreshold = 125 * time.Millisecond
	healthInterval = 5 * time.Second
	idleInterval   = 30 * time.Second // time after which unused connections are closed
	maxDials       = 10               // maximum number of concurrent dials per node
)

// A Querier queries the table without DAX. A *dynamodb.Client is one.
type Querier interface {
	Query(context.Context, *dynamodb.QueryInput, ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error)
}

// Options configure a Client.
type Options struct {
	// Endpoint is the discovery endpoint of the cluster: daxs://host:9111, or dax://host:8111 without TLS.
	Endpoint string
	// Region and Credentials sign the requests. Both are required.
	Region      string
	Credentials aws.CredentialsProvider
	// RootCAs are the certificate authorities that TLS trusts; default those of the system.
	RootCAs *x509.CertPool
	// Queries receives the queries, which don't go through DAX. It is required.
	Queries Querier
}

// A Client is a DynamoDB client that goes through DAX. Pass it to dynamodb.New with Options.EventualReads. It finds the nodes of
// the cluster on first use, so that a web server can start before the cluster.
//
// Eventually consistent reads come from the cache of one node. The cache usually sees writes through DAX within a second. If a
// node has missed a write, it sees the write when the cached item expires, which the cluster's parameter group sets. Consistent
// reads go through DAX to the table.
//
// A write is sent once. If the condition of a PutItem or UpdateItem fails, the Client makes a consistent read, because DAX does
// not return the item on which the condition failed.
type Client struct {
	options Options
	config  dax.Config

	attempts singleflight.Group // finds the nodes, one attempt at a time

	mu     sync.Mutex
	ready  *dax.Dax // nil until the nodes are known
	closed bool
}

var _ store.API = (*Client)(nil)

// New returns a Client. It returns an error if the Endpoint is malformed. Close the Client after use.
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
	// By default the client retries a write if its reply is lost, and an addition would count twice.
	c.config.WriteRetries, c.config.ReadRetries = 0, 1
	// The default dialer has no timeout.
	plain := &net.Dialer{Timeout: dialTimeout}
	c.config.DialContext = plain.DialContext
	if address.Scheme == "daxs" {
		// The client dials nodes by IP address, but their certificates have the name of the cluster.
		c.config.DialContext = (&tls.Dialer{NetDialer: plain, Config: &tls.Config{
			ServerName: address.Hostname(), RootCAs: o.RootCAs, MinVersion: tls.VersionTLS12,
		}}).DialContext
	}
	return c, nil
}

// Close closes the connections. Don't call other methods after it.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.ready != nil {
		c.ready.Close()
		c.ready = nil
	}
}

// cluster returns the client of the cluster. It finds the nodes first if necessary.
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

// known returns the client, or nil if the nodes are not known yet. It returns an error if the Client is closed.
func (c *Client) known() (*dax.Dax, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, net.ErrClosed
	}
	return c.ready, nil
}

// connect creates a client and keeps it if it has found nodes. A client without nodes would continue to look for them, but it
// deadlocks if it is used meanwhile (aws-dax-go-v2 1.0.1: cluster.client takes a read lock twice).
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

// found returns nil if the client knows a node: only then does a cancelled request fail because of the cancellation.
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

// GetItem reads an item. It ignores the options, which are for the SDK's own client.
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

// UpdateItem updates an item.
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

// TransactWriteItems writes items in one transaction. DAX then reads them from the table into its cache.
func (c *Client) TransactWriteItems(ctx context.Context, input *dynamodb.TransactWriteItemsInput, _ ...func(*dynamodb.Options)) (
	*dynamodb.TransactWriteItemsOutput, error) {
	client, err := c.cluster(ctx)
	if err != nil {
		return nil, err
	}
	return client.TransactWriteItems(ctx, input)
}

// Query queries the table without DAX.
func (c *Client) Query(ctx context.Context, input *dynamodb.QueryInput, options ...func(*dynamodb.Options)) (
	*dynamodb.QueryOutput, error) {
	return c.options.Queries.Query(ctx, input, options...)
}

// explain adds to the error of a failed condition the current item. For a session, the current item is good enough: an ended or
// expired session stays ended or expired.
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
