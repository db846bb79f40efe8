package storeserver

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stateless-servers/session/sessiontest/must"
	"stateless-servers/session/sessiontest/process"
)

func TestPauseResumeKillRestart(t *testing.T) {
	startHere(t)
	for _, kind := range kinds() {
		t.Run(kind.name, func(t *testing.T) {
			if testing.Short() && kind.name != "valkey" {
				t.Skip("-short: make check runs this test")
			}
			s := ForTest(t, kind.start)
			t.Logf("%s at %s", s.Name, s.Endpoint)
			if host, _, _ := net.SplitHostPort(s.Addr); host != "127.0.0.1" {
				t.Errorf("listens at %s", s.Addr)
			}
			must.Succeed(t, kind.put(t.Context(), s))
			if holds, err := kind.holds(t.Context(), s); err != nil || !holds {
				t.Fatalf("after a put: %v, %v", holds, err)
			}

			must.Succeed(t, s.Pause())
			short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			if _, err := kind.holds(short, s); err == nil {
				t.Error("a paused server replied")
			}
			must.Succeed(t, s.Resume())
			if holds, err := kind.holds(t.Context(), s); err != nil || !holds {
				t.Errorf("after a pause: %v, %v", holds, err)
			}

			must.Succeed(t, s.Kill())
			if conn, err := net.Dial("tcp", s.Addr); err == nil {
				conn.Close()
				t.Error("a killed server accepts connections")
			}
			addr := s.Addr
			must.Succeed(t, s.Restart(t.Context()))
			if s.Addr != addr {
				t.Errorf("restarted at %s, was at %s", s.Addr, addr)
			}
			if holds, err := kind.holds(t.Context(), s); err != nil || holds {
				t.Errorf("after a restart: %v, %v; want it empty", holds, err)
			}

			dir := s.dir
			if unpacked, _ := filepath.Glob(filepath.Join(dir, "sqlite*")); s.Name == "DynamoDB Local" && len(unpacked) == 0 {
				t.Error("the server has unpacked its library outside its directory")
			}
			must.Succeed(t, s.Close())
			if exists(dir) {
				t.Errorf("%s exists after Close", dir)
			}
			if s.process.Ended() == nil {
				t.Error("the server runs after Close")
			}
		})
	}
}

// A durable server keeps all acknowledged changes when it is killed. No environment variable replaces it.
func TestDurableServer(t *testing.T) {
	t.Setenv("VALKEY_TEST_ADDRESS", "127.0.0.1:1")
	s := ForTest(t, DurableValkey)
	for range 3 {
		must.Succeed(t, putKey(t.Context(), s))
		must.Succeed(t, s.Kill())
		must.Succeed(t, s.Restart(t.Context()))
		if holds, err := holdsKey(t.Context(), s); err != nil || !holds {
			t.Errorf("after a restart: %v, %v", holds, err)
		}
		must.Succeed(t, Exec(t.Context(), s, "FLUSHALL"))
	}
	dir := s.dir
	must.Succeed(t, s.Close())
	if exists(dir) {
		t.Errorf("%s exists after Close", dir)
	}
}

func TestExternalServer(t *testing.T) {
	startHere(t)
	own := ForTest(t, Valkey)
	t.Setenv("VALKEY_TEST_ADDRESS", own.Addr)
	s := must.Get(Valkey(t.Context()))(t)
	if s.Addr != own.Addr || s.Endpoint != own.Addr {
		t.Errorf("got %s, %s", s.Addr, s.Endpoint)
	}
	for name, do := range map[string]func() error{
		"pause": s.Pause, "resume": s.Resume, "kill": s.Kill, "restart": func() error { return s.Restart(t.Context()) },
	} {
		if err := do(); err == nil {
			t.Errorf("%s of an external server succeeded, want an error", name)
		}
	}
	must.Succeed(t, s.Close())
	must.Succeed(t, PingValkey(t.Context(), own.Addr))
}

