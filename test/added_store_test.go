package test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"stateless-servers/session/sessiontest"
	"stateless-servers/session/sessiontest/must"
	"stateless-servers/session/sessiontest/process"
)

// CONTRIBUTING.md says that adding a store takes a folder, and a line with its import in the table of openers.
const (
	addedStore  = "files"
	addedLine   = "\t\t\"files\": byURL(files.Open),\n"
	addedImport = "\t\"stateless-servers/session/files\"\n"
	afterLine   = "\t\tconfig.StoreMemory:    (*storage).openMemory,\n"
	afterImport = "\t\"stateless-servers/session\"\n"
)

// A store can be added with one folder and one line of the server: it passes the conformance suite, and two servers share its
// sessions.
func TestAddedStore(t *testing.T) {
	sessiontest.Long(t)
	overlay := overlayOfAddedStore(t)
	programs := t.TempDir()
	suite, server := filepath.Join(programs, "suite"), filepath.Join(programs, "server")
	goCommand(t, "test", "-c", "-vet=off", "-overlay", overlay, "-o", suite, "stateless-servers/session/"+addedStore)
	goCommand(t, "build", "-ldflags=-s -w", "-overlay", overlay, "-o", server, "./app")

	run := exec.CommandContext(t.Context(), suite, "-test.v", "-test.timeout=2m")
	run.Dir = t.TempDir()
	output, err := run.CombinedOutput()
	if err != nil {
		t.Fatalf("the conformance suite: %v\n%s", err, output)
	}
	if passed := bytes.Count(output, []byte("    --- PASS: ")); passed < 30 {
		t.Errorf("the conformance suite ran %d checks:\n%s", passed, output)
	}

	url := "file://" + t.TempDir()
	servers := []*addedServer{startAdded(t, server, "server-1", url), startAdded(t, server, "server-2", url)}
	client := sessiontest.NewClient()
	for visit := 1; visit <= 20; visit++ {
		if visit == 11 {
			servers[0].kill()
			servers = servers[1:]
		}
		response, err := client.Do(t.Context(), http.MethodPost, servers[visit%len(servers)].url+"/api/visits", "")
		must.Succeed(t, err)
		var got struct{ Visits int }
		if err = json.Unmarshal([]byte(response.Body), &got); err != nil || got.Visits != visit {
			t.Fatalf("visit %d: %s, the counter says %d, %v", visit, response.Status, got.Visits, err)
		}
	}
}

// The server ends with one line if the store can't be opened or is unknown.
func TestAddedStoreThatCannotStart(t *testing.T) {
	overlay := overlayOfAddedStore(t)
	server := filepath.Join(t.TempDir(), "server")
	goCommand(t, "build", "-ldflags=-s -w", "-overlay", overlay, "-o", server, "./app")
	for _, test := range []struct{ store, want string }{
		{addedStore, "open the store at STORE_URL: allowed is file:// and the absolute path of a folder"},
		{"nosuch", `SESSION_STORE="nosuch": allowed is dynamodb`},
	} {
		command := exec.CommandContext(t.Context(), server)
		command.Env = []string{"SERVER_NAME=a", "SESSION_STORE=" + test.store, "STORE_URL=nowhere"}
		output, err := command.CombinedOutput()
		if err == nil || !strings.HasPrefix(string(output), test.want) || bytes.Count(output, []byte("\n")) != 1 {
			t.Errorf("%s: %v\n%s", test.store, err, output)
		}
	}
}

// overlayOfAddedStore returns a file for the flag -overlay of the go command that adds the store to the source tree.
func overlayOfAddedStore(t *testing.T) string {
	t.Helper()
	absolute := must.Get(filepath.Abs(root))(t)
	replace := map[string]string{}
	folder := filepath.Join("test", "testdata", addedStore)
	entries := must.Get(os.ReadDir(filepath.Join(root, folder)))(t)
	for _, entry := range entries {
		replace[filepath.Join(absolute, "session", addedStore, entry.Name())] =
			filepath.Join(absolute, folder, entry.Name())
	}
	table := filepath.Join(absolute, "app", "storage.go")
	text := must.Get(os.ReadFile(table))(t)
	changed := string(text)
	for _, insert := range [][2]string{{afterLine, addedLine}, {afterImport, addedImport}} {
		if strings.Count(changed, insert[0]) != 1 {
			t.Fatalf("app/storage.go has no line %q to add one after", insert[0])
		}
		changed = strings.Replace(changed, insert[0], insert[0]+insert[1], 1)
	}
	dir := t.TempDir()
	replace[table] = filepath.Join(dir, "storage.go")
	must.Succeed(t, os.WriteFile(replace[table], []byte(changed), 0o644))
	description := must.Get(json.Marshal(map[string]any{"Replace": replace}))(t)
	path := filepath.Join(dir, "overlay.json")
	must.Succeed(t, os.WriteFile(path, description, 0o644))
	return path
}

// goCommand runs the go command in the module's folder.
func goCommand(t *testing.T, args ...string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", args...)
	command.Dir = root
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, output)
	}
}

// An addedServer is a process of the server with the added store.
type addedServer struct {
	url  string
	kill func()
}

var servingAt = regexp.MustCompile(`"msg":"serving".*"addr":"([^"]+)".*\n`)

func startAdded(t *testing.T, program, name, store string) *addedServer {
	t.Helper()
	p, err := process.Start(process.Command{Name: name, Path: program, Env: []string{"ADDR=" + anyPort, "ADMIN_ADDR=" + anyPort,
		"SERVER_NAME=" + name, "PLAIN_HTTP=true", "SESSION_STORE=" + addedStore, "STORE_URL=" + store}})
	must.Succeed(t, err)
	t.Cleanup(p.Kill)
	return &addedServer{url: "http://" + written(t, p, servingAt), kill: p.Kill}
}

// CONTRIBUTING.md quotes the line that the test adds.
func TestContributingSaysHowToAddAStore(t *testing.T) {
	text := must.Get(os.ReadFile(filepath.Join(root, "CONTRIBUTING.md")))(t)
	if !slices.Contains(strings.Split(string(text), "\n"), strings.TrimSpace(addedLine)) {
		t.Errorf("CONTRIBUTING.md lacks the line %s", addedLine)
	}
}
