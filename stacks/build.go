package stacks

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// Build compiles the program pkg of the module in folder for our instances (Linux on ARM) and returns the path of the
// binary, output made absolute. The build is reproducible: the same source and toolchain give the same bytes in any
// folder, so that only a change of the server rolls the fleet. What the compiler says goes to log: errors, and while it
// is at work, the packages.
func Build(ctx context.Context, log io.Writer, folder, pkg, output string) (string, error) {
	output, err := filepath.Abs(output)
	if err != nil {
		return "", fmt.Errorf("building %s: %w", pkg, err)
	}
	build := exec.CommandContext(ctx, "go", "build", "-v", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=",
		"-o", output, pkg)
	build.Dir, build.Stdout, build.Stderr = folder, log, log
	// Settings of the person who builds must not reach the binary.
	build.Env = append(os.Environ(), "GOOS=linux", "GOARCH=arm64", "GOARM64=v8.0", "CGO_ENABLED=0",
		"GOFLAGS=", "GOEXPERIMENT=")
	if err := build.Run(); err != nil {
		return "", fmt.Errorf("building %s for linux/arm64: %w", pkg, err)
	}
	return output, nil
}
