package test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"stateless-servers/session/sessiontest/must"
)

// The packages of the repository import each other in one direction only (CONTRIBUTING.md). The module of the session library
// can't import the rest, since its go.mod doesn't require it.
func TestArrows(t *testing.T) {
	const module, cdk, sdk = "stateless-servers/", "github.com/aws/aws-cdk-go", "github.com/aws/aws-sdk-go-v2"
	tests := []struct {
		from  string
		never []string
	}{
		{".", []string{module + "lab", module + "session", module + "app/web"}},
		{"./app", []string{cdk, module + "lab", module + "stacks"}},
		{"./lab", []string{cdk, module + "stacks", module + "app/web"}},
		{"./stacks", []string{module + "lab", module + "session", module + "app/web"}},
		{"./app/login", []string{module + "app/config", module + "app/web", module + "lab"}},
		{"./lab/cost", []string{module}},
		{"./app/web", []string{module + "app/config", module + "session/"}},
		{module + "session", []string{module + "session/", "github.com", "golang.org"}},
		{module + "session/valkey", []string{sdk}},
		{module + "session/otel", []string{module + "session/"}},
		{module + "session/dynamodb", []string{"github.com/aws/aws-dax-go"}},
	}
	command := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Deps " "}}`)
	for _, test := range tests {
		command.Args = append(command.Args, test.from)
	}
	command.Dir = root
	output, err := command.Output()
	lines := strings.Split(strings.TrimSpace(string(output)), "\n")
	if err != nil || len(lines) != len(tests) {
		t.Fatalf("%v: %v, %d packages", command, err, len(lines))
	}
	for i, test := range tests {
		self, dependencies, _ := strings.Cut(lines[i], " ")
		if !strings.HasSuffix(self, strings.TrimPrefix(test.from, ".")) {
			t.Fatalf("go list names %s, want %s", self, test.from)
		}
		for dependency := range strings.FieldsSeq(dependencies) {
			if slices.ContainsFunc(test.never, func(never string) bool {
				return strings.HasPrefix(dependency, never)
			}) {
				t.Errorf("%s imports %s", self, dependency)
			}
		}
	}
}

// Every package and every exported name has a doc comment.
func TestExportedNamesAreDocumented(t *testing.T) {
	packages, names := map[string]bool{}, 0
	for _, path := range walk(t, func(path string) bool {
		return strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go")
	}) {
		text := must.Get(os.ReadFile(path))(t)
		documented, exported, bare := comments(t, path, string(text))
		names += exported
		for _, name := range bare {
			t.Errorf("%s: %s has no comment", path, name)
		}
		folder := filepath.Dir(path)
		packages[folder] = packages[folder] || documented
	}
	for folder, documented := range packages {
		if !documented {
			t.Errorf("package %s has no comment", folder)
		}
	}
	if len(packages) < 40 || names < 300 {
		t.Errorf("only %d packages and %d exported names were seen", len(packages), names)
	}
}

func TestMissingCommentsAreSeen(t *testing.T) {
	const text = "package p\n\ntype T struct{}\n\nfunc (T) M() {}\n\nfunc (t) M() {}\n\nfunc F() {}\n\nvar V int\n\n" +
		"const (\n\tA = 1 // a\n\tB = 2\n)\n\n// G has one.\nfunc G() {}\n"
	documented, exported, bare := comments(t, "p.go", text)
	if want := []string{"T", "M", "F", "V", "B"}; documented || exported != 7 || !slices.Equal(bare, want) {
		t.Errorf("got %t, %d, %q, want %q", documented, exported, bare, want)
	}
}

// comments reports whether the package of a file has a comment, the number of exported names, and the names without a comment.
func comments(t *testing.T, path, text string) (documented bool, exported int, bare []string) {
	t.Helper()
	file := must.Get(parser.ParseFile(token.NewFileSet(), path, text, parser.ParseComments))(t)
	note := func(name *ast.Ident, comments ...*ast.CommentGroup) {
		if !name.IsExported() {
			return
		}
		exported++
		if !slices.ContainsFunc(comments, func(c *ast.CommentGroup) bool { return c.Text() != "" }) {
			bare = append(bare, name.Name)
		}
	}
	for _, declaration := range file.Decls {
		switch d := declaration.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil || ast.IsExported(receiver(d.Recv.List[0].Type)) {
				note(d.Name, d.Doc)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch s := spec.(type) {
				case *ast.TypeSpec:
					note(s.Name, d.Doc, s.Doc, s.Comment)
				case *ast.ValueSpec:
					for _, name := range s.Names {
						note(name, d.Doc, s.Doc, s.Comment)
					}
				}
			}
		}
	}
	return file.Doc.Text() != "", exported, bare
}

// receiver returns the name of a method's receiver type.
func receiver(of ast.Expr) string {
	switch of := of.(type) {
	case *ast.StarExpr:
		return receiver(of.X)
	case *ast.IndexExpr:
		return receiver(of.X)
	case *ast.IndexListExpr:
		return receiver(of.X)
	case *ast.Ident:
		return of.Name
	}
	return ""
}
