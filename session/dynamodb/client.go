package dynamodb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// NewClient returns a client for many concurrent requests. A non-empty endpoint replaces the endpoint of the region, for DynamoDB
// Local.
//
// It keeps the config's credentials, middleware and HTTP client. If that is the SDK's own, with its proxy and its certificate
// authorities, NewClient gives it more connections. Any client of the caller works as an API, too: the Store switches off
// retries of writes for each request.
func NewClient(config aws.Config, endpoint string) *dynamodb.Client {
	return dynamodb.NewFromConfig(config, func(o *dynamodb.Options) {
		o.HTTPClient = httpClient{manyConnections(config.HTTPClient)}
		// The SDK only logs a checksum that doesn't match. The integrity of responses relies on TLS.
		o.DisableValidateResponseChecksum = true
		if endpoint != "" {
			o.BaseEndpoint = aws.String(endpoint)
		}
	})
}

// manyConnections returns the client with enough idle connections, if it is the SDK's or nil. By default the SDK keeps 10 per host;
// every further request would open a new connection.
func manyConnections(client aws.HTTPClient) aws.HTTPClient {
	if client == nil {
		client = awshttp.NewBuildableClient()
	}
	buildable, ok := client.(*awshttp.BuildableClient)
	if !ok {
		return client
	}
	return direct{buildable.WithTransportOptions(func(t *http.Transport) {
		t.MaxIdleConnsPerHost = 512
		t.MaxIdleConns = 512
		t.MaxResponseHeaderBytes = maxHeaderBytes
	}).GetTransport()}
}

// A direct client sends requests through a transport, without the work of an http.Client. It follows no redirects.
type direct struct{ http.RoundTripper }

func (d direct) Do(request *http.Request) (*http.Response, error) { return d.RoundTrip(request) }

// maxBodyBytes limits the body of a response, except to BatchGetItem. An item of 400 KB may be 2.4 MB as JSON.
const maxBodyBytes = 4 << 20

// maxBatchBytes limits the body of a response to BatchGetItem, which returns up to 16 MB of items.
const maxBatchBytes = 32 << 20

// maxHeaderBytes limits the header of a response. The header of a DynamoDB response has about 300 bytes.
const maxHeaderBytes = 64 << 10

// An httpClient sends the requests of the SDK. It limits the body of responses, which the SDK would read
// to any length. It rejects 101 Switching Protocols, because the body of such a response doesn't end with the request's context.
type httpClient struct{ aws.HTTPClient }

func (c httpClient) Do(request *http.Request) (*http.Response, error) {
	if err := bufferBody(request); err != nil {
		return nil, err
	}
	response, err := c.HTTPClient.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode == http.StatusSwitchingProtocols {
		response.Body.Close() // the body is the connection and ignores the context
		return nil, errors.New("the response of DynamoDB has the status 101 Switching Protocols")
	}
	limit := int64(maxBodyBytes)
	if strings.HasSuffix(request.Header.Get("X-Amz-Target"), ".BatchGetItem") {
		limit = maxBatchBytes
	}
	response.Body = http.MaxBytesReader(nil, response.Body, limit)
	return response, nil
}

// bufferBody replaces the body of a request by a copy. Package net/http sends a header and a body in one write only if the body has
// a type that it knows, which the SDK's is not. The second write takes a tenth of the CPU time of a GetItem.
func bufferBody(request *http.Request) error {
	if request.Body == nil || request.ContentLength <= 0 {
		return nil
	}
	body := make([]byte, request.ContentLength)
	_, err := io.ReadFull(request.Body, body)
	if err = errors.Join(err, request.Body.Close()); err != nil {
		return fmt.Errorf("read the request's body: %w", err)
	}
	request.Body = io.NopCloser(bytes.NewReader(body))
	return nil
}

// CreateTable creates a table with the keys and the index that the Store needs, for DynamoDB Local. It returns nil if the table
// exists. On AWS, use infrastructure as code to create it with the same keys and index.
func CreateTable(ctx context.Context, client *dynamodb.Client, table string) error {
	_, err := client.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName:   aws.String(table),
		BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{
			{AttributeName: aws.String(attributeID), AttributeType: types.ScalarAttributeTypeS},
			{AttributeName: aws.String(attributeOwner), AttributeType: types.ScalarAttributeTypeS},
			{AttributeName: aws.String(attributePosition), AttributeType: types.ScalarAttributeTypeN},
		},
		KeySchema: []types.KeySchemaElement{{AttributeName: aws.String(attributeID), KeyType: types.KeyTypeHash}},
		GlobalSecondaryIndexes: []types.GlobalSecondaryIndex{{
			IndexName: aws.String(ownerIndex),
			KeySchema: []types.KeySchemaElement{
				{AttributeName: aws.String(attributeOwner), KeyType: types.KeyTypeHash},
				{AttributeName: aws.String(attributePosition), KeyType: types.KeyTypeRange},
			},
			Projection: &types.Projection{ProjectionType: types.ProjectionTypeKeysOnly},
		}},
	})
	var exists *types.ResourceInUseException
	if err != nil && !errors.As(err, &exists) {
		return fmt.Errorf("create table %s: %w", table, err)
	}
	return nil
}
