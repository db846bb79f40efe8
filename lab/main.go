// Command lab runs the architecture on one machine: a fleet of the sample application's servers behind a load balancer
// that behaves as an AWS one does, with a session store. No AWS account is needed.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"stateless-servers/lab/fleet"
)

func main() { os.Exit(runUntilSignal(os.Args[1:], fleet.Build)) }

// runUntilSignal runs the program until it ends or is told to. The lab ends its children whatever ends the lab; a terminal
// that closes sends SIGHUP, which nohup has it ignore.
func runUntilSignal(args []string, build func(context.Context) (string, error)) int {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		signals = append(signals, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), signals...)
	defer stop()
	return run(ctx, args, os.Stdout, os.Stderr, build)
}

// run is the whole program, up to its exit status. build compiles the server's program and returns where it is.
func run(ctx context.Context, args []string, stdout, stderr io.Writer, build func(context.Context) (string, error)) int {
	stdout, stderr = &screen{w: stdout}, &screen{w: stderr}
	root := newCommand(build)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	if err := root.ExecuteContext(ctx); err != nil {
		fmt.Fprintln(stderr, "lab: "+strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "; "))
		return 1
	}
	return 0
}

func newCommand(build func(context.Context) (string, error)) *cobra.Command {
	root := &cobra.Command{
		Use:   "lab",
		Short: "Stateless servers, on one machine",
		Long: "The lab runs the architecture on one machine: a fleet of web servers that keep no session, a load balancer that\n" +
			"behaves as an Application Load Balancer does, and the store that the sessions live in. No AWS account is needed.\n\n" +
			"The exit status of every command is 0 when all is as it should be and 1 otherwise, with a line that says why. Colours\n" +
			"are for terminals only, and NO_COLOR=1 turns them off. lab completion bash, or zsh, fish or powershell, writes what\n" +
			"completes commands, flags and their values.",
		Example: "  lab up                          # the application, at http://127.0.0.1:8080\n" +
			"  lab load --url http://127.0.0.1:8080\n" +
			"  lab run server-loss             # what a server that dies costs its visitors\n" +
			"  lab compare dynamodb valkey     # before deploying\n" +
			"  source <(lab completion bash)",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("%q is no command; there are: %s", args[0], strings.Join(names(c), ", "))
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

func names(c *cobra.Command) []string {
	var list []string
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			list = append(list, sub.Name())
		}
	}
	return list
}

// noArguments is the check of commands that take flags only.
func noArguments(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%s takes flags only, not %q", c.CommandPath(), args[0])
	}
	return nil
}
