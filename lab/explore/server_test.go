package explore_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"stateless-servers/app/config"
	"stateless-servers/lab/contract"
	"stateless-servers/lab/explore"
	"stateless-servers/session"
	"stateless-servers/session/dynamodb"
	"stateless-servers/session/dynamodb/dynamodbtest"
	"stateless-servers/session/memcached"
	"stateless-servers/session/memory"
	"stateless-servers/session/postgres"
	"stateless-servers/session/revocation"
	"stateless-servers/session/sealing"
	"stateless-servers/session/sessiontest"
	"stateless-servers/session/token"
	"stateless-servers/session/valkey"
)

// The variants of the test server, besides the names of the defects.
const (
	correct    = "none"
	batches    = "batches"    // every read of DynamoDB is a batch
	revocable  = "revocable"  // sessions are tokens, and the list of revoked ones is in Valkey
	unfollowed = "unfollowed" // the same, but no server follows the list

	logoutWithin = 3 * time.Second // of both

	variant = "TEST_VARIANT" // the environment variable that makes this program a server
)

// TestMain runs a server in the place of the tests if the environment says so: the explorer needs servers that are processes.
func TestMain(m *testing.M) {
	if os.Getenv(variant) == "" {
		os.Exit(m.Run())
	}
	slog.Error("the server ended", "error", serve())
	os.Exit(1)
}

// serving returns a variant of the test server as a target, on a store that runs.
func serving(t *testing.T, name string, c config.Config) explore.Target {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	storeURL := contract.StoreURL(c)
	file := explore.File{Application: explore.Contract(), Store: c.Store, Server: contract.Server{
		Command: program, Env: map[string]string{variant: name, "TABLE": c.DynamoDBTable, "POLLED_URL": storeURL},
	}}
	target, err := file.Target(storeURL)
	if err != nil {
		t.Fatal(err)
	}
	return target
}

// Overlapping requests never take the same notice, and one of them takes it.
func TestPopKeepsPromises(t *testing.T) {
	for _, test := range []struct {
		kind    config.StoreKind
		variant string
	}{
		{config.StoreValkey, correct}, {config.StoreMemcached, correct}, {config.StorePostgres, correct},
		{config.StoreDynamoDB, correct}, {config.StoreDynamoDB, batches},
	} {
		t.Run(string(test.kind)+" "+test.variant, func(t *testing.T) {
			if test.kind != config.StoreValkey {
				sessiontest.Long(t)
			}
			target, o := serving(t, test.variant, startStore(t, test.kind)), options(2)
			target.Requests = append(target.Requests, notices()...)
			o.Only, o.MaxFaults = "pop + pop", 40
			keepsPromises(t, target, o)
			sessiontest.Long(t)
			if test.kind == config.StoreValkey {
				for _, o.Only = range []string{"notify + pop", "login + pop", "logout + pop"} {
					keepsPromises(t, target, o)
				}
			}
			finding, _, err := explore.Replay(t.Context(), target, "pop", "A")
			if err != nil || test.variant == batches && !strings.HasPrefix(finding.Steps[0].Call, "BatchGetItem") {
				t.Errorf("the calls are %+v, error %v; want a batch first", finding.Steps, err)
			}
		})
	}
}

// A session in a token that can be revoked ends on every server within the announced time after its logout.
func TestRevokedTokensKeepPromises(t *testing.T) {
	t.Parallel()
	store := startStore(t, config.StoreValkey)
	revoked := func(variant string) explore.Target {
		target := serving(t, variant, store)
		login, logout := target.Requests[2], target.Requests[3]
		before, everywhere := login, logout
		before.Name, everywhere.Name, everywhere.Path = "before", "everywhere", "/logout/everywhere"
		target.Requests, target.LogoutWithin = []explore.Request{before, login, logout, everywhere}, logoutWithin
		return target
	}
	finding, _, err := explore.Replay(t.Context(), revoked(unfollowed), "logout", "A")
	if err != nil || finding.Promise != explore.AliveAfter {
		t.Errorf("servers that don't follow the list: broken is %q, error %v; want %q", finding.Promise, err, explore.AliveAfter)
	}
	o := options(2)
	o.MaxFaults = 20
	for _, o.Only = range []string{"login + logout", "login + login", "login + everywhere", "logout + everywhere"} {
		keepsPromises(t, revoked(revocable), o)
		sessiontest.Long(t)
	}
}

// notices are the requests of the test server besides those of the contract.
func notices() []explore.Request {
	return []explore.Request{
		{Name: "notify", Method: http.MethodPost, Path: "/notify", Effects: []explore.Effect{{Field: "notice", Value: "saved"}}},
		{Name: "pop", Method: http.MethodPost, Path: "/pop", Effects: []explore.Effect{{Field: "notice", Takes: true}}},
	}
}

