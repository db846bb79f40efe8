package storeserver

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// A holding is a kind of server, with functions that store a value and look for it.
type holding struct {
	name  string
	start func(context.Context, ...Option) (*Server, error)
	put   func(ctx context.Context, s *Server) error
	holds func(ctx context.Context, s *Server) (bool, error)
}

func kinds() []holding {
	return []holding{
		{"valkey", Valkey, putKey, holdsKey},
		{"dynamodb", DynamoDB, putTable, holdsTable},
		{"postgres", Postgres, putRow, holdsRow},
		{"memcached", Memcached, putItem, holdsItem},
	}
}

// startHere clears the environment variables that name running servers.
func startHere(t *testing.T) {
	t.Helper()
	for _, pair := range os.Environ() {
		if variable, _, _ := strings.Cut(pair, "="); strings.Contains(variable, "_TEST_") {
			t.Setenv(variable, "")
		}
	}
}

func putKey(ctx context.Context, s *Server) error {
	_, err := command(ctx, s, "SET here 1")
	return err
}

func holdsKey(ctx context.Context, s *Server) (bool, error) {
	line, err := command(ctx, s, "EXISTS here")
	return line == ":1\r\n", err
}

func command(ctx context.Context, s *Server, line string) (string, error) {
	var reply *bufio.Reader
	reply, err := sendCommand(ctx, s.Addr, line)
	if err != nil {
		return "", err
	}
	return reply.ReadString('\n')
}

func client(s *Server) *dynamodb.Client {
	return dynamodb.New(dynamodb.Options{
		Region: "eu-west-1", BaseEndpoint: aws.String(s.Endpoint), RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""),
	})
}

func putTable(ctx context.Context, s *Server) error {
	_, err := client(s).CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName: aws.String("here"), BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("id"), AttributeType: "S"}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("id"), KeyType: types.KeyTypeHash}},
	})
	return err
}

func holdsTable(ctx context.Context, s *Server) (bool, error) {
	tables, err := client(s).ListTables(ctx, &dynamodb.ListTablesInput{})
	return err == nil && fmt.Sprint(tables.TableNames) == "[here]", err
}