func TestMissingProgramIsReportedInOneLine(t *testing.T) {
	startHere(t)
	const nobody = "127.0.0.1:1" // the kernel assigns no port below 1024
	tests := []struct {
		name        string
		start       func(context.Context, ...Option) (*Server, error)
		environment map[string]string
		want        []string
	}{
		{"no valkey", Valkey, map[string]string{"PATH": ""},
			[]string{"install valkey-server or redis-server", "VALKEY_TEST_ADDRESS"}},
		{"no java", DynamoDB, map[string]string{"PATH": ""},
			[]string{"install Java 17 and Maven, or set", "DYNAMODB_TEST_ENDPOINT", "no java in the PATH"}},
		{"no memcached", Memcached, map[string]string{"PATH": ""}, []string{"install memcached", "MEMCACHED_TEST_ADDRESS"}},
		{"nothing at memcached's address", Memcached, map[string]string{"MEMCACHED_TEST_ADDRESS": nobody},
			[]string{"MEMCACHED_TEST_ADDRESS=", nobody}},
		{"not a connection string", Postgres, map[string]string{"POSTGRES_TEST_URL": "postgres://u:secret@h:x/"},
			[]string{"POSTGRES_TEST_URL"}},
		{"nothing at the connection string", Postgres,
			map[string]string{"POSTGRES_TEST_URL": "postgres://" + nobody},
			[]string{"POSTGRES_TEST_URL", nobody}},
		{"nothing at the address", Valkey, map[string]string{"VALKEY_TEST_ADDRESS": nobody},
			[]string{"VALKEY_TEST_ADDRESS=", nobody}},
		{"nothing at the endpoint", DynamoDB, map[string]string{"DYNAMODB_TEST_ENDPOINT": "http://" + nobody},
			[]string{"DYNAMODB_TEST_ENDPOINT=", nobody}},
		{"not an endpoint", DynamoDB, map[string]string{"DYNAMODB_TEST_ENDPOINT": "somewhere"},
			[]string{`DYNAMODB_TEST_ENDPOINT="somewhere"`, "allowed is"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for key, value := range test.environment {
				t.Setenv(key, value)
			}
			s, err := test.start(t.Context())
			if err == nil {
				s.Close()
				t.Fatal("the server started, want an error")
			}
			for _, part := range test.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not contain %q", err, part)
				}
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than one line: %q", err)
			}
		})
	}
}

// If its port is taken, a server is started on another port, a bounded number of times.
func TestPortTaken(t *testing.T) {
	startHere(t)
	taken := must.Get(net.Listen("tcp", "127.0.0.1:0"))(t)
	defer taken.Close()
	tests := []struct {
		name   string
		server func(context.Context, ...Option) (*Server, error)
		always bool
	}{
		{"Valkey once", Valkey, false}, {"Valkey always", Valkey, true}, {"Valkey with TLS once", ValkeyTLS, false},
		{"Durable Valkey once", DurableValkey, false}, {"Valkey node once", valkeyNode, false}, {"DynamoDB once", DynamoDB, false},
		{"PostgreSQL once", Postgres, false}, {"Memcached once", Memcached, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if testing.Short() && !strings.HasPrefix(test.name, "Valkey ") {
				t.Skip("-short: make check runs this test")
			}
			l := ForTest(t, test.server).launcher
			command, tried := l.command, 0
			l.command = func(port int, dir string) process.Command {
				if tried++; tried == 1 || test.always {
					port = taken.Addr().(*net.TCPAddr).Port
				}
				return command(port, dir)
			}
			s, err := start(t.Context(), l)
			if test.always {
				if err == nil || tried != attempts {
					t.Fatalf("%d attempts, %v", tried, err)
				}
				return
			}
			must.Succeed(t, err)
			defer s.Close()
			if tried != 2 {
				t.Errorf("%d attempts, want 2", tried)
			}
		})
	}
}

func TestSkipStores(t *testing.T) {
	for list, want := range map[string]bool{"": false, "dynamodb": false, "valkey": true, "dynamodb,valkey": true} {
		t.Setenv("SKIP_STORES", list)
		_, err := applyOptions("valkey", []Option{func(o *options) { o.forTest = true }})
		if (err != nil) != want {
			t.Errorf("SKIP_STORES=%q: %v", list, err)
		}
		if _, err := applyOptions("valkey", nil); err != nil {
			t.Errorf("SKIP_STORES=%q outside a test: %v", list, err)
		}
	}
}

// Version returns the version, or at least the name.
func TestVersion(t *testing.T) {
	if version := ForTest(t, Valkey).Version(); !strings.Contains(version, "v=") || strings.Contains(version, "\n") {
		t.Errorf("the version of Valkey is %q", version)
	}
	if version := dynamoDBLocalVersion(); !strings.HasPrefix(version, "DynamoDB Local 3.") {
		t.Errorf("the version of DynamoDB Local is %q", version)
	}
	if version := (&Server{Name: "foreign"}).Version(); version != "foreign" {
		t.Errorf("the version of an external server is %q", version)
	}
}
