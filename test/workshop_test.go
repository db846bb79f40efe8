package test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"stateless-servers/session/sessiontest"
	"stateless-servers/session/sessiontest/must"
	"stateless-servers/session/sessiontest/process"
)

// The address of the lab in the workshop, and the command that starts it.
const (
	workshopAddr = "127.0.0.1:8080"
	labCommand   = "go run ./lab"
)

// A step is a command of the workshop with the output that the page shows.
type step struct {
	line    int
	command string
	want    []string // lines
}

// Every command of docs/workshop.md prints what the page shows, where … stands for any text.
func TestWorkshop(t *testing.T) {
	sessiontest.Long(t)
	runPage(t, "workshop.md", 15)
}

// The same of docs/compare.md.
func TestComparePage(t *testing.T) {
	sessiontest.Long(t)
	runPage(t, "compare.md", 2)
}

// The same of docs/php.md, whose first command installs PHP.
func TestPHPPage(t *testing.T) {
	sessiontest.Long(t)
	runPage(t, "php.md", 10)
	folder := must.Get(filepath.Abs(filepath.Join(root, "peers", "php")))(t)
	// php-fpm leaves the process group of its server, so ending the group doesn't end it.
	sessiontest.Await(t, "no process in peers/php", func() bool {
		folders, err := filepath.Glob("/proc/[0-9]*/cwd")
		return err == nil && !slices.ContainsFunc(folders, func(link string) bool {
			target, err := os.Readlink(link)
			return err == nil && target == folder
		})
	})
}

// Every lab command of README.md succeeds, or fails as its comment says. Commands that are also in the pages above run only there,
// and TestDeploy in test/deploy runs the commands of the CDK, in an emulator. The commands after lab up run while the last lab is up.
func TestReadmeCommands(t *testing.T) {
	sessiontest.Long(t)
	w := newWorkshop(t, "README.md")
	defer w.ctrlC()
	elsewhere := readPage(t, filepath.Join("docs", "workshop.md")) + readPage(t, filepath.Join("docs", "compare.md"))
	ran := 0
	for i, line := range strings.Split(readPage(t, w.page), "\n") {
		command, comment, _ := strings.Cut(line, "  #")
		if command = strings.TrimSpace(command); !strings.HasPrefix(command, labCommand+" ") {
			continue
		}
		ran++
		if strings.Contains(elsewhere, "\n$ "+command+"\n") {
			continue
		}
		if strings.Contains(comment, "exit status is 1") {
			command += " --only visits+visits || true"
		}
		if strings.Contains(comment, "cdk-outputs.json") {
			command = strings.Replace(command, "--duration 5m", "--duration 5s --url http://"+workshopAddr, 1)
		}
		w.do(step{line: i + 1, command: command})
	}
	if ran < 10 {
		t.Errorf("the README has %d commands of the lab", ran)
	}
}

// newWorkshop returns a workshop without a lab.
func newWorkshop(t *testing.T, page string) *workshop {
	t.Helper()
	peers := must.Get(filepath.Abs(filepath.Join(root, "peers")))(t)
	w := &workshop{t: t, page: page, program: labProgram(t), dir: t.TempDir()}
	must.Succeed(t, os.Symlink(peers, filepath.Join(w.dir, "peers")))
	return w
}

// runPage runs the commands of a page in docs, of which it has at least that many.
func runPage(t *testing.T, page string, least int) {
	t.Helper()
	w := newWorkshop(t, "docs/"+page)
	defer w.ctrlC()
	steps := workshopSteps(t, page)
	for _, s := range steps {
		output := w.do(s)
		if err := shows(output, s.want); err != nil {
			t.Fatalf("%s:%d: $ %s\n%v\nThe output was:\n%s", w.page, s.line, s.command, err, output)
		}
	}
	if len(steps) < least {
		t.Errorf("%s has %d commands, want at least %d", w.page, len(steps), least)
	}
}

// The comparison finds every difference between the output and the page.
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
func workshopSteps(t *testing.T, file string) []step {
	t.Helper()
	page := must.Get(os.ReadFile(filepath.Join(root, "docs", file)))(t)
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

// shows compares the output with the lines of a page: a line … stands for any number of lines, and … within a line for any
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
	var lines strings.Builder // without empty lines, as the responses of the API end with one
	for line := range strings.Lines(output) {
		if strings.TrimSpace(line) != "" {
			lines.WriteString(strings.TrimRight(line, "\n ") + "\n")
		}
	}
	if !regexp.MustCompile(pattern.String()).MatchString(lines.String()) {
		return fmt.Errorf("the output differs from the page:\n%s", strings.Join(want, "\n"))
	}
	return nil
}

// A workshop runs the commands of the page.
type workshop struct {
	t       *testing.T
	page    string           // for messages
	program string           // lab
	dir     string           // of the cookies; peers in it is the repository's
	lab     *process.Process // the running lab, or nil
	addr    string           // of the running lab
}

// commandTimeout bounds one command.
const commandTimeout = 5 * time.Minute

func (w *workshop) do(s step) string {
	w.t.Helper()
	arguments, isLab := strings.CutPrefix(s.command, labCommand+" ")
	arguments, fails := strings.CutSuffix(arguments, " || true") // lab explore fails when it finds something
	if isLab && strings.HasPrefix(arguments, "up") {
		w.ctrlC()
		return w.up(arguments)
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), commandTimeout)
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
	if err := command.Run(); (err != nil) != fails {
		w.t.Fatalf("%s:%d: $ %s\n%v\n%s%s", w.page, s.line, s.command, err, output.String(), complaints.String())
	}
	return output.String()
}

// labStart matches the output of `lab up` until it is ready.
var labStart = regexp.MustCompile(`(?s)^(.*?\nReady in [^\n]*\n)`)

// up starts a lab with arguments for a shell, and returns its output until it was ready.
func (w *workshop) up(arguments string) string {
	w.t.Helper()
	var err error
	w.lab, err = process.Start(process.Command{
		Name: "lab up", Path: "bash", Dir: root, Args: []string{"-c", "exec " + w.program + " " + arguments + " --no-browser --addr " + anyPort},
		Env: append(os.Environ(), "TMPDIR="+w.dir), // the servers' logs stay
	})
	must.Succeed(w.t, err)
	output := written(w.t, w.lab, labStart)
	w.addr = strings.TrimPrefix(written(w.t, w.lab, labAddress), "http://")
	return output
}

// ctrlC interrupts the running lab, if there is one.
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
