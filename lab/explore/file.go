package explore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"stateless-servers/app/config"
	"stateless-servers/lab/contract"
	"stateless-servers/session/sessiontest/process"
)

// A File is a scenario file: it says how to start a server of an application, and which requests to explore. What it leaves
// out follows the lab's contract.
type File struct {
	Application
	contract.Server        // its Folder is the file's
	Build           string // a command to run once before servers start; empty for none
	// Store is the kind of store that the lab starts, or empty if StoreAddr names one that runs.
	Store     config.StoreKind
	StoreAddr string
}

// fileContent is the content of a scenario file.
type fileContent struct {
	Name     string            `yaml:"name"`
	Build    string            `yaml:"build"`
	Server   string            `yaml:"server"`
	Store    string            `yaml:"store"`
	Env      map[string]string `yaml:"env"`
	Ready    string            `yaml:"ready"`
	State    string            `yaml:"state"`
	Within   string            `yaml:"logout_within"`
	Requests []struct {
		Name    string `yaml:"name"`
		Send    string `yaml:"send"`
		Effects string `yaml:"effects"`
	} `yaml:"requests"`
}

// maxLogoutWithin bounds Application.LogoutWithin, for which a run waits.
const maxLogoutWithin = time.Minute

// fileStores are the stores that a scenario file may name.
var fileStores = []config.StoreKind{config.StoreValkey, config.StoreMemcached, config.StorePostgres, config.StoreDynamoDB}

// ReadFile reads a scenario file. The error names the file, the line, and what is allowed there.
func ReadFile(path string) (File, error) {
	text, err := os.ReadFile(path) // #nosec G304 -- the user's file
	if err != nil {
		return File{}, fmt.Errorf("scenario file: %w", err)
	}
	folder, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return File{}, fmt.Errorf("scenario file %s: %w", path, err)
	}
	f, err := parseFile(text)
	if err != nil {
		return File{}, fmt.Errorf("%s:%w", path, err)
	}
	f.Folder = folder
	if f.Name == "" {
		f.Name = filepath.Base(folder)
	}
	return f, nil
}

// parseFile parses a scenario file. The error begins with the line: "3: …".
func parseFile(text []byte) (File, error) {
	var content fileContent
	if err := yaml.UnmarshalWithOptions(text, &content, yaml.Strict()); err != nil {
		var at yaml.Error
		if errors.As(err, &at) {
			return File{}, fmt.Errorf("%d: %s", at.GetToken().Position.Line, plainYAML(at.GetMessage()))
		}
		return File{}, fmt.Errorf("1: %w", err)
	}
	f := File{Application: Contract(), Server: contract.Server{Command: content.Server, Env: content.Env}, Build: content.Build}
	f.Name = content.Name
	refuse := func(path, value, allowed string) error {
		return fmt.Errorf("%d: %q: allowed is %s", lineOf(text, path), value, allowed)
	}
	if f.Command == "" {
		return f, refuse("$.server", "", "the command that starts a server, such as node server.js; it listens on 127.0.0.1:$PORT and uses $STORE_URL")
	}
	switch address, isAddress := strings.CutPrefix(content.Store, "tcp://"); {
	case slices.Contains(fileStores, config.StoreKind(content.Store)):
		f.Store = config.StoreKind(content.Store)
	case isAddress && isLoopback(address):
		f.StoreAddr = address
	default:
		return f, refuse("$.store", content.Store, "valkey, memcached, postgres or dynamodb, or a loopback address such as tcp://127.0.0.1:3306")
	}
	if content.Ready != "" {
		if f.Ready = content.Ready; !strings.HasPrefix(f.Ready, "/") {
			return f, refuse("$.ready", content.Ready, "a path such as /healthz")
		}
	}
	if content.State != "" {
		state, ok := parseSend(content.State)
		if !ok {
			return f, refuse("$.state", content.State, "a request whose answer is JSON, such as GET /api/session")
		}
		state.Name, f.State = "state", state
	}
	if content.Within != "" {
		within, err := time.ParseDuration(content.Within)
		if f.LogoutWithin = within; err != nil || within < 0 || within > maxLogoutWithin {
			return f, refuse("$.logout_within", content.Within, "a duration from 0s to 1m, such as 5s")
		}
	}
	if content.Requests != nil {
		f.Requests = nil
	}
	for i, r := range content.Requests {
		path := fmt.Sprintf("$.requests[%d]", i)
		request, ok := parseSend(r.Send)
		if !ok {
			return f, refuse(path+".send", r.Send, sendSyntax)
		}
		if request.Name = r.Name; r.Name == "" || strings.ContainsAny(r.Name, "+ ") {
			return f, refuse(path+".name", r.Name, "a name of one word without +")
		}
		if request.Effects, ok = ParseEffects(r.Effects); !ok {
			return f, refuse(path+".effects", r.Effects, EffectSyntax)
		}
		f.Requests = append(f.Requests, request)
	}
	if err := f.check(); err != nil {
		return f, fmt.Errorf("%d: %w", lineOf(text, "$.requests"), err)
	}
	return f, nil
}

func isLoopback(address string) bool {
	host, port, err := net.SplitHostPort(address)
	return err == nil && port != "" && (host == "localhost" || net.ParseIP(host).IsLoopback())
}

// plainYAML removes the names of Go types from a message of the YAML decoder.
func plainYAML(message string) string {
	before, after, found := strings.Cut(message, " into Go ")
	if !found {
		return message
	}
	if _, kind, ok := strings.Cut(after, " of type "); ok && kind == "string" {
		return before + ": allowed is text"
	}
	return before + " here"
}

// lineOf returns the line of a value by its YAML path, or of the closest one around it that is there.
func lineOf(text []byte, path string) int {
	file, err := parser.ParseBytes(text, 0)
	for err == nil && path != "" && path != "$" {
		if p, pathErr := yaml.PathString(path); pathErr == nil {
			if node, findErr := p.FilterFile(file); findErr == nil && node != nil && node.Type() != ast.NullType {
				return node.GetToken().Position.Line
			}
		}
		path = path[:strings.LastIndexAny(path, ".[")]
	}
	return 1
}

// Prepare runs the file's build command, if it has one.
func (f File) Prepare(ctx context.Context) error {
	if f.Build == "" {
		return nil
	}
	p, err := process.Start(process.Command{Name: "build of " + f.Name, Path: "sh", Args: []string{"-c", f.Build}, Dir: f.Folder})
	if err != nil {
		return err
	}
	select {
	case <-p.Done():
	case <-ctx.Done():
		p.Kill()
		return fmt.Errorf("building %s: %w", f.Name, ctx.Err())
	}
	if p.ExitCode() != 0 {
		return fmt.Errorf("%w (command: %s)\n%s", p.Ended(), f.Build, p.Tail())
	}
	return nil
}

// Target returns the application of the file as a target, on the store at that URL.
func (f File) Target(storeURL string) (Target, error) {
	u, err := url.Parse(storeURL)
	if err != nil {
		return Target{}, fmt.Errorf("the URL of the store: %w", err)
	}
	t := Target{Application: f.Application, Store: f.Store, StoreAddr: u.Host}
	t.Start = func(name, storeAddr string) (string, *process.Process, error) {
		port, err := process.FreePort()
		if err != nil {
			return "", nil, err
		}
		moved := *u
		moved.Host = storeAddr
		p, err := process.Start(f.Process(name, strconv.Itoa(port), moved.String()))
		return fmt.Sprintf("http://127.0.0.1:%d", port), p, err
	}
	return t, nil
}