// serve serves the routes.
func serve() error {
	manager, err := newManager()
	if err != nil {
		return err
	}
	visits, coffee, notice := session.Counter("visits"), session.Counter("coffee"), session.Key[string]("notice")
	mux := http.NewServeMux()
	handle := func(pattern string, do func(ctx context.Context, w http.ResponseWriter, r *http.Request) error) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if err := do(r.Context(), w, r); err != nil {
				http.Error(w, err.Error(), session.StatusCode(err))
			}
		})
	}
	handle("GET /healthz", func(ctx context.Context, _ http.ResponseWriter, _ *http.Request) error { return manager.Ping(ctx) })
	change := func(pattern string, record func(context.Context)) {
		handle(pattern, func(ctx context.Context, _ http.ResponseWriter, _ *http.Request) error { record(ctx); return nil })
	}
	change("POST /api/visits", func(ctx context.Context) { visits.Add(ctx, 1) })
	change("POST /api/cart/coffee", func(ctx context.Context) { coffee.Add(ctx, 1) })
	change("POST /notify", func(ctx context.Context) { notice.Set(ctx, "saved") })
	handle("POST /pop", func(ctx context.Context, w http.ResponseWriter, _ *http.Request) error {
		text, _, err := notice.Pop(ctx)
		if err != nil {
			return err
		}
		return json.NewEncoder(w).Encode(text)
	})
	handle("POST /login", func(ctx context.Context, w http.ResponseWriter, r *http.Request) error {
		return session.From(ctx).Login(ctx, account(w, r), session.Remember(true))
	})
	handle("POST /logout", func(ctx context.Context, _ http.ResponseWriter, _ *http.Request) error {
		return session.From(ctx).Logout(ctx)
	})
	handle("POST /logout/everywhere", func(ctx context.Context, _ http.ResponseWriter, _ *http.Request) error {
		return session.From(ctx).LogoutEverywhere(ctx)
	})
	handle("GET /api/session", func(ctx context.Context, w http.ResponseWriter, _ *http.Request) error {
		n, err := visits.Get(ctx)
		cups, coffeeErr := coffee.Get(ctx)
		text, _, noticeErr := notice.Get(ctx)
		user, userErr := session.From(ctx).User(ctx)
		if err := errors.Join(err, coffeeErr, noticeErr, userErr); err != nil {
			return err
		}
		user, _, _ = strings.Cut(user, "@")
		return json.NewEncoder(w).Encode(map[string]any{"visits": n, "user": user, "notice": text, "cart": map[string]int64{"coffee": cups}})
	})
	server := http.Server{Addr: "127.0.0.1:" + os.Getenv("PORT"), Handler: manager.Handler(mux), ReadHeaderTimeout: time.Minute}
	return server.ListenAndServe()
}

// account returns the user of a login form. Each browser has an account of its own, which a cookie names, so that a logout
// everywhere ends no sessions of other runs.
func account(w http.ResponseWriter, r *http.Request) string {
	browser, err := r.Cookie("browser")
	if err != nil {
		browser = &http.Cookie{Name: "browser", Value: rand.Text()}
		http.SetCookie(w, browser)
	}
	return r.FormValue("user") + "@" + browser.Value
}

// newManager returns the Manager of the variant.
func newManager() (*session.Manager, error) {
	options := session.Options{PlainHTTP: true, StoreTimeout: 2 * time.Second, Logger: slog.New(slog.DiscardHandler)}
	name := os.Getenv(variant)
	if name == revocable || name == unfollowed {
		codec, err := newCodec(name)
		if err != nil {
			return nil, err
		}
		return session.NewWithCodec(codec, options)
	}
	store, err := openStore(name)
	if err != nil {
		return nil, err
	}
	for _, d := range defects {
		if d.name == name {
			store = d.wrap(store)
		}
	}
	return session.New(store, options)
}

func openStore(name string) (session.Store, error) {
	storeURL := os.Getenv("STORE_URL")
	u, err := url.Parse(storeURL)
	if err != nil {
		return nil, err
	}
	switch u.Scheme {
	case "redis":
		return valkey.New(valkey.Options{Address: u.Host}), nil
	case "memcached":
		return memcached.New(memcached.Options{Addresses: []string{u.Host}})
	case "postgres":
		return postgres.New(postgres.Options{URL: storeURL})
	}
	client := dynamodb.NewClient(aws.Config{
		Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""),
	}, storeURL)
	table := dynamodb.Options{Table: os.Getenv("TABLE")}
	if name == batches {
		return dynamodbtest.BatchEveryRead(context.Background(), client, table), nil
	}
	return dynamodb.New(client, table), nil
}

func newCodec(name string) (session.Codec, error) {
	keys, err := sealing.ParseKeys(base64.StdEncoding.EncodeToString(make([]byte, 32)))
	if err != nil {
		return nil, err
	}
	codec, err := token.New(keys, token.Options{Audience: "test"})
	if err != nil {
		return nil, err
	}
	open := func(variable string) *valkey.Revocations {
		return valkey.New(valkey.Options{Address: strings.TrimPrefix(os.Getenv(variable), "redis://")}).Revocations()
	}
	list := polledApart{open("STORE_URL"), open("POLLED_URL")}
	if name == unfollowed {
		list.polled = memory.NewRevocations()
	}
	follower, err := revocation.New(list, revocation.Options{Within: logoutWithin})
	if err != nil {
		return nil, err
	}
	go follower.Follow(context.Background(), func(err error) { slog.Warn("following the list of revoked tokens", "error", err) })
	return follower.Codec(codec), nil
}

// polledApart is a list that is polled past the explorer, which would take the polls for calls of a request.
type polledApart struct {
	revocation.List
	polled revocation.List
}

func (l polledApart) Page(ctx context.Context, since time.Time, cursor string) ([]revocation.Entry, string, error) {
	return l.polled.Page(ctx, since, cursor)
}
