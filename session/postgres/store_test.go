package postgres_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"stateless-servers/session"
	"stateless-servers/session/postgres"
	"stateless-servers/session/sessiontest"
	"stateless-servers/session/sessiontest/must"
	"stateless-servers/session/sessiontest/storeserver"
)

// The tests share a server, in which each has a database of its own.
func TestMain(m *testing.M) {
	// Without a server, every test fails and says what to install.
	if server, err := storeserver.Postgres(context.Background()); err == nil {
		defer server.Close()
		os.Setenv("POSTGRES_TEST_URL", server.Endpoint)
	}
	m.Run()
}

func TestStore(t *testing.T) {
	sessiontest.Run(t, open(t, storeserver.ForTest(t, storeserver.Postgres)))
}

// TestFaults makes every message between a server and PostgreSQL fail in every way.
func TestFaults(t *testing.T) {
	server := storeserver.ForTest(t, storeserver.Postgres)
	open(t, server)
	sessiontest.RunFaults(t, server.Addr, func(t *testing.T, address string) session.Store {
		return newStore(t, postgres.Options{URL: strings.Replace(server.Endpoint, server.Addr, address, 1)})
	})
}

// TestWithoutPreparedStatements tests the mode for poolers that assign each transaction to another connection.
func TestWithoutPreparedStatements(t *testing.T) {
	server := storeserver.ForTest(t, storeserver.Postgres)
	store := newStore(t, postgres.Options{URL: server.Endpoint + "&default_query_exec_mode=exec"})
	must.Succeed(t, postgres.CreateTable(t.Context(), store.Pool()))
	sessiontest.Run(t, store)
}

// TestCallersPool runs the suite on the pool of an application, which the store leaves open.
func TestCallersPool(t *testing.T) {
	server := storeserver.ForTest(t, storeserver.Postgres)
	pool := newPool(t, server.Endpoint+"&target_session_attrs=read-write&application_name=shop")
	store := must.Get(postgres.NewFromPool(pool))(t)
	must.Succeed(t, postgres.CreateTable(t.Context(), pool))
	sessiontest.Run(t, store)
	store.Close()
	var application string
	must.Succeed(t, store.Pool().QueryRow(t.Context(), "SHOW application_name").Scan(&application))
	if application != "shop" {
		t.Errorf("the connections belong to %q, want the caller's", application)
	}
}

// TestCallersPoolFaults makes every message between the caller's pool and PostgreSQL fail in every way. With -short, TestFaults does
// so for the store's own pool.
func TestCallersPoolFaults(t *testing.T) {
	sessiontest.Long(t)
	server := storeserver.ForTest(t, storeserver.Postgres)
	open(t, server)
	sessiontest.RunFaults(t, server.Addr, func(t *testing.T, address string) session.Store {
		store, err := postgres.NewFromPool(newPool(t, strings.Replace(server.Endpoint, server.Addr, address, 1)+
			"&target_session_attrs=read-write&connect_timeout=2"))
		must.Succeed(t, err)
		return store
	})
}

func TestCallersPoolOfReadOnlyServers(t *testing.T) {
	pool := newPool(t, "postgres://web@127.0.0.1:1/sessions")
	if _, err := postgres.NewFromPool(pool); err == nil || !strings.Contains(err.Error(), "target_session_attrs=read-write") {
		t.Errorf("got %v, want an error that names the missing setting", err)
	}
}

func newPool(t *testing.T, url string) *pgxpool.Pool {
	t.Helper()
	pool := must.Get(pgxpool.New(t.Context(), url))(t)
	t.Cleanup(pool.Close)
	return pool
}

// open returns a store on the server, with its table.
func open(t *testing.T, server *storeserver.Server) *postgres.Store {
	t.Helper()
	store := newStore(t, postgres.Options{URL: server.Endpoint})
	must.Succeed(t, postgres.CreateTable(t.Context(), store.Pool()))
	return store
}
