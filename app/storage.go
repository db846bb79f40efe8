package main

import (
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"

	"stateless-servers/app/config"
	"stateless-servers/app/leaderboard"
	"stateless-servers/app/session"
	"stateless-servers/app/session/dynamodb"
	"stateless-servers/app/session/memory"
	"stateless-servers/app/session/valkey"
)

// storage is where the server keeps what outlives a request.
type storage struct {
	sessions session.Store
	board    leaderboard.Board
	close    func()
}

// openStorage sets up the configured store. It doesn't connect: a server may start before its store does.
func openStorage(c config.Config) storage {
	switch c.Store {
	case config.StoreValkey:
		return openValkey(c)
	case config.StoreDynamoDB:
		return openDynamoDB(c)
	default:
		return storage{memory.New(), leaderboard.NewMemory(), func() {}}
	}
}

func openValkey(c config.Config) storage {
	options := valkey.Options{Address: c.ValkeyAddress, TLS: c.ValkeyTLS}
	if c.ValkeyUser != "" {
		aws := awsConfig(c)
		options.Credentials = valkey.IAM(aws.Credentials, c.Region, c.ValkeyUser, c.ValkeyCacheName)
	}
	store := valkey.New(options)
	return storage{store, leaderboard.NewValkey(store.Client), store.Close}
}

func openDynamoDB(c config.Config) storage {
	aws := awsConfig(c)
	if strings.HasPrefix(c.DynamoDBEndpoint, "http://") {
		// DynamoDB Local takes any credentials; those of the environment must not be sent in the clear.
		aws.Credentials = credentials.NewStaticCredentialsProvider("local", "local", "")
	}
	client := dynamodb.NewClient(aws, c.DynamoDBEndpoint)
	store := dynamodb.New(client, dynamodb.Options{Table: c.DynamoDBTable, EventualReads: c.DynamoDBEventualReads})
	return storage{store, leaderboard.NewDynamoDB(client, c.DynamoDBTable), func() {}}
}

// awsConfig takes credentials from the variables that every AWS tool knows, or else from the instance's role. The SDK's
// whole chain (profiles, single sign-on, web identity, containers) would be a sixth of the server's size, for nothing that
// a fleet uses.
func awsConfig(c config.Config) aws.Config {
	var provider aws.CredentialsProvider = ec2rolecreds.New()
	if key := os.Getenv("AWS_ACCESS_KEY_ID"); key != "" {
		provider = credentials.NewStaticCredentialsProvider(key, os.Getenv("AWS_SECRET_ACCESS_KEY"), os.Getenv("AWS_SESSION_TOKEN"))
	}
	return aws.Config{Region: c.Region, Credentials: aws.NewCredentialsCache(provider)}
}
