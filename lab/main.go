// Command lab runs the architecture on one machine: a fleet of sample servers behind a load balancer that behaves like an AWS
// Application Load Balancer, with a session store. It also load-tests applications, runs experiments, and compares the stores
// and their cost before a deployment. None of it needs an AWS account. Each command has a file of its own; start reading at
// newCommand.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"stateless-servers/lab/fleet"
)

func main() { os.Exit(runUntilSignal(os.Args[1:], fleet.Build)) }

// runUntilSignal runs the program until it ends or gets a signal. It handles every signal that ends programs, in order to end its
// child processes: a terminal that closes sends SIGHUP, which is ignored under nohup.
func runUntilSignal(args []string, build func(context.Context) (string, error)) int {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		signals = append(signals, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), signals...)
	defer stop()
	return run(ctx, args, os.Stdout, os.Stderr, build)
}

// run runs the program and returns its exit status. Build compiles the server and returns the path of the program.
func run(ctx context.Context, args []string, stdout, stderr io.Writer, build func(context.Context) (string, error)) int {
	stdout, stderr = &screen{w: stdout}, &screen{w: stderr}
	root := newCommand(build)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	if columns(stdout) > 0 { // the screen breaks lines
		lineBreak := regexp.MustCompile(`(\S)\n(\S)`)
		for _, c := range append(root.Commands(), root) {
			c.Long = lineBreak.ReplaceAllString(c.Long, "$1 $2")
		}
	}
	if err := root.ExecuteContext(ctx); err != nil {
		text := strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "; ")
		if ctx.Err() != nil && errors.Is(err, context.Canceled) { // a signal
			text = "interrupted"
		}
		fmt.Fprintln(stderr, "lab: "+text)
		if errors.Is(err, errInterrupted) {
			return 130
		}
		return 1
	}
	return 0
}

// errInterrupted reports that a signal ended a load test early. Shells give the exit status 130 to programs that SIGINT ends.
var errInterrupted = errors.New("interrupted")

func newCommand(build func(context.Context) (string, error)) *cobra.Command {
	root := &cobra.Command{
		Use:   "lab",
		Short: "Stateless servers, on one machine",
		Long: "The lab runs the architecture on one machine: a fleet of web servers that keep no session, a load balancer that\n" +
			"behaves like an Application Load Balancer, and the session store. No AWS account is needed.\n\n" +
			"go run ./lab runs it in a clone of the repository. go install ./lab installs it as lab in $(go env GOPATH)/bin.\n\n" +
			"The exit status of every command is 0 on success, 130 if a load test was interrupted, and 1 otherwise, with a line\n" +
			"that says why. Colours are used on terminals only; NO_COLOR=1 turns them off. lab completion bash, or zsh, fish or\n" +
			"powershell, writes a script that completes commands, flags and their values.",
		Example: "  lab up                          # the application, at http://127.0.0.1:8080\n" +
			"  lab load --url http://127.0.0.1:8080\n" +
			"  lab run server-loss             # how visitors are affected when a server dies\n" +
			"  lab compare dynamodb valkey     # before deploying\n" +
			"  go install ./lab && source <(lab completion bash)",
		Version: version(),
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("%q is not a command%s; the commands are %s", args[0], didYouMean(args[0], commandNames(c)),
					strings.Join(commandNames(c), ", "))
			}
			return nil
		},
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetFlagErrorFunc(explain)
	root.AddCommand(newUp(build), newLoad(), newMerge(), newReport(), newCheck(), newList(), newRun(build), newExplore(build), newCompare(build), newCost())
	completeValues(root)
	return root
}

// version returns the version of the lab's module, with its commit if the go command has recorded it, and the version of Go.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	return info.Main.Version + " " + info.GoVersion
}

func commandNames(c *cobra.Command) []string {
	var list []string
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			list = append(list, sub.Name())
		}
	}
	return list
}

// noArguments refuses arguments, for commands that take flags only.
func noArguments(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%s takes flags only, not %q", c.CommandPath(), args[0])
	}
	return nil
}
