// Command withstores starts DynamoDB Local and runs a command whose tests share it. Starting one for each test is slow: a JVM
// needs seconds to start and minutes to warm up.
//
//	go run ./sessiontest/withstores go test ./...
//
// The command finds the server by DYNAMODB_TEST_ENDPOINT. withstores starts no server if the variable is set already, or if
// SKIP_STORES names dynamodb. It ends with the command's exit code.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"stateless-servers/session/sessiontest/storeserver"
)

func main() {
	code, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "withstores:", err)
		os.Exit(1)
	}
	os.Exit(code)
}

func run(args []string) (exitCode int, _ error) {
	if len(args) == 0 {
		return 0, errors.New("usage: withstores COMMAND [ARGUMENT ...], for example: withstores make unit-tests")
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	command := exec.CommandContext(ctx, args[0], args[1:]...)                        // #nosec G204 -- to run what the user names is the purpose
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) } // asks the command to end, and waits for it
	command.Stdin, command.Stdout, command.Stderr, command.Env = os.Stdin, os.Stdout, os.Stderr, os.Environ()
	if !slices.Contains(strings.Split(os.Getenv("SKIP_STORES"), ","), "dynamodb") {
		progress := storeserver.WithProgress(func(line string) { fmt.Fprintln(os.Stderr, line) })
		server, err := storeserver.DynamoDB(ctx, progress)
		if err != nil {
			return 0, err
		}
		defer server.Close()
		command.Env = append(command.Env, "DYNAMODB_TEST_ENDPOINT="+server.Endpoint)
	}
	err := command.Run()
	if _, exited := errors.AsType[*exec.ExitError](err); exited {
		err = nil
	}
	if command.ProcessState == nil {
		return 0, fmt.Errorf("start %s: %w", args[0], err)
	}
	return command.ProcessState.ExitCode(), err
}
