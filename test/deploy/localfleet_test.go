package deploy

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awsdynamodb "github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"stateless-servers/session/dynamodb"
	"stateless-servers/session/sessiontest"
	"stateless-servers/session/sessiontest/must"
	"stateless-servers/session/sessiontest/process"
)

// fleetSize is the number of local servers.
const fleetSize = 2

// A localFleet runs servers on this machine, and visitors who use them.
type localFleet struct {
	program          string // the compiled server
	dynamodb, valkey string // the endpoint of DynamoDB, and the address of Valkey
	tables           *awsdynamodb.Client
	table            string // the name of the table, or ""
	servers          []localServer
	started          int // servers, since the start of the test
	visitors         []*visitor
	visits           int // of all visitors
}

type localServer struct {
	name, url string
	process   *process.Process
}

// A visitor is a browser with a session.
type visitor struct {
	client *sessiontest.Client
	user   string // empty if nobody has logged in
	visits int    // that were acknowledged
}

func newLocalFleet(ctx context.Context, t *testing.T, cdk commandLine, endpoint, valkey string) *localFleet {
	t.Helper()
	f := &localFleet{program: filepath.Join(t.TempDir(), "server"), dynamodb: endpoint, valkey: valkey}
	f.tables = dynamodb.NewClient(aws.Config{
		Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""),
	}, endpoint)
	cdk.run(ctx, t, cdk.folder, 0, "go", "build", "-o", f.program, "./app")
	return f
}

// roll replaces the servers one by one by servers with the environment, or starts the first ones. All visitors use all servers
// after each change, and new visitors arrive.
func (f *localFleet) roll(ctx context.Context, t *testing.T, environment []string) {
	t.Helper()
	for range fleetSize {
		f.servers = append(f.servers, f.start(ctx, t, environment))
		f.visit(ctx, t)
		if len(f.servers) > fleetSize {
			limited, cancel := context.WithTimeout(ctx, time.Minute)
			err := f.servers[0].process.Stop(limited)
			cancel()
			must.Succeed(t, err)
			f.servers = f.servers[1:]
			f.visit(ctx, t)
		}
	}
	known := slices.ContainsFunc(environment, func(line string) bool { return strings.HasPrefix(line, "DYNAMODB_TABLE=") })
	if f.table != "" && !known { // the deployment has removed the table
		must.Get(f.tables.DeleteTable(ctx, &awsdynamodb.DeleteTableInput{TableName: aws.String(f.table)}))(t)
		f.table = ""
	}
}

// start starts a server and waits until it and its stores reply.
func (f *localFleet) start(ctx context.Context, t *testing.T, environment []string) localServer {
	t.Helper()
	f.started++
	s := localServer{name: "server-" + strconv.Itoa(f.started)}
	var addresses [2]string
	for i := range addresses {
		port := must.Get(process.FreePort())(t)
		addresses[i] = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	}
	s.url = "http://" + addresses[0]
	// The environment decides which stores the server uses. Only their addresses are other ones, and the login to the cache.
	local := map[string]string{"SERVER_NAME": s.name, "ZONE": "a", "VALKEY_ADDRESS": f.valkey, "VALKEY_TLS": "false",
		"VALKEY_USER": "", "VALKEY_CACHE_NAME": ""}
	// The stores may be slow on a busy machine. This does not concern the migration.
	own := []string{"ADDR=" + addresses[0], "ADMIN_ADDR=" + addresses[1], "DYNAMODB_ENDPOINT=" + f.dynamodb, "STORE_TIMEOUT=25s"}
	for _, line := range environment {
		key, value, _ := strings.Cut(line, "=")
		if key == "DYNAMODB_TABLE" && f.table == "" {
			must.Succeed(t, dynamodb.CreateTable(ctx, f.tables, value))
			f.table = value
		}
		if value, given := local[key]; given {
			line = key + "=" + value
		}
		own = append(own, line)
	}
	var err error
	if s.process, err = process.Start(process.Command{Name: s.name, Path: f.program, Env: own}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.process.Kill)
	sessiontest.Eventually(t, func() error {
		must.Succeed(t, s.process.Ended())
		response, err := sessiontest.NewClient().Do(ctx, http.MethodGet, s.url+"/readyz", "")
		if err == nil && response.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s is not ready: %s", s.name, response.Body)
		}
		return err
	})
	return s
}

// visit lets two new visitors arrive, one of whom logs in, and lets all visitors use all servers. Each visit is one more than
// the last one of that visitor, on any server.
func (f *localFleet) visit(ctx context.Context, t *testing.T) {
	t.Helper()
	for _, user := range []string{"", "ada"} {
		f.visitors = append(f.visitors, &visitor{client: sessiontest.NewClient(), user: user})
	}
	for number, v := range f.visitors {
		for i, s := range f.servers {
			if v.user != "" && v.visits == 1 { // a session, with contents, that nobody has logged in to yet
				f.do(ctx, t, v, http.MethodPost, s.url+"/login", "user="+v.user)
			}
			v.visits++
			f.visits++
			got := f.do(ctx, t, v, http.MethodPost, f.servers[(number+i)%len(f.servers)].url+"/api/visits", "")
			if got.Visits != v.visits {
				t.Fatalf("visitor %d: visit %d on %s counts as %d", number, v.visits, got.Server, got.Visits)
			}
			got = f.do(ctx, t, v, http.MethodGet, s.url+"/api/session", "")
			if loggedIn := v.user != "" && v.visits > 1; got.Visits != v.visits || got.Authenticated != loggedIn {
				t.Fatalf("visitor %d on %s: %+v, want %d visits, logged in: %v", number, s.name, got, v.visits, loggedIn)
			}
		}
	}
}

// An answer is the body of the sample server's responses below /api/.
type answer struct {
	Server        string
	Visits        int
	Authenticated bool
}

func (f *localFleet) do(ctx context.Context, t *testing.T, v *visitor, method, url, body string) answer {
	t.Helper()
	response := must.Get(v.client.Do(ctx, method, url, body, "Accept: application/json"))(t)
	if response.StatusCode >= 400 {
		for _, s := range f.servers {
			t.Logf("the end of the log of %s:\n%s", s.name, s.process.Tail())
		}
		t.Fatalf("%s %s: %s\n%s", method, url, response.Status, response.Body)
	}
	var got answer
	if strings.Contains(response.Header.Get("Content-Type"), "json") {
		must.Succeed(t, json.Unmarshal([]byte(response.Body), &got))
	}
	return got
}
