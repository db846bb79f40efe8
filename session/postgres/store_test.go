package postgres_test

import (
	"strings"
	"testing"

	"stateless-servers/session"
	"stateless-servers/session/postgres"
	"stateless-servers/session/sessiontest"
	"stateless-servers/session/sessiontest/storeserver"
)

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
	must(t, postgres.CreateTable(t.Context(), store.Pool()))
	sessiontest.Run(t, store)
}

// open returns a store on the server, with its table.
func open(t *testing.T, server *storeserver.Server) *postgres.Store {
	t.Helper()
	store := newStore(t, postgres.Options{URL: server.Endpoint})
	must(t, postgres.CreateTable(t.Context(), store.Pool()))
	return store
}
