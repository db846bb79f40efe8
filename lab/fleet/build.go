package fleet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"stateless-servers/session/sessiontest/process"
)

// modulePath is the first line of the go.mod that says where the sources of the server are.
const modulePath = "module stateless-servers"

// Build compiles the server's program, ./app, and returns where it is: in the folder .build of the module, which is found
// by going up from the working directory. A program that is up to date costs a look at its sources. The error has the
// first thing that the compiler complains of.
func Build(ctx context.Context) (string, error) {
	return BuildProgram(ctx, "server", ".", "./app")
}

// BuildBench compiles the program of test/bench, a module of its own that has servers with other libraries, as Build does.
func BuildBench(ctx context.Context) (string, error) {
	return BuildProgram(ctx, "bench", filepath.Join("test", "bench"), ".")
}

// BuildProgram compiles a package of the module in that folder to .build/name, as Build does. Of several processes at once,
// one compiles and the others wait: a program that runs already isn't made anew.
func BuildProgram(ctx context.Context, name, module, pkg string) (string, error) {
	root, err := ModuleRoot()
	if err != nil {
		return "", err
	}
	program := filepath.Join(root, ".build", name)
	if runtime.GOOS == "windows" {
		program += ".exe"
	}
	if err := os.MkdirAll(filepath.Dir(program), 0o755); err != nil {
		return "", err
	}
	lock := flock.New(program + ".lock")
	if _, err := lock.TryLockContext(ctx, 50*time.Millisecond); err != nil {
		return "", fmt.Errorf("building the %s: %w", name, err)
	}
	defer lock.Close()
	// Stamping the state of the repository would link anew with every commit.
	build, err := process.Start(process.Command{
		Name: "go build", Path: "go", Args: []string{"build", "-buildvcs=false", "-o", program, pkg}, Dir: filepath.Join(root, module),
	})
	if err != nil {
		return "", err
	}
	select {
	case <-build.Done():
	case <-ctx.Done():
		build.Kill()
		return "", fmt.Errorf("building the %s: %w", name, ctx.Err())
	}
	if build.ExitCode() == 0 {
		return program, nil
	}
	for line := range strings.Lines(build.Tail()) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			where := strings.TrimPrefix("-C "+module+" "+pkg, "-C . ")
			return "", fmt.Errorf("the %s does not build: %s (all of it: go build %s)", name, line, where)
		}
	}
	return "", fmt.Errorf("building the %s: %w", name, build.Ended())
}

// ModuleRoot is the folder of the module, found by going up from the working directory.
func ModuleRoot() (string, error) {
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
