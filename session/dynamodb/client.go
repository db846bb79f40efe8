package dynamodb

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// NewClient returns a client fit for many parallel requests. The endpoint replaces the region's own when it isn't empty,
// for DynamoDB Local.
func NewClient(config aws.Config, endpoint string) *dynamodb.Client {
	return dynamodb.NewFromConfig(config, func(o *dynamodb.Options) {
		// The SDK keeps 10 idle connections to a host; beyond that each request would shake hands anew.
		o.HTTPClient = boundedClient{awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
			t.MaxIdleConnsPerHost = 512
			t.MaxIdleConns = 512
			t.MaxResponseHeaderBytes = maxHeader
		})}
		if endpoint != "" {
			o.BaseEndpoint = aws.String(endpoint)
		}
	})
}

// maxAnswer bounds the body of a response, in bytes. An item of 400 KB may be 2.4 MB as JSON.
const maxAnswer = 4 << 20

// maxHeader bounds the header of a response, in bytes. DynamoDB's has some 300.
const maxHeader = 64 << 10

// A boundedClient gives no response that is larger than maxAnswer, which the SDK would read as far as it comes, or that
// would not end with its request's context.
type boundedClient struct{ aws.HTTPClient }

func (c boundedClient) Do(request *http.Request) (*http.Response, error) {
	response, err := c.HTTPClient.Do(request)
	if err != nil {
		return response, err
	}
	if response.StatusCode == http.StatusSwitchingProtocols {
		response.Body.Close() // it is the connection, which heeds no context
		return nil, errors.New("the answer of DynamoDB is no answer: 101 Switching Protocols")
	}
	response.Body = http.MaxBytesReader(nil, response.Body, maxAnswer)
	return response, nil
}

// CreateTable makes a table as the Store needs it, for DynamoDB Local; a table that exists is fine. In AWS,
// infrastructure as code makes it, with the same keys and index.
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
