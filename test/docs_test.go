package test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"stateless-servers/session/sessiontest/must"
)

var (
	testName     = regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9_]+)`")
	testFunction = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Za-z0-9_]+)\(`)
)

// Every test that docs/security.md names as a proof exists. A requirement without a proof has a dash.
func TestSecurityHasProofs(t *testing.T) {
	text := must.Get(os.ReadFile(filepath.Join(root, "docs", "security.md")))(t)
	tests := testFunctions(t)
	rows, proofs := 0, false // whether the table at hand has a column of them
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "| "), "|")
		proof := strings.TrimSpace(cells[len(cells)-1])
		switch {
		case !strings.HasPrefix(line, "|"):
			proofs = false
		case proof == "proof":
			proofs = true
		case proofs && !strings.HasPrefix(proof, "---"):
			rows++
			if !testName.MatchString(proof) && proof != "–" {
				t.Errorf("no proof: %s", line)
			}
		}
		for _, found := range testName.FindAllStringSubmatch(line, -1) {
			if !tests[found[1]] {
				t.Errorf("%s is named as a proof, but doesn't exist", found[1])
			}
		}
	}
	if rows < 40 {
		t.Errorf("the tables have %d rows with proofs", rows)
	}
}

// testFunctions returns the names of all tests of the repository.
func testFunctions(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (entry.Name() == "node_modules" || entry.Name() == ".build" || entry.Name() == ".git") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, found := range testFunction.FindAllStringSubmatch(string(text), -1) {
			names[found[1]] = true
		}
		return nil
	})
	must.Succeed(t, err)
	return names
}
