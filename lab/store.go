package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"stateless-servers/app/config"
	"stateless-servers/app/session"
	"stateless-servers/app/session/dynamodb"
	"stateless-servers/app/session/postgres"
	"stateless-servers/lab/storeserver"
)

const (
	pingWithin = 3 * time.Second // a store that the user named has this long to answer
	expiryTick = 100 * time.Millisecond

	// What the table of DynamoDB Local is called and where it pretends to be: any name and region would do.
	localTable  = "sessions"
	localRegion = "us-east-1"
)

// store is where the fleet's sessions live.
type store struct {
	description string // for people: what it is and where
	close       func() error
}

// startStore starts the store of the given kind, or checks the one at addr, and sets in c what the servers need to know.
func startStore(ctx context.Context, kind config.Store, addr string, c *config.Config, progress func(string)) (store, error) {
	c.Store = kind
	nothing := func() error { return nil }
	switch kind {
	case config.StoreMemory:
		return store{"each server's own memory", nothing}, nil
	case config.StoreCookie, config.StoreToken:
		c.SessionKeys = newKey()
		return store{"the visitors' cookies", nothing}, nil
	case config.StoreDynamoDB:
		return startDynamoDB(ctx, c, progress)
	case config.StoreMemcached:
		server, err := storeserver.Memcached(ctx, storeserver.WithProgress(progress))
		if err != nil {
			return store{}, err
		}
		c.MemcachedAddresses = []string{server.Addr}
		return store{fmt.Sprintf("%s at %s", server.Name, server.Addr), server.Close}, nil
	case config.StorePostgres:
		return startPostgres(ctx, c, progress)
	default:
		return startValkey(ctx, addr, c, progress)
	}
}

// newKey returns a key for cookies and tokens, which ends with the lab.
func newKey() string {
	key := make([]byte, 32)
	rand.Read(key)
	return base64.StdEncoding.EncodeToString(key)
}

func startValkey(ctx context.Context, addr string, c *config.Config, progress func(string)) (store, error) {
	if addr != "" {
		c.ValkeyAddress = addr
		return store{"Valkey at " + addr, func() error { return nil }}, ping(ctx, addr)
	}
	if program, err := storeserver.ValkeyProgram(); err == nil {
		server, err := storeserver.Valkey(ctx, storeserver.WithProgress(progress))
		if err != nil {
			return store{}, err
		}
		c.ValkeyAddress = server.Addr
		return store{fmt.Sprintf("%s at %s", filepath.Base(program), server.Addr), server.Close}, nil
	}
	return startEmbedded(c)
}

func ping(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, pingWithin)
	defer cancel()
	if err := storeserver.PingValkey(ctx, addr); err != nil {
		return fmt.Errorf("--store-addr=%q: no Valkey or Redis server answers there: %w", addr, err)
	}
	return nil
}

// startEmbedded runs a Valkey work-alike inside the lab, for machines without a Valkey or Redis.
func startEmbedded(c *config.Config) (store, error) {
	server := miniredis.NewMiniRedis()
	if err := server.StartAddr("127.0.0.1:0"); err != nil {
		return store{}, fmt.Errorf("starting the embedded store: %w", err)
	}
	// Its clock for expiry stands still unless told to go on.
	ended := make(chan struct{})
	go func() {
		ticker := time.NewTicker(expiryTick)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				server.FastForward(expiryTick)
			case <-ended:
				return
			}
		}
	}()
	c.ValkeyAddress = server.Addr()
	return store{"miniredis in this process, at " + server.Addr(), func() error {
		close(ended)
		server.Close()
		return nil
	}}, nil
}

func startDynamoDB(ctx context.Context, c *config.Config, progress func(string)) (store, error) {
	server, err := storeserver.DynamoDB(ctx, storeserver.WithProgress(progress))
	if err != nil {
		return store{}, err
	}
	c.DynamoDBTable, c.DynamoDBEndpoint, c.Region = localTable, server.Endpoint, localRegion
	client := dynamodb.NewClient(aws.Config{
		Region: localRegion, Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""),
	}, server.Endpoint)
	err = dynamodb.CreateTable(ctx, client, localTable)
	if err == nil {
		err = warmUp(ctx, dynamodb.New(client, dynamodb.Options{Table: localTable}))
	}
	if err != nil {
		return store{}, errors.Join(err, server.Close())
	}
	return store{fmt.Sprintf("%s at %s", server.Name, server.Endpoint), server.Close}, nil
}

func startPostgres(ctx context.Context, c *config.Config, progress func(string)) (store, error) {
	server, err := storeserver.Postgres(ctx, storeserver.WithProgress(progress))
	if err != nil {
		return store{}, err
	}
	c.PostgresURL = server.Endpoint
	sessions, err := postgres.New(postgres.Options{URL: server.Endpoint})
	if err != nil {
		return store{}, errors.Join(err, server.Close())
	}
	defer sessions.Close()
	if err := postgres.Migrate(ctx, sessions.Pool()); err != nil {
		return store{}, errors.Join(err, server.Close())
	}
	return store{fmt.Sprintf("%s at %s", server.Name, server.Addr), server.Close}, nil
}

// warmUp makes every kind of call once. DynamoDB Local's first ones take longer than servers wait.
func warmUp(ctx context.Context, store session.Store) error {
	var id session.ID
	rand.Read(id[:])
	now := time.Now()
	record := session.Record{Created: now, Expires: now.Add(time.Minute), IdleExpires: now.Add(time.Minute)}
	if err := store.Create(ctx, id, record); err != nil {
		return fmt.Errorf("create the first session: %w", err)
	}
	_, loadErr := store.Load(ctx, id, now)
	_, updateErr := store.Update(ctx, id, session.Update{Now: now, IdleExpires: record.IdleExpires})
	_, endErr := store.End(ctx, id, now)
	return errors.Join(loadErr, updateErr, endErr)
}
