package postgres_test

import (
	"testing"

	"stateless-servers/app/session/postgres"
	"stateless-servers/app/session/sessiontest"
	"stateless-servers/lab/storeserver"
)

func TestStore(t *testing.T) {
	sessiontest.Run(t, open(t, storeserver.ForTest(t, storeserver.Postgres)))
}

// TestWithoutPreparedStatements is for poolers that hand each transaction to another connection.
func TestWithoutPreparedStatements(t *testing.T) {
	server := storeserver.ForTest(t, storeserver.Postgres)
	store := newStore(t, postgres.Options{URL: server.Endpoint + "&default_query_exec_mode=exec"})
	must(t, postgres.Migrate(t.Context(), store.Pool()))
	sessiontest.Run(t, store)
}

// open returns a store on the server, with its table.
func open(t *testing.T, server *storeserver.Server) *postgres.Store {
	t.Helper()
	store := newStore(t, postgres.Options{URL: server.Endpoint})
	must(t, postgres.Migrate(t.Context(), store.Pool()))
	return store
}
