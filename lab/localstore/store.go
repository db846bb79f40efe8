// Package localstore starts a session store on this machine for the servers of a fleet. Start starts the store of a kind, or
// checks one that is already running, and completes the configuration of the servers with its address. Valkey, Memcached,
// PostgreSQL and DynamoDB Local run as separate processes; without an installed Valkey or Redis, an embedded one runs in this
// process.
package localstore

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
	sdk "github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"stateless-servers/app/config"
	"stateless-servers/session"
	"stateless-servers/session/dynamodb"
	"stateless-servers/session/postgres"
	"stateless-servers/session/revocation"
	"stateless-servers/session/sessiontest/storeserver"
)

const (
	pingTimeout    = 3 * time.Second        // for a store that the user named to reply
	expiryInterval = 100 * time.Millisecond // between two steps of the clock of the embedded store

	localRegion = "us-east-1" // for DynamoDB Local, which accepts any region
)

// A Store is a session store on this machine.
type Store struct {
	Description string              // for people, such as "Valkey at 127.0.0.1:6379"
	Server      *storeserver.Server // the server that Start started, or nil
	close       func() error
}

// Close ends the server if Start started one.
func (s Store) Close() error { return s.close() }

func noClose() error { return nil }

// onServer returns the store on that server, at the address where.
func onServer(server *storeserver.Server, where string) Store {
	return Store{fmt.Sprintf("%s at %s", server.Name, where), server, server.Close}
}

// Start starts a store of that kind and sets the fields of c with which servers reach it. For Valkey, a non-empty addr names a
// running server, which Start checks and uses instead. Progress is called with a line before each step that may take longer than
// two seconds. The caller must close the store.
func Start(ctx context.Context, kind config.StoreKind, addr string, c *config.Config, progress func(string)) (Store, error) {
	c.Store = kind
	switch kind {
	case config.StoreMemory:
		return Store{"each server's own memory", nil, noClose}, nil
	case config.StoreCookie, config.StoreToken:
		c.SessionKeys = newKey()
		return Store{"the visitors' cookies", nil, noClose}, nil
	case config.StoreDynamoDB:
		return startDynamoDB(ctx, c, progress)
	case config.StoreMemcached:
		server, err := storeserver.Memcached(ctx, storeserver.WithProgress(progress))
		if err != nil {
			return Store{}, err
		}
		c.MemcachedAddresses = []string{server.Addr}
		return onServer(server, server.Addr), nil
	case config.StorePostgres:
		return startPostgres(ctx, c, progress)
	default:
		return startValkey(ctx, addr, c, progress)
	}
}

// newKey returns a random key for cookies and tokens. It is not stored.
func newKey() string {
	key := make([]byte, 32)
	rand.Read(key)
	return base64.StdEncoding.EncodeToString(key)
}

func startValkey(ctx context.Context, addr string, c *config.Config, progress func(string)) (Store, error) {
	if addr != "" {
		c.ValkeyAddress = addr
		return Store{"Valkey at " + addr, nil, noClose}, ping(ctx, addr)
	}
	if program, err := storeserver.ValkeyProgram(); err == nil {
		server, err := storeserver.Valkey(ctx, storeserver.WithProgress(progress))
		if err != nil {
			return Store{}, err
		}
		c.ValkeyAddress = server.Addr
		return Store{fmt.Sprintf("%s at %s", filepath.Base(program), server.Addr), server, server.Close}, nil
	}
	return startEmbedded(c)
}

// StartDurable starts a Valkey server that loses no data when it restarts, and sets the fields of c with which servers reach it.
func StartDurable(ctx context.Context, c *config.Config) (Store, error) {
	server, err := storeserver.DurableValkey(ctx)
	if err != nil {
		return Store{}, err
	}
	c.Store, c.ValkeyAddress = config.StoreValkey, server.Addr
	return onServer(server, server.Addr), nil
}

func ping(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	if err := storeserver.PingValkey(ctx, addr); err != nil {
		return fmt.Errorf("--store-addr=%q: no Valkey or Redis server replies there: %w", addr, err)
	}
	return nil
}

// startEmbedded runs miniredis, a Go implementation of the Redis protocol, in this process.
func startEmbedded(c *config.Config) (Store, error) {
	server := miniredis.NewMiniRedis()
	if err := server.StartAddr("127.0.0.1:0"); err != nil {
		return Store{}, fmt.Errorf("starting the embedded store: %w", err)
	}
	// Keys expire only when FastForward is called.
	ended := make(chan struct{})
	go func() {
		ticker := time.NewTicker(expiryInterval)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				server.FastForward(expiryInterval)
			case <-ended:
				return
			}
		}
	}()
	c.ValkeyAddress = server.Addr()
	return Store{"miniredis in this process, at " + server.Addr(), nil, func() error {
		close(ended)
		server.Close()
		return nil
	}}, nil
}

