package storeserver

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"stateless-servers/session/sessiontest/process"
)

// Postgres starts PostgreSQL with a new database cluster and the superuser postgres, without syncing to disk. POSTGRES_TEST_URL (a
// URL) names a running server instead. There, ForTest creates a database for the test. ctx limits the start, not the lifetime of the
// server. PostgreSQL refuses to run as root; it then runs as the user postgres or nobody.
func Postgres(ctx context.Context, list ...Option) (*Server, error) {
	o, err := applyOptions("postgres", list)
	if err != nil {
		return nil, err
	}
	l := launcher{name: "PostgreSQL", endpoint: func(addr string) string {
		return "postgres://postgres@" + addr + "/postgres?sslmode=disable"
	}}
	if address := o.external("POSTGRES_TEST_URL"); address != "" {
		return externalPostgres(ctx, address, l.name, o.forTest)
	}
	bin, err := postgresPrograms()
	if err != nil {
		return nil, err
	}
	account, err := postgresAccount()
	if err != nil {
		return nil, err
	}
	l.ping = func(ctx context.Context, addr string, pid int) error { return pingSQL(ctx, l.endpoint(addr), pid) }
	l.command = func(port int, dir string) process.Command { return postgresCommand(bin, account, port, dir) }
	l.version = versionOf(filepath.Join(bin, "postgres"), "--version")
	return start(ctx, l)
}

// externalPostgres returns the running server at address, with a new database if separate is true. Errors don't contain the address,
// which may have a password.
func externalPostgres(ctx context.Context, address, name string, separate bool) (*Server, error) {
	config, err := pgx.ParseConfig(address)
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, externalTimeout)
		defer cancel()
		err = pingSQL(ctx, address, 0)
	}
	if err != nil {
		return nil, fmt.Errorf("POSTGRES_TEST_URL: no %s replies there: %s", name, strings.Join(strings.Fields(err.Error()), " "))
	}
	s := &Server{Name: name, Addr: net.JoinHostPort(config.Host, strconv.Itoa(int(config.Port))), Endpoint: address}
	if !separate {
		return s, nil
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme == "" {
		return nil, fmt.Errorf("POSTGRES_TEST_URL: allowed is a URL, such as postgres://user@host:port/database")
	}
	database := "test_" + strings.ToLower(rand.Text())
	// Nobody connects to template0, so it can be copied at any time.
	if err := execSQL(ctx, address, "CREATE DATABASE "+database+" TEMPLATE template0"); err != nil {
		return nil, fmt.Errorf("POSTGRES_TEST_URL: %w", err)
	}
	u.Path = "/" + database
	s.Endpoint = u.String()
	s.drop = func() error {
		ctx, cancel := context.WithTimeout(context.Background(), externalTimeout)
		defer cancel()
		return execSQL(ctx, address, "DROP DATABASE "+database+" WITH (FORCE)")
	}
	return s, nil
}

func execSQL(ctx context.Context, address, statement string) error {
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, statement)
	return err
}

// postgresPrograms returns the directory of initdb and postgres, which on Debian is not in the PATH.
func postgresPrograms() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			return filepath.Dir(path), nil
		}
	}
	installed, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(installed) > 0 {
		return filepath.Dir(installed[len(installed)-1]), nil
	}
	return "", fmt.Errorf("no PostgreSQL: install postgresql, or set POSTGRES_TEST_URL to a running one")
}

// postgresAccount returns the user that runs the server if this process runs as root, else nil.
func postgresAccount() (*user.User, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	if account, err := user.Lookup("postgres"); err == nil {
		return account, nil
	}
	account, err := user.Lookup("nobody")
	if err != nil {
		return nil, fmt.Errorf("no PostgreSQL: it refuses to run as root, and there is no user postgres or nobody")
	}
	return account, nil
}

// postgresCommand returns a command that creates a database cluster and then runs the server in the same process.
func postgresCommand(bin string, account *user.User, port int, dir string) process.Command {
	const script = `set -e
rm -rf data
"$1/initdb" --pgdata data --username postgres --auth trust --encoding UTF8 --locale C --no-sync >initdb.log 2>&1 ||
	{ cat initdb.log; exit 1; }
exec "$1/postgres" -D data -p "$2" -c listen_addresses=127.0.0.1 -c unix_socket_directories= \
	-c fsync=off -c full_page_writes=off -c max_connections=500`
	if account != nil {
		// initdb reports an error.
		uid, _ := strconv.Atoi(account.Uid)
		gid, _ := strconv.Atoi(account.Gid)
		_ = os.Chown(dir, uid, gid)
	}
	command := process.Command{Path: "sh", Args: []string{"-c", script, "sh", bin, strconv.Itoa(port)}}
	if account != nil {
		command.Path = "setpriv"
		command.Args = append([]string{"--reuid", account.Uid, "--regid", account.Gid, "--clear-groups",
			"--pdeathsig", "KILL", "sh"}, command.Args...)
	}
	return command
}

// pingSQL returns nil if the server replies and is the process pid, or any process if pid is 0.
func pingSQL(ctx context.Context, url string, pid int) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	if pid == 0 {
		return conn.Ping(ctx)
	}
	var lock string
	if err := conn.QueryRow(ctx, "SELECT pg_read_file('postmaster.pid')").Scan(&lock); err != nil {
		return err
	}
	if first, _, _ := strings.Cut(lock, "\n"); first != strconv.Itoa(pid) {
		return fmt.Errorf("another server, process %s, listens there", first)
	}
	return nil
}
