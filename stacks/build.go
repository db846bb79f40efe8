package stacks

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
)

// Build compiles the program pkg of the module in folder for our instances (Linux on ARM) and returns the path of the
// binary, output made absolute. The build is reproducible: the same source and toolchain give the same bytes in any
// folder, so that only a change of the server rolls the fleet. What the compiler says goes to log: errors, and while it
// is at work, the packages.
func Build(ctx context.Context, log io.Writer, folder, pkg, output string) (string, error) {
	return StartBuild(ctx, folder, pkg, output).Wait(log)
}

// A Building is a program that is being compiled.
type Building struct {
	said   held
	done   chan struct{}
	output string
	err    error
}

// StartBuild begins what Build does, beside something else. Wait for it, in any case.
func StartBuild(ctx context.Context, folder, pkg, output string) *Building {
	b := &Building{done: make(chan struct{})}
	go func() {
		defer close(b.done)
		if b.output, b.err = filepath.Abs(output); b.err == nil {
			b.err = compile(ctx, &b.said, folder, pkg, b.output)
		}
		if b.err != nil {
			b.output, b.err = "", fmt.Errorf("building %s for linux/arm64: %w", pkg, b.err)
		}
	}()
	return b
}

// Wait lets through to log what the compiler has said and says, and returns what Build does. It may be called again.
func (b *Building) Wait(log io.Writer) (string, error) {
	b.said.release(log)
	<-b.done
	return b.output, b.err
}

// compile leaves the build ID in the binary. It follows from the source, the flags and the toolchain's version alone, as
// the rest does, and by it go build sees that nothing has changed: without it, each synthesis would link for a second.
func compile(ctx context.Context, log io.Writer, folder, pkg, output string) error {
	build := exec.CommandContext(ctx, "go", "build", "-v", "-trimpath", "-buildvcs=false", "-ldflags=-s -w",
		"-o", output, pkg)
	build.Dir, build.Stdout, build.Stderr = folder, log, log
	// Settings of the person who builds must not reach the binary.
	build.Env = append(os.Environ(), "GOOS=linux", "GOARCH=arm64", "GOARM64=v8.0", "CGO_ENABLED=0",
		"GOFLAGS=", "GOEXPERIMENT=")
	return build.Run()
}

// held keeps what is written to it until it is released.
type held struct {
	mu   sync.Mutex
	kept bytes.Buffer
	to   io.Writer // nil until then
}

func (h *held) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.to == nil {
		return h.kept.Write(p)
	}
	return h.to.Write(p)
}

func (h *held) release(to io.Writer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.to = to
	h.kept.WriteTo(to)
}
