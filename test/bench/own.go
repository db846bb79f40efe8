package main

import (
	"log/slog"
	"net/http"
	"time"

	"stateless-servers/session"
	"stateless-servers/session/dynamodb"
	"stateless-servers/session/valkey"
)

const visits = session.Counter("visits")

// own is this repository's library.
type own struct {
	manager *session.Manager
	close   func()
}

func openOwnValkey(store string) (library, error) {
	sessions := valkey.New(valkey.Options{Address: store})
	return openOwn(sessions, sessions.Close, ownOptions())
}

func openOwnDynamoDB(store string) (library, error) {
	sessions := dynamodb.New(newDynamoDBClient(store), dynamodb.Options{Table: tableName, BatchReads: true})
	return openOwn(sessions, func() {}, ownOptions())
}

func ownOptions() session.Options {
	return session.Options{
		IdleTimeout: idleTimeout, Lifetime: lifetime, CookieName: cookieName, PlainHTTP: true,
		Logger: slog.New(slog.DiscardHandler),
		// With the default, requests would fail on a busy machine or while the JVM of DynamoDB Local warms up.
		StoreTimeout: 10 * time.Second,
	}
}

func openOwn(store session.Store, close func(), options session.Options) (library, error) {
	manager, err := session.New(store, options)
	if err != nil {
		return nil, err
	}
	return &own{manager, close}, nil
}

func (o *own) Wrap(next http.Handler) http.Handler { return o.manager.Handler(next) }

func (o *own) Close() { o.close() }

func (o *own) Start(_ http.ResponseWriter, r *http.Request) error {
	for _, pair := range seed {
		session.Key[string](pair.key).Set(r.Context(), pair.value)
	}
	visits.Add(r.Context(), 0)
	return session.From(r.Context()).Apply(r.Context())
}

func (o *own) Visits(r *http.Request) (int64, error) {
	return visits.Get(r.Context())
}

func (o *own) Add(_ http.ResponseWriter, r *http.Request) (int64, error) {
	visits.Add(r.Context(), 1)
	return visits.Get(r.Context())
}

func (o *own) Logout(_ http.ResponseWriter, r *http.Request) error {
	return session.From(r.Context()).Logout(r.Context())
}
