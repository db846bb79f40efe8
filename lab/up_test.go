//go:build unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"stateless-servers/lab/fleet"
	"stateless-servers/session/sessiontest/must"
)

// programVariable names an environment variable. If it is set, the test binary runs as the lab, with the named program as server.
const programVariable = "LAB_TEST_PROGRAM"

// stub is the path of the test server of package fleet.
var stub string

func TestMain(m *testing.M) {
	if program := os.Getenv(programVariable); program != "" {
		os.Exit(runUntilSignal(os.Args[1:], built(program)))
	}
	var err error
	if stub, err = fleet.BuildProgram(context.Background(), "stub", ".", "./lab/fleet/testdata/stub"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func built(program string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return program, nil }
}

func script(t *testing.T, lines string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	must.Succeed(t, os.WriteFile(path, []byte("#!/bin/sh\n"+lines+"\n"), 0o700))
	return path
}

func TestRefusedArguments(t *testing.T) {
	tests := []struct {
		args string
		want []string
	}{
		{"nope", []string{`"nope" is not a command; the commands are`, "up"}},
		{"laod", []string{`"laod" is not a command (did you mean load?)`}},
		{"up --sore x", []string{"unknown flag: --sore (did you mean --store?); lab up has --servers"}},
		{"up --store valky", []string{`--store="valky": allowed is valkey, `, "(did you mean valkey?)"}},
		{"up extra", []string{`"extra"`, "flags only"}},
		{"up --nope", []string{"--nope", "--servers", "--store-addr"}},
		{"up --servers", []string{"--servers needs a value", "1 to 50"}},
		{"up --servers 0", []string{`--servers="0"`, "1 to 50"}},
		{"up --servers 51", []string{`--servers="51"`, "1 to 50"}},
		{"up --servers many", []string{`--servers="many"`, "1 to 50"}},
		{"up --store mysql", []string{`--store="mysql"`, "valkey, dynamodb, memcached, postgres, cookie, token or memory"}},
		{"up --store-addr here", []string{`--store-addr="here"`, "host:port"}},
		{"up --store-addr :6379", []string{`--store-addr=":6379"`, "host:port"}},
		{"up --store dynamodb --store-addr a:1", []string{`--store-addr="a:1"`, "valkey"}},
		{"up --addr 0.0.0.0:8080", []string{`--addr="0.0.0.0:8080"`, "loopback"}},
		{"up --addr 8080", []string{`--addr="8080"`, "loopback"}},
		{"up --addr 127.0.0.1:http", []string{`--addr="127.0.0.1:http"`, "loopback"}},
		{"up --sticky=perhaps", []string{`--sticky="perhaps"`, "true or false"}},
		{"up --health-interval 5", []string{`--health-interval="5"`, "100ms to 5m"}},
		{"up --health-threshold 0", []string{`--health-threshold="0"`, "1 to 10"}},
		{"up --idle-timeout 2h", []string{`--idle-timeout="2h"`, "1s to 1h"}},
		{"up --deregistration-delay -1s", []string{`--deregistration-delay="-1s"`, "0s to 1h"}},
	}
	for _, test := range tests {
		t.Run(test.args, func(t *testing.T) {
			var stdout, stderr strings.Builder
			build := func(context.Context) (string, error) { t.Error("something was started"); return "", errors.New("no") }
			code := run(t.Context(), strings.Fields(test.args), &stdout, &stderr, build)
			oneLine(t, code, stdout.String(), stderr.String(), test.want)
			if stdout.Len() > 0 {
				t.Errorf("on stdout: %q", stdout.String())
			}
		})
	}
}

// oneLine checks that a command failed with exit status 1 and one line that contains the wanted parts.
func oneLine(t *testing.T, code int, stdout, stderr string, want []string) {
	t.Helper()
	if code != 1 {
		t.Errorf("exit status %d, want 1", code)
	}
	if strings.Count(stderr, "\n") != 1 || !strings.HasPrefix(stderr, "lab: ") {
		t.Errorf("want one line that begins with lab:, got %q", stderr)
	}
	for _, part := range want {
		if !strings.Contains(stderr, part) {
			t.Errorf("%q does not contain %q", stderr, part)
		}
	}
	if strings.Contains(stdout+stderr, "Usage:") {
		t.Error("the usage is printed, want the error only")
	}
}

func TestHelp(t *testing.T) {
	for _, test := range []struct {
		args string
		want []string
	}{
		{"", []string{"lab up", "up "}},
		{"up --help", []string{"--servers", "--store", "--store-addr", "--addr", "--sticky", "--no-browser", "--health-interval",
			"--health-threshold", "--idle-timeout", "--deregistration-delay", "--verbose", "(default 127.0.0.1:8080)", "(default 5s)",
			"(default 1m)", "from 0s to 1h", "Examples:"}},
	} {
		var stdout, stderr strings.Builder
		if code := run(t.Context(), strings.Fields(test.args), &stdout, &stderr, nil); code != 0 || stderr.Len() > 0 {
			t.Errorf("lab %s: exit status %d, %q", test.args, code, stderr.String())
		}
		for _, part := range test.want {
			if test.args != "" && !strings.Contains(stdout.String(), part) {
				t.Errorf("lab %s does not say %q:\n%s", test.args, part, stdout.String())
			}
		}
	}
}

func TestUpFailsToStart(t *testing.T) {
	taken := must.Get(net.Listen("tcp4", "127.0.0.1:0"))(t)
	defer taken.Close()
	go func() { // a server that is not Valkey
		for {
			conn, err := taken.Accept()
			if err != nil {
				return
			}
			fmt.Fprint(conn, "hello\r\n")
			conn.Close()
		}
	}()
	const closedPort = "127.0.0.1:1" // the system hands out no ports below 1024
	program := script(t, "echo no such store >&2; exit 1")
	tests := []struct {
		name  string
		args  []string
		build func(context.Context) (string, error)
		want  []string
	}{
		{"port in use", []string{"--addr", taken.Addr().String()}, nil, []string{taken.Addr().String(), "another program listens there"}},
		{"no store there", []string{"--store-addr", closedPort}, nil, []string{closedPort, "no Valkey or Redis"}},
		{"no such store there", []string{"--store-addr", taken.Addr().String()}, nil, []string{taken.Addr().String(), "no Valkey or Redis"}},
		{"does not build", nil, func(context.Context) (string, error) { return "", errors.New("app/main.go:3: undefined: x") },
			[]string{"app/main.go:3: undefined: x"}},
		{"ends at once", []string{"--store", "memory"}, built(program), []string{"server-", "ended: exit status 1: no such store"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("TMPDIR", t.TempDir())
			var stdout, stderr bytes.Buffer
			before := children(os.Getpid())
			args := append([]string{"up", "--no-browser", "--addr", "127.0.0.1:0"}, test.args...)
			code := run(t.Context(), args, &stdout, &stderr, test.build)
			oneLine(t, code, stdout.String(), stderr.String(), test.want)
			if after := children(os.Getpid()); !slices.Equal(after, before) {
				t.Errorf("processes left: %v, before %v", after, before)
			}
		})
	}
}

func TestInterruptedStart(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	var stdout, stderr bytes.Buffer
	before := children(os.Getpid())
	code := run(ctx, []string{"up", "--addr", "127.0.0.1:0"}, &stdout, &stderr, func(ctx context.Context) (string, error) {
		interrupt()
		<-ctx.Done()
		return "", ctx.Err()
	})
	oneLine(t, code, stdout.String(), stderr.String(), []string{"interrupted"})
	if after := children(os.Getpid()); !slices.Equal(after, before) {
		t.Errorf("processes left: %v, before %v", after, before)
	}
}

// A runningLab is lab up in a separate process.
type runningLab struct {
	command *exec.Cmd
	url     string
	lines   []string // until it was ready
}

func startLab(t *testing.T, args ...string) *runningLab {
	t.Helper()
	lab := &runningLab{command: exec.Command(os.Args[0], append([]string{"up", "--addr", "127.0.0.1:0"}, args...)...)}
	lab.command.Env = append(os.Environ(), programVariable+"="+stub, "TMPDIR="+t.TempDir())
	lab.command.Stderr = os.Stderr
	stdout := must.Get(lab.command.StdoutPipe())(t)
	must.Succeed(t, lab.command.Start())
	t.Cleanup(func() {
		_ = lab.command.Process.Kill()
		_ = lab.command.Wait() // it writes to TMPDIR, which goes next
	})
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		lab.lines = append(lab.lines, lines.Text())
		if url, found := strings.CutPrefix(lines.Text(), "Application  "); found {
			lab.url = url
		}
		if strings.HasPrefix(lines.Text(), "Ready in ") {
			go func() { _, _ = io.Copy(io.Discard, stdout) }()
			return lab
		}
	}
	t.Fatalf("the lab ended before it was ready, after %q", lab.lines)
	return nil
}

