package experiment

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"stateless-servers/session"
	"stateless-servers/session/dynamodb"
	"stateless-servers/session/memcached"
	"stateless-servers/session/postgres"
	"stateless-servers/session/sessiontest/storeserver"
	"stateless-servers/session/valkey"
)

// scaled is a store with a server of its own, and the sessions in it.
type scaled struct {
	session.Store
	scaledKind
	runner *Runner
	server *storeserver.Server
	ids    []session.ID // of the live sessions
	close  func()       // closes the store; may be nil

	// used returns the bytes that the sessions take.
	used func(context.Context) (int64, error)
	// deleted returns the number of expired sessions that were deleted so far.
	deleted func(context.Context) (int64, error)
	// sweep deletes expired sessions; nil if the server does so by itself.
	sweep func(context.Context) error
	// keeps is how long after its expiry a session is kept.
	keeps time.Duration
}

// Close closes the store and its server.
func (s *scaled) Close() error {
	if s.close != nil {
		s.close()
	}
	return s.server.Close()
}

func (s *scaled) report(format string, arguments ...any) {
	s.runner.Report(s.name + ": " + fmt.Sprintf(format, arguments...))
}

// scaledKind is a kind of store.
type scaledKind struct {
	name string
	rate int           // operations per second of each kind
	fill time.Duration // at most, to create sessions up to the next number of them
	// local means DynamoDB Local: it has as many sessions as it creates in the time, tells no sizes, and deletes none.
	local bool
	start func(context.Context, ...storeserver.Option) (*storeserver.Server, error)
	begin func(context.Context, *scaled) error // opens the store on the server
}

func scaledKinds() []scaledKind {
	return []scaledKind{
		{"valkey", 50, 20 * time.Minute, false, storeserver.Valkey, beginValkey},
		{"memcached", 50, 20 * time.Minute, false, storeserver.Memcached, beginMemcached},
		{"postgres", 50, 20 * time.Minute, false, storeserver.Postgres, beginPostgres},
		{"dynamodb", 5, 5 * time.Minute, true, storeserver.DynamoDB, beginDynamoDB},
	}
}

// open starts a server of its own, because others' sessions would be measured too. The caller must close the store.
func (k scaledKind) open(ctx context.Context, runner *Runner) (*scaled, error) {
	runner.Report("starting " + k.name)
	server, err := k.start(ctx, storeserver.WithProgress(runner.Report), storeserver.Own())
	if err != nil {
		return nil, err
	}
	runner.addVersion(server.Version())
	s := &scaled{scaledKind: k, runner: runner, server: server}
	if err := k.begin(ctx, s); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func beginValkey(_ context.Context, s *scaled) error {
	store := valkey.New(valkey.Options{Address: s.server.Addr})
	info := func(section, field string) func(context.Context) (int64, error) {
		return func(ctx context.Context) (int64, error) {
			lines, err := storeserver.Query(ctx, s.server, "INFO "+section)
			return sumOf(lines, err, field+":")
		}
	}
	s.Store, s.close, s.keeps = store, store.Close, session.MaxClockSkew
	s.used, s.deleted = info("memory", "used_memory"), info("stats", "expired_keys")
	return nil
}

// memcachedMB is more memory than the experiment needs. Pages are allocated when they are needed.
const memcachedMB = 8192

func beginMemcached(ctx context.Context, s *scaled) error {
	store, err := memcached.New(memcached.Options{Addresses: []string{s.server.Addr}, Timeout: fillTimeout})
	if err != nil {
		return err
	}
	s.Store = store
	s.keeps = session.MaxClockSkew + 2*time.Second // the server knows the time to the second
	s.close = func() { store.Close() }
	s.used = func(ctx context.Context) (int64, error) {
		sizes := map[string]int64{} // of chunks, by slab class
		lines, err := memcachedReply(ctx, s.server.Addr, "stats slabs")
		total := int64(0)
		for _, line := range lines {
			class, field, _ := strings.Cut(strings.TrimPrefix(line, "STAT "), ":")
			if size, found := strings.CutPrefix(field, "chunk_size "); found {
				sizes[class], _ = strconv.ParseInt(size, 10, 64)
			}
			if count, found := strings.CutPrefix(field, "used_chunks "); found {
				n, _ := strconv.ParseInt(count, 10, 64)
				total += n * sizes[class]
			}
		}
		return total, err
	}
	s.deleted = func(ctx context.Context) (int64, error) {
		lines, err := memcachedReply(ctx, s.server.Addr, "stats")
		return sumOf(lines, err, "STAT crawler_reclaimed ", "STAT reclaimed ")
	}
	s.sweep = func(ctx context.Context) error {
		_, err := memcachedReply(ctx, s.server.Addr, "lru_crawler crawl all") // the reply may be that it runs already
		return err
	}
	_, err = memcachedReply(ctx, s.server.Addr, fmt.Sprintf("cache_memlimit %d", memcachedMB))
	return err
}

// memcachedReply sends one command and returns the lines of the reply.
func memcachedReply(ctx context.Context, addr, command string) ([]string, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(storeTimeout)); err != nil {
		return nil, err
	}
	if _, err := fmt.Fprintf(conn, "%s\r\nquit\r\n", command); err != nil {
		return nil, err
	}
	var lines []string
	scanner := bufio.NewScanner(conn)
	for scanner.Scan() {
		lines = append(lines, scanner.Text())
	}
	if len(lines) == 0 || strings.Contains(lines[0], "ERROR") {
		return nil, fmt.Errorf("memcached replied %q to %s", lines, command)
	}
	return lines, scanner.Err()
}

// sumOf returns the sum of the numbers in the lines that begin with one of the prefixes.
func sumOf(lines []string, err error, prefixes ...string) (sum int64, _ error) {
	for _, prefix := range prefixes {
		found := false
		for _, line := range lines {
			if value, ok := strings.CutPrefix(line, prefix); ok {
				n, parseErr := strconv.ParseInt(value, 10, 64)
				sum, found, err = sum+n, true, errors.Join(err, parseErr)
			}
		}
		if !found && err == nil {
			err = fmt.Errorf("the reply has no %s", prefix)
		}
	}
	return sum, err
}

func beginPostgres(ctx context.Context, s *scaled) error {
	store, err := postgres.New(postgres.Options{URL: s.server.Endpoint})
	if err != nil {
		return err
	}
	s.Store, s.close = store, store.Close
	s.keeps = 4 * time.Hour // more than those hours that a sweep leaves
	s.used = func(ctx context.Context) (size int64, err error) {
		err = store.Pool().QueryRow(ctx, "SELECT pg_total_relation_size('sessions')").Scan(&size)
		return size, err
	}
	swept := int64(0) // by sweep, which is not called concurrently with deleted
	s.deleted = func(context.Context) (int64, error) { return swept, nil }
	s.sweep = func(ctx context.Context) error {
		n, err := store.Sweep(ctx)
		swept += n
		return err
	}
	return postgres.CreateTable(ctx, store.Pool())
}

func beginDynamoDB(ctx context.Context, s *scaled) error {
	const table = "sessions"
	client := dynamodb.NewClient(aws.Config{
		Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""),
	}, s.server.Endpoint)
	s.Store = dynamodb.New(client, dynamodb.Options{Table: table})
	s.used = func(context.Context) (int64, error) { return 0, nil }
	return dynamodb.CreateTable(ctx, client, table)
}
