package deploy

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"stateless-servers/session/sessiontest/must"
)

// root is the repository's folder, seen from this package.
var root = filepath.Join("..", "..")

// commandLine runs the CDK's command line, pinned in package.json, with a compiled app.
type commandLine struct {
	program     string // of the CDK
	app         string // compiled
	folder      string // the repository's
	output      string // where synthesized templates go
	environment []string
}

// newCommandLine compiles the app once, so that the command line doesn't for each command.
func newCommandLine(ctx context.Context, t *testing.T, environment []string) commandLine {
	t.Helper()
	folder := must.Get(filepath.Abs(root))(t)
	c := commandLine{
		program: filepath.Join(folder, "node_modules", ".bin", "cdk"), app: filepath.Join(t.TempDir(), "cdk-app"),
		folder: folder, output: t.TempDir(),
		// A separate home folder, because the command line caches the account of an access key. Telemetry is off.
		environment: append(environment, "CDK_HOME="+t.TempDir(), "CDK_DISABLE_CLI_TELEMETRY=true", "CI=true",
			"NO_COLOR=1", "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION=1"),
	}
	c.run(ctx, t, folder, 0, "go", "build", "-o", c.app, ".")
	return c
}

// bootstrap prepares the account. It runs outside the repository, so that it needs no app.
func (c commandLine) bootstrap(ctx context.Context, t *testing.T, account, region string) {
	t.Helper()
	c.run(ctx, t, c.output, 0, c.program, "bootstrap", "aws://"+account+"/"+region, "--no-notices")
}

// deploy deploys all stacks as an operator does.
func (c commandLine) deploy(ctx context.Context, t *testing.T, options ...string) {
	t.Helper()
	c.cdk(ctx, t, 0, "deploy", append([]string{"--all", "--require-approval", "never", "--method=direct"}, options...)...)
}

// diff compares all stacks with what is deployed. It returns what it printed, and fails unless there is a difference
// where one is expected, and none elsewhere.
func (c commandLine) diff(ctx context.Context, t *testing.T, different bool, options ...string) string {
	t.Helper()
	status := 0
	if different {
		status = 1
	}
	return c.cdk(ctx, t, status, "diff", append([]string{"--all", "--fail"}, options...)...)
}

func (c commandLine) destroy(ctx context.Context, t *testing.T, options ...string) {
	t.Helper()
	c.cdk(ctx, t, 0, "destroy", append([]string{"--all", "--force"}, options...)...)
}

func (c commandLine) cdk(ctx context.Context, t *testing.T, status int, verb string, options ...string) string {
	t.Helper()
	arguments := append([]string{verb, "--app", c.app, "--output", c.output, "--no-notices"}, options...)
	return c.run(ctx, t, c.folder, status, c.program, arguments...)
}

// run runs a program, which must end with the given exit status. Ctrl-C ends it and its child processes.
func (c commandLine) run(ctx context.Context, t *testing.T, folder string, status int, program string,
	arguments ...string) string {
	t.Helper()
	var output bytes.Buffer
	command := exec.CommandContext(ctx, program, arguments...)
	command.Dir, command.Env = folder, c.environment
	command.Stdout, command.Stderr = &output, &output
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGTERM) }
	command.WaitDelay = 10 * time.Second
	shown := filepath.Base(program) + " " + strings.Join(shown(arguments), " ")
	start := time.Now()
	err := command.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", shown, err)
	}
	if got := command.ProcessState.ExitCode(); got != status {
		t.Fatalf("%s ended with status %d, want %d:\n%s", shown, got, status, output.Bytes())
	}
	t.Logf("%7s  %s", seconds(time.Since(start)), shown)
	return output.String()
}

// shown returns the arguments to show in messages.
func shown(arguments []string) []string {
	var kept []string
	for i := 0; i < len(arguments); i++ {
		switch arguments[i] {
		case "--app", "--output", "--require-approval":
			i++
		case "--no-notices", "--method=direct":
		default:
			kept = append(kept, arguments[i])
		}
	}
	return kept
}

// template reads the template that the last deploy or diff synthesized for a stack.
func (c commandLine) template(t *testing.T, stack string) []byte {
	t.Helper()
	return must.Get(os.ReadFile(filepath.Join(c.output, stack+".template.json")))(t)
}
