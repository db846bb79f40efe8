package test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"stateless-servers/session/sessiontest"
	"stateless-servers/session/sessiontest/process"
)

// Where the workshop's lab listens, and what starts it.
const (
	workshopAddr = "127.0.0.1:8080"
	labCommand   = "go run ./lab"
)

// A step is a command of the workshop, and what the page shows of its output.
type step struct {
	line    int
	command string
	want    []string // lines
}

// Every command of docs/workshop.md does what the page shows. Where it shows …, anything may be.
func TestWorkshop(t *testing.T) {
	sessiontest.Long(t)
	program := labProgram(t)
	w := &workshop{t: t, program: program, dir: t.TempDir()}
	t.Cleanup(w.ctrlC)
	steps := workshopSteps(t)
	for _, s := range steps {
		output := w.do(s)
		if err := shows(output, s.want); err != nil {
			t.Fatalf("docs/workshop.md:%d: $ %s\n%v\nIt said:\n%s", s.line, s.command, err, output)
		}
	}
	if len(steps) < 15 {
		t.Errorf("the page has %d commands", len(steps))
	}
}

// What the page shows has to be there: the comparison refuses what differs.
func TestWorkshopComparison(t *testing.T) {
	sessiontest.Long(t)
	const output = "one\n{\"visits\":2,\"server\":\"server-1\"}\nthree\n"
	for _, test := range []struct {
		want string
		ok   bool
	}{
		{"one\n{\"visits\":2,\"server\":\"server-…\"}\nthree", true},
		{"…\nthree", true},
		{"one\n…", true},
		{"one\n{\"visits\":3,\"server\":\"server-…\"}\nthree", false},
		{"one\nthree", false},
		{"one", false},
		{"…\nfour", false},
	} {
		if err := shows(output, strings.Split(test.want, "\n")); (err == nil) != test.ok {
			t.Errorf("%q: %v", test.want, err)
		}
	}
}

// workshopSteps reads the page: in its console blocks, a line that begins with $ is a command, the others are output.
func workshopSteps(t *testing.T) []step {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(root, "docs", "workshop.md"))
	if err != nil {
		t.Fatal(err)
	}
	var steps []step
	console := false
	for i, line := range strings.Split(string(page), "\n") {
		command, isCommand := strings.CutPrefix(line, "$ ")
		switch {
		case strings.HasPrefix(line, "```"):
			console = line == "```console"
		case !console:
		case isCommand:
			steps = append(steps, step{line: i + 1, command: command})
		case len(steps) > 0:
			last := &steps[len(steps)-1]
			last.want = append(last.want, line)
		}
	}
	return steps
}

// shows compares output with what a page has of it: a line that is … is any number of lines, and … within a line any
// text.
func shows(output string, want []string) error {
	var pattern strings.Builder
	pattern.WriteString(`^`)
	for _, line := range want {
		if line == "…" {
			pattern.WriteString(`(?:.*\n)*?`)
			continue
		}
		pattern.WriteString(strings.ReplaceAll(regexp.QuoteMeta(line), "…", `.*`) + `\n`)
	}
	pattern.WriteString(`$`)
	var lines strings.Builder // without empty ones, which the API ends its answers with
	for line := range strings.Lines(output) {
		if strings.TrimSpace(line) != "" {
			lines.WriteString(strings.TrimRight(line, "\n ") + "\n")
		}
	}
	if !regexp.MustCompile(pattern.String()).MatchString(lines.String()) {
		return fmt.Errorf("that isn't what the page shows:\n%s", strings.Join(want, "\n"))
	}
	return nil
}

// A workshop is somebody who types what the page says.
type workshop struct {
	t       *testing.T
	program string
	dir     string           // where cookies are kept
	lab     *process.Process // the last one
	addr    string           // where it listens
}

// maxTime bounds one command.
const maxTime = 2 * time.Minute

func (w *workshop) do(s step) string {
	w.t.Helper()
	arguments, isLab := strings.CutPrefix(s.command, labCommand+" ")
	if isLab && strings.HasPrefix(arguments, "up") {
		w.ctrlC()
		return w.up(strings.Fields(arguments))
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), maxTime)
	defer cancel()
	command := exec.CommandContext(ctx, "bash", "-c", strings.ReplaceAll(s.command, workshopAddr, w.addr))
	command.Dir = w.dir
	if isLab {
		command = exec.CommandContext(ctx, w.program, strings.Fields(strings.ReplaceAll(arguments, workshopAddr, w.addr))...)
		command.Dir = root
	}
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = 30 * time.Second
	var output, complaints bytes.Buffer
	command.Stdout, command.Stderr = &output, &complaints
	if err := command.Run(); err != nil {
		w.t.Fatalf("docs/workshop.md:%d: $ %s\n%v\n%s%s", s.line, s.command, err, output.String(), complaints.String())
	}
	return output.String()
}

// labStart is what `lab up` says until it is ready.
var labStart = regexp.MustCompile(`(?s)^(.*?\nReady in [^\n]*\n)`)

// up starts a lab and returns what it said until it was ready.
func (w *workshop) up(arguments []string) string {
	w.t.Helper()
	var err error
	w.lab, err = process.Start(process.Command{
		Name: "lab up", Path: w.program, Dir: root, Args: append(arguments, "--no-browser", "--addr", anyPort),
		Env: append(os.Environ(), "TMPDIR="+w.dir), // the servers' logs stay
	})
	if err != nil {
		w.t.Fatal(err)
	}
	said := written(w.t, w.lab, labStart)
	w.addr = strings.TrimPrefix(written(w.t, w.lab, labAddress), "http://")
	return said
}

// ctrlC ends the lab that runs, if one does.
func (w *workshop) ctrlC() {
	if w.lab == nil {
		return
	}
	_ = syscall.Kill(w.lab.Pid(), syscall.SIGINT)
	<-w.lab.Done()
	if w.lab.ExitCode() != 0 {
		w.t.Error(w.lab.Ended())
	}
	w.lab = nil
}
