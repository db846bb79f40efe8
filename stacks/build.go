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

// Build compiles the program pkg of the module in folder for Linux on ARM, writes it to output, and returns the absolute
// path of the binary. The build is reproducible: the same source and toolchain give the same bytes in any folder, so that a
// deployment replaces the servers only if the program changed. The compiler's output goes to log: the packages that it
// compiles, and errors.
func Build(ctx context.Context, log io.Writer, folder, pkg, output string) (string, error) {
	return StartBuild(ctx, folder, pkg, output).Wait(log)
}

// A PendingBuild is a compilation in the background.
type PendingBuild struct {
	log    logBuffer
	done   chan struct{}
	output string
	err    error
}

// StartBuild starts what Build does in the background. The caller must call Wait.
func StartBuild(ctx context.Context, folder, pkg, output string) *PendingBuild {
	b := &PendingBuild{done: make(chan struct{})}
	go func() {
		defer close(b.done)
		if b.output, b.err = filepath.Abs(output); b.err == nil {
			b.err = compile(ctx, &b.log, folder, pkg, b.output)
		}
		if pkg == "." {
			pkg = folder
		}
		if b.err != nil {
			b.output, b.err = "", fmt.Errorf("building %s for linux/arm64: %w", pkg, b.err)
		}
	}()
	return b
}

// Wait waits for the compilation and returns the results of Build. It copies the compiler's output so far to log, and then
// the rest as it arrives. Wait may be called more than once.
func (b *PendingBuild) Wait(log io.Writer) (string, error) {
	b.log.forward(log)
	<-b.done
	return b.output, b.err
}

// compile runs go build. It keeps the build ID in the binary: the ID depends on the source, the flags and the toolchain
// only, and without it go build would link again, for a second, at every synthesis. The tag leaves out a page of gRPC, which
// the server doesn't use and whose templates would make the linker keep 16 MB of unused methods.
func compile(ctx context.Context, log io.Writer, folder, pkg, output string) error {
	build := exec.CommandContext(ctx, "go", "build", "-v", "-trimpath", "-buildvcs=false", "-tags=grpcnotrace",
		"-ldflags=-s -w", "-o", output, pkg)
	build.Dir, build.Stdout, build.Stderr = folder, log, log
	build.Env = buildEnvironment()
	return build.Run()
}

// buildEnvironment returns the environment of the go command. The user's own Go settings must not change the binary.
func buildEnvironment() []string {
	return append(os.Environ(), "GOOS=linux", "GOARCH=arm64", "GOARM64=v8.0", "CGO_ENABLED=0", "GOFLAGS=", "GOEXPERIMENT=")
}

// A logBuffer buffers what is written to it until forward names a destination. It is safe for concurrent use.
type logBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
	to     io.Writer // nil until forward
}

func (h *logBuffer) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.to == nil {
		return h.buffer.Write(p)
	}
	return h.to.Write(p)
}

// forward copies the buffer to a writer and sends later writes there.
func (h *logBuffer) forward(to io.Writer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.to = to
	h.buffer.WriteTo(to)
}
