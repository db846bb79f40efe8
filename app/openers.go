package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/aws-sdk-go-v2/feature/rds/auth"
	sdk "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"stateless-servers/app/config"
	"stateless-servers/app/leaderboard"
	"stateless-servers/session"
	"stateless-servers/session/dynamodb"
	"stateless-servers/session/dynamodb/dax"
	"stateless-servers/session/memcached"
	"stateless-servers/session/postgres"
	"stateless-servers/session/valkey"
	"stateless-servers/session/valkey/elasticache"
)

// sweepInterval is the interval at which expired rows are deleted from PostgreSQL.
const sweepInterval = 10 * time.Minute

// createRetryInterval is the pause between attempts to create the leaderboard's table.
const createRetryInterval = 5 * time.Second

func (s *storage) openValkey(_ context.Context, c config.Config, _ *slog.Logger) (session.Store, leaderboard.Board, error) {
	store := s.newValkey(c)
	return store, leaderboard.NewValkey(store.Client), nil
}

func (s *storage) newValkey(c config.Config) *valkey.Store {
	options := valkey.Options{Address: c.ValkeyAddress, TLS: c.ValkeyTLS}
	if c.ValkeyUser != "" {
		sign := elasticache.IAM
		if c.ValkeyServerless {
			sign = elasticache.IAMServerless
		}
		options.Credentials = sign(awsConfig(c).Credentials, c.Region, c.ValkeyUser, c.ValkeyCacheName)
	}
	store := valkey.New(options)
	s.closers = append(s.closers, store.Close)
	return store
}

func (s *storage) openDynamoDB(_ context.Context, c config.Config, _ *slog.Logger) (session.Store, leaderboard.Board, error) {
	client := newDynamoDBClient(c)
	options := dynamodb.Options{
		Table: c.DynamoDBTable, EventualReads: c.DynamoDBEventualReads, Replicated: c.DynamoDBReplicated,
		BatchReads: c.DynamoDBBatchReads,
	}
	var api dynamodb.API = client
	if c.DynamoDBDAX != "" {
		daxClient, err := dax.New(dax.Options{
			Endpoint: c.DynamoDBDAX, Region: c.Region, Credentials: awsConfig(c).Credentials, Queries: client,
		})
		if err != nil {
			return nil, nil, err
		}
		s.closers = append(s.closers, daxClient.Close)
		api, options.EventualReads = daxClient, true
	}
	store := dynamodb.New(api, options)
	return store, leaderboard.NewDynamoDB(client, c.DynamoDBTable), nil
}

func newDynamoDBClient(c config.Config) *sdk.Client {
	aws := awsConfig(c)
	if strings.HasPrefix(c.DynamoDBEndpoint, "http://") {
		// DynamoDB Local accepts any credentials. Those of the environment must not be sent without TLS.
		aws.Credentials = credentials.NewStaticCredentialsProvider("local", "local", "")
	}
	return dynamodb.NewClient(aws, c.DynamoDBEndpoint)
}

func (s *storage) openMemcached(_ context.Context, c config.Config, _ *slog.Logger) (session.Store, leaderboard.Board, error) {
	store, err := memcached.New(memcached.Options{Addresses: c.MemcachedAddresses, TLS: c.MemcachedTLS, Timeout: c.StoreTimeout})
	if err != nil {
		return nil, nil, err
	}
	s.closers = append(s.closers, func() { store.Close() })
	s.retries = append(s.retries, store.Conflicts)
	return store, nil, nil
}

func (s *storage) openPostgres(ctx context.Context, c config.Config, logger *slog.Logger) (session.Store, leaderboard.Board, error) {
	options := postgres.Options{URL: c.PostgresURL}
	if c.PostgresIAM {
		connection, err := pgx.ParseConfig(c.PostgresURL)
		if err != nil {
			return nil, nil, fmt.Errorf("parse the connection string of PostgreSQL: %w", err)
		}
		endpoint := net.JoinHostPort(connection.Host, strconv.Itoa(int(connection.Port)))
		provider := awsConfig(c).Credentials
		options.Password = func(ctx context.Context) (string, error) {
			return auth.BuildAuthToken(ctx, endpoint, c.Region, connection.User, provider)
		}
	}
	store, err := postgres.New(options)
	if err != nil {
		return nil, nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	var background sync.WaitGroup
	background.Go(func() {
		store.Maintain(ctx, sweepInterval, func(err error) { logger.Warn("maintaining the session table", "error", err) })
	})
	background.Go(func() { createBoardTable(ctx, store.Pool(), logger) })
	s.closers = append(s.closers, func() { stop(); background.Wait(); store.Close() })
	return store, leaderboard.NewPostgres(store.Pool()), nil
}

// createBoardTable creates the leaderboard's table, and retries until it succeeds or ctx ends.
func createBoardTable(ctx context.Context, pool *pgxpool.Pool, logger *slog.Logger) {
	for ctx.Err() == nil {
		err := leaderboard.MigratePostgres(ctx, pool)
		if err == nil {
			return
		}
		logger.Warn("creating the leaderboard's table", "error", err)
		select {
		case <-time.After(createRetryInterval):
		case <-ctx.Done():
		}
	}
}

// awsConfig returns an AWS configuration with credentials from the standard environment variables of AWS, or otherwise from
// the instance's role. The SDK's whole credential chain (profiles, single sign-on, web identity, containers) would make up a
// sixth of the server's size, and a fleet doesn't need it.
func awsConfig(c config.Config) aws.Config {
	var provider aws.CredentialsProvider = ec2rolecreds.New()
	if key := os.Getenv("AWS_ACCESS_KEY_ID"); key != "" {
		provider = credentials.NewStaticCredentialsProvider(key, os.Getenv("AWS_SECRET_ACCESS_KEY"), os.Getenv("AWS_SESSION_TOKEN"))
	}
	return aws.Config{Region: c.Region, Credentials: aws.NewCredentialsCache(provider)}
}
