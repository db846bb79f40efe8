package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestReadmeIsUpToDate(t *testing.T) {
	old, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	next, err := replace(old)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(old, next) {
		t.Error("a table in README.md is out of date: run go generate ./test/matrix")
	}
}
