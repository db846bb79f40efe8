package stacks

import (
	"debug/elf"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"stateless-servers/session/sessiontest/must"
)

// ownServer is a server in a module of its own.
const ownServer = "../test/ownserver"

func TestServerIsChecked(t *testing.T) {
	folder := module(t, "part.Say()")
	file := filepath.Join(folder, "go.mod")
	empty := t.TempDir()
	const allowed = `": allowed is the folder of a Go program: `
	for path, want := range map[string]string{
		ownServer:                            "",
		filepath.Join(folder, "app"):         "",
		filepath.Join(folder, "part"):        `context server="` + filepath.Join(folder, "part") + allowed + "its package is part, want main",
		filepath.Join(folder, "nosuch"):      `context server="` + filepath.Join(folder, "nosuch") + allowed + "stat " + filepath.Join(folder, "nosuch") + ": no such file or directory",
		file:                                 `context server="` + file + allowed + "it is not a folder",
		empty:                                `context server="` + empty + allowed + "go list: exit status 1: ",
		"app":                                `context server="app": allowed is the path of the folder of a Go program, which begins with ./, ../ or /`,
		"example.com/server":                 `context server="example.com/server": allowed is the path of the folder of a Go program, `,
		"-toolexec=x":                        `context server="-toolexec=x": allowed is the path of the folder of a Go program, `,
		"":                                   `context server="": allowed is the path of the folder of a Go program, `,
		"./{{resolve:secretsmanager:x}}/app": `context server="./{{resolve:secretsmanager:x}}/app": allowed is the path `,
	} {
		_, err := ReadConfig(t.Context(), map[string]any{"server": path}, "")
		switch {
		case err == nil && want != "":
			t.Errorf("%q is allowed, want %s", path, want)
		case err != nil && (want == "" || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n")):
			t.Errorf("%q: got %v\nwant one line: %s", path, err, want)
		}
	}
}

// A server in a module of its own is built for the instances. Their boot script installs and starts it, and reports success
// because it answers the health checks.
func TestOwnServerBoots(t *testing.T) {
	arm, err := Build(t.Context(), io.Discard, ownServer, ".", filepath.Join(t.TempDir(), "server"))
	must.Succeed(t, err)
	header, err := elf.Open(arm)
	must.Succeed(t, err)
	defer header.Close()
	if header.Machine != elf.EM_AARCH64 {
		t.Errorf("built for %v, want %v", header.Machine, elf.EM_AARCH64)
	}

	native := filepath.Join(t.TempDir(), "server") // for this machine
	build := exec.CommandContext(t.Context(), "go", "build", "-o", native, ".")
	build.Dir = ownServer
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	address, log := freeAddress(t), newServerLog(t)
	_, lab := synth(t, map[string]any{"server": ownServer})
	root, code, output := runScript(t, userData(t, lab), map[string]string{
		"aws": "case $1 in s3) cp '" + native + "' \"${@: -1}\" ;; elbv2)\n" +
			requireProgram(t, "curl", "https://curl.se") + " --silent --fail --max-time 5 http://" + address + "/healthz && echo healthy ;; esac",
		// It does what systemd does with the unit and the environment file.
		"systemctl": "[[ $* == 'enable --now " + serverName + ".service' ]] || exit 0\nroot=$(dirname \"$0\")/..\n" +
			"set -a\nsource \"$root/etc/" + serverName + "/environment\"\nADDR=" + address + "\n" +
			"\"$root/usr/local/bin/" + serverName + "\" >'" + log.path + "' 2>&1 &\necho $! >\"$root/pid\"",
		"dnf": "exit 1",
	})
	pid, err := strconv.Atoi(strings.TrimSpace(readFile(t, root, "pid")))
	if err != nil {
		t.Fatalf("the server was not started: %v\n%s", err, output)
	}
	stopped := false
	stop := func() {
		if !stopped {
			stopped = true
			syscall.Kill(pid, syscall.SIGTERM)
		}
	}
	t.Cleanup(stop)
	if code != 0 {
		t.Fatalf("the boot script ends with %d\n%s", code, output)
	}
	expectSignal(t, readFile(t, root, "journal"), "SUCCESS")
	for path, want := range map[string]string{"/healthz": "", "/readyz": "",
		"/": "i-0123456789abcdef0 in eu-west-1a, with sessions in dynamodb\n"} {
		response, err := http.Get("http://" + address + path)
		must.Succeed(t, err)
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode != http.StatusOK || string(body) != want || err != nil {
			t.Errorf("%s: got %s %q, %v, want 200 %q", path, response.Status, body, err, want)
		}
	}
	stop()
	if said := log.wait(); said != "" {
		t.Errorf("the server says %q, want nothing", said)
	}
}

// freeAddress returns a loopback address that nothing listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener := must.Get(net.Listen("tcp", "127.0.0.1:0"))(t)
	defer listener.Close()
	return listener.Addr().String()
}

// A serverLog reads what a process that isn't a child writes to a named pipe, until the process ends.
type serverLog struct {
	path string
	text chan string
}

func newServerLog(t *testing.T) serverLog {
	t.Helper()
	log := serverLog{filepath.Join(t.TempDir(), "log"), make(chan string, 1)}
	must.Succeed(t, syscall.Mkfifo(log.path, 0o600))
	go func() {
		text, err := os.ReadFile(log.path) // blocks until a writer opens the pipe
		if err != nil {
			text = fmt.Append(text, err)
		}
		log.text <- string(text)
	}()
	t.Cleanup(func() { // ends the read if no process has opened the pipe
		if file, err := os.OpenFile(log.path, os.O_WRONLY|syscall.O_NONBLOCK, 0); err == nil {
			file.Close()
		}
	})
	return log
}

// wait returns what the process has written, when it has ended.
func (l serverLog) wait() string { return <-l.text }
