package fleet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"stateless-servers/lab/process"
)

// modulePath is the first line of the go.mod that says where the sources of the server are.
const modulePath = "module stateless-servers"

// Build compiles the server's program, ./app, and returns where it is: in the folder .build of the module, which is found
// by going up from the working directory. A program that is up to date costs a look at its sources. The error has the
// first thing that the compiler complains of.
func Build(ctx context.Context) (string, error) {
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	program := filepath.Join(root, ".build", "server")
	if runtime.GOOS == "windows" {
		program += ".exe"
	}
	// Stamping the state of the repository would link anew with every commit.
	build, err := process.Start(process.Command{
		Name: "go build", Path: "go", Args: []string{"build", "-buildvcs=false", "-o", program, "./app"}, Dir: root,
	})
	if err != nil {
		return "", err
	}
	select {
	case <-build.Done():
	case <-ctx.Done():
		build.Kill()
		return "", fmt.Errorf("building the server: %w", ctx.Err())
	}
	if build.ExitCode() == 0 {
		return program, nil
	}
	for line := range strings.Lines(build.Tail()) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			return "", fmt.Errorf("the server does not build: %s (all of it: go build ./app)", line)
		}
	}
	return "", fmt.Errorf("building the server: %w", build.Ended())
}

func moduleRoot() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		content, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if first, _, _ := strings.Cut(string(content), "\n"); err == nil && strings.TrimSpace(first) == modulePath {
			return dir, nil
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", err
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("%s is not in the repository, whose go.mod begins with %q: start the lab from there, "+
				"for it builds the server from ./app", start, modulePath)
		}
	}
}