func (lab *runningLab) fleet(t *testing.T) (state struct {
	Store, Address string
	Sticky         bool
	Servers        []struct {
		Name, Zone, Address, State string
		PID                        int
		Requests                   int
	}
}) {
	t.Helper()
	response := must.Get(http.Get(lab.url + "/_lab/fleet"))(t)
	defer response.Body.Close()
	must.Succeed(t, json.NewDecoder(response.Body).Decode(&state))
	return state
}

func TestUp(t *testing.T) {
	lab := startLab(t, "--servers", "2", "--store", "memory", "--sticky")
	state := lab.fleet(t)
	if state.Store != "memory" || !state.Sticky || "http://"+state.Address != lab.url || len(state.Servers) != 2 {
		t.Errorf("got %+v", state)
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for path, proxied := range map[string]bool{"/": true, "//_lab": true, "/_labs": true, "/_lab": false, "/_lab/nothing": false} {
		response := must.Get(client.Get(lab.url + path))(t)
		response.Body.Close()
		if server := response.Header.Get("X-Served-By"); (server != "") != proxied {
			t.Errorf("GET %s: served by %q", path, server)
		}
	}
	requests := 0
	for _, server := range lab.fleet(t).Servers {
		requests += server.Requests
	}
	if requests != 3 {
		t.Errorf("%d requests served by the fleet, want 3: none for the page", requests)
	}
}
