package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestPagesAreUpToDate(t *testing.T) {
	pages, err := generate()
	if err != nil {
		t.Fatal(err)
	}
	for page, part := range pages {
		old, err := os.ReadFile(filepath.Join(root, page))
		if err != nil {
			t.Fatal(err)
		}
		next, err := replace(old, part)
		if err != nil {
			t.Fatalf("%s: %v", page, err)
		}
		if !bytes.Equal(old, next) {
			t.Errorf("a table in %s is out of date: run go generate ./test/matrix", page)
		}
	}
}
