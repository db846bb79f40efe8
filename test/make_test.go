package test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"stateless-servers/session/sessiontest"
	"stateless-servers/session/sessiontest/must"
)

// Every target that checks code covers every module.
func TestTargetsCoverEveryModule(t *testing.T) {
	modules := walk(t, func(path string) bool { return filepath.Base(path) == "go.mod" })
	if len(modules) < 3 {
		t.Fatalf("only %q were found", modules)
	}
	for _, target := range []string{"lint", "unit-tests", "gosec", "audit", "bench"} {
		commands := makeCommand(t, "-n", target)
		var covered []string
		for line := range strings.Lines(commands) {
			if rest, ok := strings.CutPrefix(strings.TrimLeft(line, "("), "for module in "); ok {
				list, _, _ := strings.Cut(rest, ";")
				covered = strings.Fields(list)
			}
			if module, _, ok := strings.Cut(strings.TrimPrefix(line, "cd "), " && packages=$(go list ./...) "); ok {
				covered = append(covered, module)
			}
		}
		for _, path := range modules {
			if module := relative(t, filepath.Dir(path)); !slices.Contains(covered, module) {
				t.Errorf("make %s covers %q, but not %s", target, covered, module)
			}
		}
	}
}

// make fuzz finds every fuzz target of every module.
func TestFuzzTargetsAreFound(t *testing.T) {
	var want []string
	for _, path := range walk(t, func(path string) bool { return strings.HasSuffix(path, "_test.go") }) {
		file := must.Get(parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution))(t)
		for _, declaration := range file.Decls {
			if f, ok := declaration.(*ast.FuncDecl); ok && strings.HasPrefix(f.Name.Name, "Fuzz") {
				want = append(want, relative(t, filepath.Dir(path))+" "+f.Name.Name)
			}
		}
	}
	slices.Sort(want)
	got := strings.Split(strings.TrimSpace(makeCommand(t, "-s", "fuzz-targets")), "\n")
	slices.Sort(got)
	if !slices.Equal(got, want) || len(want) == 0 {
		t.Errorf("make fuzz runs %q, want %q", got, want)
	}
}

// make fuzz fails in a tree without fuzz targets.
func TestFuzzWithoutTargetsFails(t *testing.T) {
	command := exec.CommandContext(t.Context(), "make", "-s", "-f", filepath.Join(absolute(t, root), "Makefile"), "fuzz")
	command.Dir = t.TempDir()
	output, err := command.CombinedOutput()
	if err == nil || !strings.Contains(string(output), "make fuzz found no target") {
		t.Errorf("got %v, %s", err, output)
	}
}

// make module renames the modules of a fork. The fork builds, and so does another program that uses
// its session library with Valkey, for which nothing of the AWS SDK is compiled.
func TestForkHasItsOwnModules(t *testing.T) {
	sessiontest.Long(t)
	const fork = "example.com/fork"
	dir := t.TempDir()
	for _, path := range walk(t, func(string) bool { return true }) {
		copied := filepath.Join(dir, relative(t, path))
		must.Succeed(t, os.MkdirAll(filepath.Dir(copied), 0o755))
		content := must.Get(os.ReadFile(path))(t)
		must.Succeed(t, os.WriteFile(copied, content, 0o644))
	}
	in := func(dir, name string, args ...string) string {
		command := exec.CommandContext(t.Context(), name, args...)
		command.Dir = dir
		output, err := command.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, output)
		}
		return string(output)
	}
	in(dir, "make", "module", "MODULE="+fork)
	in(dir, "go", "build", "-o", os.DevNull, "./app", "./lab")
	in(dir, "go", "vet", "./stacks", "./test/...", fork+"/session/...")
	in(filepath.Join(dir, "test", "bench"), "go", "vet", "./...")

	stranger := filepath.Join(dir, ".stranger")
	must.Succeed(t, os.Mkdir(stranger, 0o755))
	for name, text := range map[string]string{
		"go.mod": "module example.com/stranger\n\ngo 1.26.0\n\nrequire " + fork + "/session v0.0.0\n\nreplace " + fork +
			"/session => ../session\n",
		"main.go": `package main

import (
	"fmt"
	"net/http"

	"` + fork + `/session"
	"` + fork + `/session/valkey"
)

func main() {
	store := valkey.New(valkey.Options{Address: "127.0.0.1:6379"})
	manager, err := session.New(store, session.Options{})
	if err != nil {
		panic(err)
	}
	fmt.Println(manager.Promises().Name, manager.Handler(http.NotFoundHandler()) != nil)
}
`,
	} {
		must.Succeed(t, os.WriteFile(filepath.Join(stranger, name), []byte(text), 0o644))
	}
	in(stranger, "go", "mod", "tidy")
	if got := in(stranger, "go", "run", "."); got != "valkey true\n" {
		t.Errorf("the other program printed %q", got)
	}
	const most = 45
	if modules := strings.Fields(in(stranger, "go", "list", "-m", "-f", "{{.Path}}", "all")); len(modules) > most {
		t.Errorf("the other program has %d modules, want at most %d: %q", len(modules), most, modules)
	}
	if packages := in(stranger, "go", "list", "-deps", "."); strings.Contains(packages, "github.com/aws/") {
		t.Errorf("the other program compiles packages of AWS:\n%s", packages)
	}
}

// make module with an invalid path changes nothing.
func TestForkWithABadName(t *testing.T) {
	dir := t.TempDir()
	makefile := filepath.Join(absolute(t, root), "Makefile")
	const text = "module stateless-servers\n"
	must.Succeed(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte(text), 0o644))
	for _, name := range []string{"", "two words", "-x", "example.com//fork"} {
		command := exec.CommandContext(t.Context(), "make", "-s", "-f", makefile, "module", "MODULE="+name)
		command.Dir = dir
		output, err := command.CombinedOutput()
		if content, _ := os.ReadFile(filepath.Join(dir, "go.mod")); err == nil || string(content) != text {
			t.Errorf("MODULE=%q: got %v, %s; go.mod is %q", name, err, output, content)
		}
	}
}

// makeCommand runs make in the root of the repository and returns what it prints.
func makeCommand(t *testing.T, args ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), "make", args...)
	command.Dir = root
	output, err := command.Output()
	if err != nil {
		t.Fatalf("make %s: %v", strings.Join(args, " "), err)
	}
	return string(output)
}

// walk returns the files of the repository that keep accepts, except in hidden folders and node_modules.
func walk(t *testing.T, keep func(path string) bool) []string {
	t.Helper()
	var paths []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != root && (entry.Name() == "node_modules" || strings.HasPrefix(entry.Name(), ".")):
			return filepath.SkipDir
		case entry.Type().IsRegular() && keep(path):
			paths = append(paths, path)
		}
		return nil
	})
	must.Succeed(t, err)
	return paths
}

// relative returns the path relative to the root of the repository, as make and find write it: "." or "./path".
func relative(t *testing.T, path string) string {
	t.Helper()
	name := must.Get(filepath.Rel(root, path))(t)
	if name == "." {
		return name
	}
	return "./" + filepath.ToSlash(name)
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	path = must.Get(filepath.Abs(path))(t)
	return path
}
