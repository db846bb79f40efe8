package dynamodb_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"stateless-servers/app/session/dynamodb"
	"stateless-servers/app/session/sessiontest"
	"stateless-servers/lab/storeserver"
)

func TestStore(t *testing.T) {
	sessiontest.Run(t, open(t, dynamodb.Options{}))
}

func open(t *testing.T, options dynamodb.Options) *dynamodb.Store {
	server := storeserver.ForTest(t, storeserver.DynamoDB)
	config := aws.Config{Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("local", "local", "")}
	client := dynamodb.NewClient(config, server.Endpoint)
	options.Table = "sessions"
	if err := dynamodb.CreateTable(t.Context(), client, options.Table); err != nil {
		t.Fatal(err)
	}
	return dynamodb.New(client, options)
}
