package stacks

import (
	"bytes"
	"debug/elf"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stateless-servers/session/sessiontest/must"
)

// module writes a Go module and returns its folder. Its program ./app has the given body of main; ./lab does nothing.
func module(t *testing.T, main string) string {
	t.Helper()
	folder := t.TempDir()
	files := map[string]string{
		"go.mod":          "module example\n\ngo 1.26\n",
		"app/main.go":     "package main\n\nimport \"example/part\"\n\nfunc main() { " + main + " }\n",
		"part/part.go":    "package part\n\nfunc Say() { panic(\"with a file name in it\") }\n",
		"lab/main.go":     "package main\n\nfunc main() {}\n",
		"app/main_x86.go": "//go:build amd64\n\npackage main\n\nfunc main() {}\n", // breaks any other target
	}
	for name, text := range files {
		path := filepath.Join(folder, name)
		must.Succeed(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must.Succeed(t, os.WriteFile(path, []byte(text), 0o644))
	}
	return folder
}

func TestBuildIsReproducible(t *testing.T) {
	build := func() []byte {
		folder := module(t, "part.Say()")
		path := must.Get(Build(t.Context(), io.Discard, folder, "./app", filepath.Join(folder, "out", "server.bin")))(t)
		return must.Get(os.ReadFile(path))(t)
	}
	first := build()
	t.Setenv("GOFLAGS", "-tags=other") // as on another machine
	if !bytes.Equal(first, build()) {
		t.Error("the same source in two folders gave different binaries, want equal ones")
	}

	binary := must.Get(elf.NewFile(bytes.NewReader(first)))(t)
	if binary.Machine != elf.EM_AARCH64 {
		t.Errorf("built for %v, want %v", binary.Machine, elf.EM_AARCH64)
	}
	if libraries, err := binary.ImportedLibraries(); err != nil || len(libraries) != 0 {
		t.Errorf("the binary imports libraries %v, %v, want none", libraries, err)
	}
}

func TestBuildReportsCompilerErrors(t *testing.T) {
	folder := module(t, "part.Sing()")
	var log strings.Builder
	path, err := Build(t.Context(), &log, folder, "./app", filepath.Join(folder, "server.bin"))
	if err == nil || path != "" {
		t.Fatalf("got %q, %v, want an error", path, err)
	}
	if want := "building ./app for linux/arm64: exit status 1"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
	if !strings.Contains(log.String(), "undefined: part.Sing") {
		t.Errorf("the log lacks the compiler's error: %q", log.String())
	}
}
