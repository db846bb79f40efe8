package test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"stateless-servers/session/sessiontest/must"
)

var quotedMessage = regexp.MustCompile("(?m)^### `(.+)`$")

// Every message that docs/troubleshooting.md explains exists in the programs.
func TestTroubleshootingQuotesRealMessages(t *testing.T) {
	page := must.Get(os.ReadFile(filepath.Join(root, "docs", "troubleshooting.md")))(t)
	literals := strings.Join(stringLiterals(t, "session", "app", "lab", "stacks"), "\x00")
	messages := quotedMessage.FindAllStringSubmatch(string(page), -1)
	for _, found := range messages {
		message := strings.TrimSuffix(found[1], " …")
		if !strings.Contains(literals, message) {
			t.Errorf("no program writes %q any longer", found[1])
		}
	}
	if len(messages) < 25 {
		t.Errorf("the page has %d messages", len(messages))
	}
}

// stringLiterals returns the string constants in the sources of the programs, with concatenations evaluated.
func stringLiterals(t *testing.T, folders ...string) []string {
	t.Helper()
	var list []string
	for _, folder := range folders {
		err := filepath.WalkDir(filepath.Join(root, folder), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				expression, ok := n.(ast.Expr)
				if !ok {
					return true
				}
				text, ok := joined(expression)
				if ok {
					list = append(list, text)
				}
				return !ok
			})
			return nil
		})
		must.Succeed(t, err)
	}
	return list
}

// joined returns the value of a string literal or of a concatenation of literals.
func joined(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind != token.STRING {
			return "", false
		}
		text, err := strconv.Unquote(e.Value)
		return text, err == nil
	case *ast.BinaryExpr:
		left, ok := joined(e.X)
		right, also := joined(e.Y)
		return left + right, ok && also && e.Op == token.ADD
	}
	return "", false
}
