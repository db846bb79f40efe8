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

// modulePath is the first line of the go.mod in the folder of the module.
const modulePath = "module stateless-servers"

// Build compiles the sample server, ./app, and returns the path of the program, in the folder .build of the module. It finds the
// module in the working directory or above. It writes nothing if the program is up to date. The error has the first message of
// the compiler.
func Build(ctx context.Context) (string, error) {
	return BuildProgram(ctx, "server", ".", "./app")
}

// BuildProgram compiles a package of the module in that folder to .build/name. It works like Build. If several processes build
// at once, one compiles and the others wait, so that a running program is not overwritten.
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
	// A build stamp with the commit would make the program out of date after every commit.
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
			return "", fmt.Errorf("the %s does not build: %s (for all errors: go build %s)", name, line, where)
		}
	}
	return "", fmt.Errorf("building the %s: %w", name, build.Ended())
}

// ModuleRoot returns the folder of the module, which is the working directory or above it.
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
				"because it builds the server from ./app", start, modulePath)
		}
	}
}
