package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"stateless-servers/session/sessiontest/must"
)

func TestPagesAreUpToDate(t *testing.T) {
	pages := must.Get(generate())(t)
	for page, part := range pages {
		old, err := os.ReadFile(filepath.Join(root, page))
		must.Succeed(t, err)
		next, err := replace(old, part)
		if err != nil {
			t.Fatalf("%s: %v", page, err)
		}
		if !bytes.Equal(old, next) {
			t.Errorf("a table in %s is out of date: run go generate ./test/matrix", page)
		}
	}
}
