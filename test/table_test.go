package test

import (
	"crypto/rand"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awsdynamodb "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"stateless-servers/session/dynamodb"
	"stateless-servers/session/sessiontest"
	"stateless-servers/session/sessiontest/must"
	"stateless-servers/session/sessiontest/storeserver"
)

// The session library works on the table that the stack deploys: it is created in DynamoDB Local from the
// template's own keys and indexes, and passes the conformance suite.
func TestTheDeployedTableHoldsSessions(t *testing.T) {
	sessiontest.Long(t)
	client, name := createDeployed(t, "dynamodb")
	sessiontest.Run(t, dynamodb.New(client, dynamodb.Options{Table: name}))
}

// The same holds for the table of revoked tokens.
func TestTheDeployedTableHoldsRevocations(t *testing.T) {
	sessiontest.Long(t)
	client, name := createDeployed(t, "token-dynamodb")
	sessiontest.RunList(t, dynamodb.NewRevocations(client, name))
}

// createDeployed creates the table of a variant's golden template in DynamoDB Local. It returns a client and the table's name.
func createDeployed(t *testing.T, variant string) (*awsdynamodb.Client, string) {
	t.Helper()
	template := must.Get(os.ReadFile(filepath.Join(root, "stacks", "testdata", variant+".json")))(t)
	var stack struct {
		Resources map[string]struct {
			Type       string
			Properties json.RawMessage
		}
	}
	must.Succeed(t, json.Unmarshal(template, &stack))
	server := storeserver.ForTest(t, storeserver.DynamoDB)
	client := dynamodb.NewClient(aws.Config{
		Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""),
	}, server.Endpoint)
	type index struct {
		IndexName  string
		KeySchema  []types.KeySchemaElement
		Projection types.Projection
	}
	tables, name := 0, "deployed-"+rand.Text()
	for _, resource := range stack.Resources {
		if resource.Type != "AWS::DynamoDB::Table" && resource.Type != "AWS::DynamoDB::GlobalTable" {
			continue
		}
		tables++
		var properties struct {
			AttributeDefinitions    []types.AttributeDefinition
			KeySchema               []types.KeySchemaElement
			GlobalSecondaryIndexes  []index
			LocalSecondaryIndexes   []index
			TimeToLiveSpecification types.TimeToLiveSpecification
		}
		must.Succeed(t, json.Unmarshal(resource.Properties, &properties))
		if ttl := properties.TimeToLiveSpecification; aws.ToString(ttl.AttributeName) != "ttl" || !aws.ToBool(ttl.Enabled) {
			t.Errorf("time to live: %s", resource.Properties)
		}
		input := awsdynamodb.CreateTableInput{
			TableName: aws.String(name), BillingMode: types.BillingModePayPerRequest,
			AttributeDefinitions: properties.AttributeDefinitions, KeySchema: properties.KeySchema,
		}
		for _, index := range properties.GlobalSecondaryIndexes {
			input.GlobalSecondaryIndexes = append(input.GlobalSecondaryIndexes, types.GlobalSecondaryIndex{
				IndexName: &index.IndexName, KeySchema: index.KeySchema, Projection: &index.Projection,
			})
		}
		for _, index := range properties.LocalSecondaryIndexes {
			input.LocalSecondaryIndexes = append(input.LocalSecondaryIndexes, types.LocalSecondaryIndex{
				IndexName: &index.IndexName, KeySchema: index.KeySchema, Projection: &index.Projection,
			})
		}
		must.Get(client.CreateTable(t.Context(), &input))(t)
	}
	if tables != 1 {
		t.Fatalf("the template has %d tables, want 1", tables)
	}
	return client, name
}