// StartRevocations starts a store of that kind, Valkey or DynamoDB, for the list of revoked tokens, and sets the fields of c with
// which servers reach it. The caller must close the store.
func StartRevocations(ctx context.Context, kind config.StoreKind, c *config.Config, progress func(string)) (Store, error) {
	c.TokenRevocation = kind
	if kind == config.StoreValkey {
		return startValkey(ctx, "", c, progress)
	}
	server, client, err := startDynamoDBServer(ctx, "revocations-", c, progress)
	if err != nil {
		return Store{}, err
	}
	err = dynamodb.CreateRevocationTable(ctx, client, c.DynamoDBTable)
	if err == nil { // the first calls of DynamoDB Local take longer than the servers' timeout
		list := dynamodb.NewRevocations(client, c.DynamoDBTable)
		_, addErr := list.Add(ctx, revocation.Entry{At: time.Unix(0, 0), Expires: time.Unix(0, 0)})
		_, cutOffErr := list.CutOff(ctx, session.ID{})
		_, _, pageErr := list.Page(ctx, time.Time{}, "")
		err = errors.Join(addErr, cutOffErr, pageErr)
	}
	if err != nil {
		return Store{}, errors.Join(err, server.Close())
	}
	return onServer(server, server.Endpoint), nil
}

// startDynamoDBServer starts DynamoDB Local and chooses the name of a table.
func startDynamoDBServer(ctx context.Context, prefix string, c *config.Config, progress func(string)) (
	*storeserver.Server, *sdk.Client, error,
) {
	server, err := storeserver.DynamoDB(ctx, storeserver.WithProgress(progress))
	if err != nil {
		return nil, nil, err
	}
	// The table has a random name because other fleets may use the same server.
	c.DynamoDBTable, c.DynamoDBEndpoint, c.Region = prefix+rand.Text(), server.Endpoint, localRegion
	client := dynamodb.NewClient(aws.Config{
		Region: localRegion, Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""),
	}, server.Endpoint)
	return server, client, nil
}

func startDynamoDB(ctx context.Context, c *config.Config, progress func(string)) (Store, error) {
	server, client, err := startDynamoDBServer(ctx, "sessions-", c, progress)
	if err != nil {
		return Store{}, err
	}
	err = dynamodb.CreateTable(ctx, client, c.DynamoDBTable)
	if err == nil {
		err = warmUp(ctx, dynamodb.New(client, dynamodb.Options{Table: c.DynamoDBTable}))
	}
	if err != nil {
		return Store{}, errors.Join(err, server.Close())
	}
	return onServer(server, server.Endpoint), nil
}

func startPostgres(ctx context.Context, c *config.Config, progress func(string)) (Store, error) {
	server, err := storeserver.Postgres(ctx, storeserver.WithProgress(progress))
	if err != nil {
		return Store{}, err
	}
	c.PostgresURL = server.Endpoint
	sessions, err := postgres.New(postgres.Options{URL: server.Endpoint})
	if err != nil {
		return Store{}, errors.Join(err, server.Close())
	}
	defer sessions.Close()
	if err := postgres.CreateTable(ctx, sessions.Pool()); err != nil {
		return Store{}, errors.Join(err, server.Close())
	}
	return onServer(server, server.Addr), nil
}

// warmUp makes every kind of call once, because the first ones of DynamoDB Local take longer than the servers' timeout.
func warmUp(ctx context.Context, store session.UserStore) error {
	var old, fresh session.ID
	rand.Read(old[:])
	rand.Read(fresh[:])
	now := time.Now()
	record := session.Record{User: "warm-up", Created: now, Expires: now.Add(time.Minute), IdleExpires: now.Add(time.Minute)}
	if err := store.Create(ctx, old, record); err != nil {
		return fmt.Errorf("create the first session: %w", err)
	}
	_, loadErr := store.Load(ctx, old, now)
	_, updateErr := store.Update(ctx, old, session.Update{Now: now, IdleExpires: record.IdleExpires})
	_, renewErr := store.Renew(ctx, session.Renewal{Old: old, New: fresh, Now: now, Record: record})
	_, listErr := store.UserSessions(ctx, record.User, session.PageQuery{Now: now, Limit: 1})
	_, endErr := store.End(ctx, fresh, session.EndOptions{Now: now})
	return errors.Join(loadErr, updateErr, renewErr, listErr, endErr)
}
