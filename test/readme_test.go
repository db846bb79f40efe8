package test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	goBlock    = regexp.MustCompile("(?s)\n```go\n(package main\n.*?)```\n")
	labExample = regexp.MustCompile(`(?m)^go run \./lab ([a-z]+)(.*)$`)
	longFlag   = regexp.MustCompile(`--[a-z-]+[a-z]`)
	pageLink   = regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
)

// The programs in the README compile.
func TestReadmeProgramsBuild(t *testing.T) {
	absolute, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	programs := goBlock.FindAllStringSubmatch(readPage(t, "README.md"), -1)
	if len(programs) < 2 {
		t.Fatalf("the README has %d programs", len(programs))
	}
	dir := t.TempDir()
	replace := map[string]string{}
	var packages []string
	for i, program := range programs {
		name := fmt.Sprintf("readme%d", i)
		file := filepath.Join(dir, name+".go")
		if err := os.WriteFile(file, []byte(program[1]), 0o644); err != nil {
			t.Fatal(err)
		}
		replace[filepath.Join(absolute, name, "main.go")] = file
		packages = append(packages, "./"+name)
	}
	description, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	overlay := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlay, description, 0o644); err != nil {
		t.Fatal(err)
	}
	goCommand(t, append([]string{"build", "-overlay", overlay, "-o", dir + "/"}, packages...)...)
}

// The commands and flags of the lab that the pages mention exist.
func TestPagesNameRealCommands(t *testing.T) {
	program := labProgram(t)
	helps, seen := map[string]string{}, 0
	for _, page := range pages(t) {
		for _, found := range labExample.FindAllStringSubmatch(readPage(t, page), -1) {
			command, rest := found[1], found[2]
			if helps[command] == "" {
				help, err := exec.CommandContext(t.Context(), program, command, "--help").CombinedOutput()
				if err != nil {
					t.Errorf("%s: go run ./lab %s: %v", page, command, err)
				}
				helps[command] = string(help)
			}
			rest, _, _ = strings.Cut(rest, " #")
			for _, flag := range longFlag.FindAllString(rest, -1) {
				seen++
				if !strings.Contains(helps[command], flag) {
					t.Errorf("%s: lab %s has no %s", page, command, flag)
				}
			}
		}
	}
	if seen < 20 {
		t.Errorf("the pages show %d flags", seen)
	}
}

// Links between pages point to existing files.
func TestPagesLinkToWhatExists(t *testing.T) {
	for _, page := range pages(t) {
		for _, found := range pageLink.FindAllStringSubmatch(readPage(t, page), -1) {
			if _, err := os.Stat(filepath.Join(root, filepath.Dir(page), found[1])); err != nil {
				t.Errorf("%s: %v", page, err)
			}
		}
	}
}

// pages returns the pages for readers, relative to the folder of the module.
func pages(t *testing.T) []string {
	t.Helper()
	docs, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	list := []string{"README.md", "CONTRIBUTING.md"}
	for _, path := range docs {
		list = append(list, filepath.Join("docs", filepath.Base(path)))
	}
	return list
}

func readPage(t *testing.T, page string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, page))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
