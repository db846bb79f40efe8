package fleet

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stateless-servers/session/sessiontest/must"
)

// module makes a module called path with the source of ./app, and changes into a folder of it.
func module(t *testing.T, path, source string) (root string) {
	t.Helper()
	root = t.TempDir()
	for name, content := range map[string]string{
		"go.mod": "module " + path + "\n\ngo 1.26\n", "app/main.go": source, "some/where/file": "",
	} {
		name = filepath.Join(root, name)
		must.Succeed(t, os.MkdirAll(filepath.Dir(name), 0o755))
		must.Succeed(t, os.WriteFile(name, []byte(content), 0o600))
	}
	t.Chdir(filepath.Join(root, "some", "where"))
	return root
}

func TestBuild(t *testing.T) {
	root := module(t, "stateless-servers", "package main\n\nfunc main() {}\n")
	program := must.Get(Build(t.Context()))(t)
	if filepath.Dir(filepath.Dir(program)) != root {
		t.Errorf("%s is not in %s/.build", program, root)
	}
	before := must.Get(os.Stat(program))(t)
	must.Get(Build(t.Context()))(t)
	if after, err := os.Stat(program); err != nil || !os.SameFile(before, after) {
		t.Errorf("the program was up to date, but was written again: %v", err)
	}
}

func TestBuildFails(t *testing.T) {
	tests := []struct{ name, module, source, want string }{
		{"does not compile", "stateless-servers", "package main\n\nfunc main() { undefined() }\n",
			"the server does not build: app/main.go:3:15: undefined: undefined (for all errors: go build ./app)"},
		{"another module", "elsewhere", "package main\n\nfunc main() {}\n", "is not in the repository"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			module(t, test.module, test.source)
			_, err := Build(t.Context())
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}
