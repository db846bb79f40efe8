// Package localstore starts the store that a fleet keeps its sessions in, and tells the servers where it is.
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

	"stateless-servers/app/config"
	"stateless-servers/session"
	"stateless-servers/session/dynamodb"
	"stateless-servers/session/postgres"
	"stateless-servers/session/sessiontest/storeserver"
)

const (
	pingTimeout = 3 * time.Second // a store that the user named has this long to answer
	expiryTick  = 100 * time.Millisecond

	localRegion = "us-east-1" // where DynamoDB Local pretends to be; any region would do
)

// Store is where the fleet's sessions live.
type Store struct {
	Description string              // for people: what it is and where
	Server      *storeserver.Server // nil where there is none that was started for this
	close       func() error
}

// Close ends what was started.
func (s Store) Close() error { return s.close() }

func nothing() error { return nil }

// on is a store on a server.
func on(server *storeserver.Server, where string) Store {
	return Store{fmt.Sprintf("%s at %s", server.Name, where), server, server.Close}
}

// Start starts the store of the given kind, or checks the one at addr, and sets in c what the servers need to know.
// Progress gets a line before anything that may take longer than two seconds.
func Start(ctx context.Context, kind config.StoreKind, addr string, c *config.Config, progress func(string)) (Store, error) {
	c.Store = kind
	switch kind {
	case config.StoreMemory:
		return Store{"each server's own memory", nil, nothing}, nil
	case config.StoreCookie, config.StoreToken:
		c.SessionKeys = newKey()
		return Store{"the visitors' cookies", nil, nothing}, nil
	case config.StoreDynamoDB:
		return startDynamoDB(ctx, c, progress)
	case config.StoreMemcached:
		server, err := storeserver.Memcached(ctx, storeserver.WithProgress(progress))
		if err != nil {
			return Store{}, err
		}
		c.MemcachedAddresses = []string{server.Addr}
		return on(server, server.Addr), nil
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

func startValkey(ctx context.Context, addr string, c *config.Config, progress func(string)) (Store, error) {
	if addr != "" {
		c.ValkeyAddress = addr
		return Store{"Valkey at " + addr, nil, nothing}, ping(ctx, addr)
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

// StartDurable starts a Valkey that loses nothing when it is restarted, and sets in c what the servers need to know.
func StartDurable(ctx context.Context, c *config.Config) (Store, error) {
	server, err := storeserver.DurableValkey(ctx)
	if err != nil {
		return Store{}, err
	}
	c.Store, c.ValkeyAddress = config.StoreValkey, server.Addr
	return on(server, server.Addr), nil
}

func ping(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	if err := storeserver.PingValkey(ctx, addr); err != nil {
		return fmt.Errorf("--store-addr=%q: no Valkey or Redis server answers there: %w", addr, err)
	}
	return nil
}

// startEmbedded runs a Valkey work-alike inside the lab, for machines without a Valkey or Redis.
func startEmbedded(c *config.Config) (Store, error) {
	server := miniredis.NewMiniRedis()
	if err := server.StartAddr("127.0.0.1:0"); err != nil {
		return Store{}, fmt.Errorf("starting the embedded store: %w", err)
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
	return Store{"miniredis in this process, at " + server.Addr(), nil, func() error {
		close(ended)
		server.Close()
		return nil
	}}, nil
}

func startDynamoDB(ctx context.Context, c *config.Config, progress func(string)) (Store, error) {
	server, err := storeserver.DynamoDB(ctx, storeserver.WithProgress(progress))
	if err != nil {
		return Store{}, err
	}
	// Other fleets may use a server that was not started here.
	c.DynamoDBTable, c.DynamoDBEndpoint, c.Region = "sessions-"+rand.Text(), server.Endpoint, localRegion
	client := dynamodb.NewClient(aws.Config{
		Region: localRegion, Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""),
	}, server.Endpoint)
	err = dynamodb.CreateTable(ctx, client, c.DynamoDBTable)
	if err == nil {
		err = warmUp(ctx, dynamodb.New(client, dynamodb.Options{Table: c.DynamoDBTable}))
	}
	if err != nil {
		return Store{}, errors.Join(err, server.Close())
	}
	return on(server, server.Endpoint), nil
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
	return on(server, server.Addr), nil
}

// warmUp makes every kind of call once. DynamoDB Local's first ones take longer than servers wait.
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
