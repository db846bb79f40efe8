package stacks

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
)

const (
	// sampleServer is the default of Config.Server.
	sampleServer = "./app"
	// serverBinary is the path of the compiled server.
	serverBinary = ".build/server.bin"
)

// folderPattern matches a path that can't be an import path or a flag.
var folderPattern = regexp.MustCompile(`^\.{0,2}/[^\x00-\x1f]*$`)

// checkServer returns an error unless the folder of the server holds a program. It doesn't compile it.
func (c Config) checkServer(ctx context.Context) error {
	if c.Server == sampleServer {
		return nil
	}
	fail := func(reason string) error {
		return fmt.Errorf("context server=%q: allowed is the folder of a Go program: %s", c.Server, reason)
	}
	info, err := os.Stat(c.Server)
	if err != nil {
		return fail(err.Error())
	}
	if !info.IsDir() {
		return fail("it is not a folder")
	}
	list := exec.CommandContext(ctx, "go", "list", "-find", "-f", "{{.Name}}", ".")
	list.Dir, list.Env = c.Server, buildEnvironment()
	var stderr bytes.Buffer
	list.Stderr = &stderr
	name, err := list.Output()
	if err != nil {
		first, _, _ := strings.Cut(strings.TrimSpace(stderr.String()), "\n")
		return fail(fmt.Sprintf("go list: %v: %s", err, first))
	}
	if name := strings.TrimSpace(string(name)); name != "main" {
		return fail("its package is " + name + ", want main")
	}
	return nil
}
