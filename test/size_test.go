package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"stateless-servers/session/sessiontest/must"
)

// maxServerSize bounds the server's program, in bytes. Every deployment uploads it, and every instance of the fleet
// downloads it before it can serve.
const maxServerSize = 25_000_000

// The program is built as stacks.Build builds it. To call that, this package would have to import the CDK.
func TestSizeOfTheServer(t *testing.T) {
	program := filepath.Join(t.TempDir(), "app")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-tags=grpcnotrace",
		"-ldflags=-s -w", "-o", program, "./app")
	build.Dir = root
	build.Env = append(os.Environ(), "GOOS=linux", "GOARCH=arm64", "GOARM64=v8.0", "CGO_ENABLED=0",
		"GOFLAGS=", "GOEXPERIMENT=")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the server: %v\n%s", err, output)
	}
	file := must.Get(os.Stat(program))(t)
	if file.Size() > maxServerSize {
		t.Errorf("the server has %d bytes, want at most %d. Something may look methods up by name, as templates do, "+
			"so that the linker keeps all of them. To see what:\n"+
			"GOOS=linux GOARCH=arm64 CGO_ENABLED=0 go build -tags=grpcnotrace -o .build/size -ldflags=-dumpdep ./app 2>&1 | grep ReflectMethod",
			file.Size(), maxServerSize)
	}
}
