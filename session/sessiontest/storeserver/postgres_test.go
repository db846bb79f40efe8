package storeserver

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"stateless-servers/session/sessiontest/must"
)

// Server processes of PostgreSQL lead their own process groups. Pause and Kill must reach them too.
func TestPostgresProcesses(t *testing.T) {
	startHere(t)
	s := ForTest(t, Postgres)
	conn, err := pgx.Connect(t.Context(), s.Endpoint)
	must.Succeed(t, err)
	must.Succeed(t, s.Pause())
	short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := conn.Ping(short); err == nil {
		t.Error("a connection to a paused server replied")
	}
	must.Succeed(t, s.Kill())
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Skip("there is no /proc to look for processes in")
	}
	for _, entry := range entries {
		if dir, err := os.Readlink("/proc/" + entry.Name() + "/cwd"); err == nil && strings.HasPrefix(dir, s.dir) {
			t.Errorf("process %s outlived the server", entry.Name())
		}
	}
}

func TestPostgresURL(t *testing.T) {
	startHere(t)
	own := ForTest(t, Postgres)
	t.Setenv("POSTGRES_TEST_URL", own.Endpoint)
	s := must.Get(Postgres(t.Context()))(t)
	if s.Addr != own.Addr || s.Endpoint != own.Endpoint {
		t.Errorf("got %s, %s", s.Addr, s.Endpoint)
	}
	if err := s.Kill(); err == nil {
		t.Error("Kill of an external server succeeded, want an error")
	}
	must.Succeed(t, s.Close())
	must.Succeed(t, sql(t.Context(), own, "SELECT 1"))
}

// Tests that share a running server have a database each, which is dropped when the test ends, even while it is in use.
func TestPostgresDatabaseOfEachTest(t *testing.T) {
	startHere(t)
	own := ForTest(t, Postgres)
	t.Setenv("POSTGRES_TEST_URL", own.Endpoint)
	kept := ForTest(t, Postgres)
	must.Succeed(t, putRow(t.Context(), kept))
	var ended *Server
	var conn *pgx.Conn
	t.Run("test", func(t *testing.T) {
		ended = ForTest(t, Postgres)
		must.Succeed(t, putRow(t.Context(), ended))
		conn = must.Get(pgx.Connect(t.Context(), ended.Endpoint))(t)
	})
	defer conn.Close(t.Context())
	if err := sql(t.Context(), ended, "SELECT 1"); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("after the test: %v, want its database gone", err)
	}
	for name, s := range map[string]*Server{"kept": kept, "given": own} {
		if holds, err := holdsRow(t.Context(), s); err != nil || holds != (s == kept) {
			t.Errorf("the %s database has the table: %v, %v", name, holds, err)
		}
	}
}

func putRow(ctx context.Context, s *Server) error {
	return sql(ctx, s, "CREATE TABLE here ()")
}

func holdsRow(ctx context.Context, s *Server) (bool, error) {
	err := sql(ctx, s, "SELECT FROM here")
	if err != nil && strings.Contains(err.Error(), "does not exist") {
		return false, nil
	}
	return err == nil, err
}

func sql(ctx context.Context, s *Server, statement string) error {
	return execSQL(ctx, s.Endpoint, statement)
}
