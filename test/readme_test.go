package test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"stateless-servers/session/sessiontest/must"
)

var (
	goBlock    = regexp.MustCompile("(?s)\n```go\n(package main\n.*?)```\n")
	labExample = regexp.MustCompile(`(?m)^go run \./lab ([a-z]+)(.*)$`)
	longFlag   = regexp.MustCompile(`--[a-z-]+[a-z]`)

	fence     = regexp.MustCompile("(?ms)^ *```.*?^ *```$")
	pageLink  = regexp.MustCompile(`\]\(([^)\s]+)\)|(?:src|srcset|href)="([^"]+)"`)
	heading   = regexp.MustCompile(`(?m)^#{1,6} (.+)$`)
	linkText  = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
	notAnchor = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// The programs in the pages compile.
func TestProgramsOfPagesBuild(t *testing.T) {
	absolute := must.Get(filepath.Abs(root))(t)
	var programs [][]string
	for _, page := range pages(t) {
		programs = append(programs, goBlock.FindAllStringSubmatch(readPage(t, page), -1)...)
	}
	if len(programs) < 2 {
		t.Fatalf("the pages have %d programs", len(programs))
	}
	dir := t.TempDir()
	replace := map[string]string{}
	var packages []string
	for i, program := range programs {
		name := fmt.Sprintf("program%d", i)
		file := filepath.Join(dir, name+".go")
		must.Succeed(t, os.WriteFile(file, []byte(program[1]), 0o644))
		replace[filepath.Join(absolute, name, "main.go")] = file
		packages = append(packages, "./"+name)
	}
	description := must.Get(json.Marshal(map[string]any{"Replace": replace}))(t)
	overlay := filepath.Join(dir, "overlay.json")
	must.Succeed(t, os.WriteFile(overlay, description, 0o644))
	goCommand(t, append([]string{"build", "-overlay", overlay}, packages...)...) // several programs are compiled, but not linked
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

// Links between pages point to existing files and headings, links elsewhere to HTTPS addresses.
func TestLinksOfPages(t *testing.T) {
	files, headings, elsewhere := 0, 0, 0
	anchorsOf := map[string][]string{}
	for _, path := range walk(t, func(path string) bool { return filepath.Ext(path) == ".md" && !strings.Contains(path, "testdata") }) {
		page := must.Get(filepath.Rel(root, path))(t)
		for _, found := range pageLink.FindAllStringSubmatch(fence.ReplaceAllString(readPage(t, page), ""), -1) {
			link := found[1] + found[2]
			if strings.Contains(link, ":") {
				elsewhere++
				if address, err := url.Parse(link); err != nil || address.Host == "" || address.Scheme != "https" {
					t.Errorf("%s: %q is no HTTPS address: %v", page, link, err)
				}
				continue
			}
			file, anchor, hasAnchor := strings.Cut(link, "#")
			target := filepath.Join(filepath.Dir(page), file)
			if file == "" {
				target = page
			}
			files++
			if _, err := os.Stat(filepath.Join(root, target)); err != nil {
				t.Errorf("%s: %v", page, err)
			} else if hasAnchor {
				headings++
				if anchorsOf[target] == nil {
					anchorsOf[target] = anchors(readPage(t, target))
				}
				if !slices.Contains(anchorsOf[target], anchor) {
					t.Errorf("%s: %s has no heading for %q", page, target, link)
				}
			}
		}
	}
	t.Logf("%d links to files, %d of them to headings, and %d to other sites", files, headings, elsewhere)
	if files < 200 || headings < 40 || elsewhere < 40 {
		t.Error("too few links were seen")
	}
}

// anchors returns the anchors that GitHub gives to the headings of a page.
func anchors(page string) []string {
	var list []string
	for _, found := range heading.FindAllStringSubmatch(fence.ReplaceAllString(page, ""), -1) {
		text := strings.ToLower(linkText.ReplaceAllString(found[1], "$1"))
		anchor := strings.ReplaceAll(notAnchor.ReplaceAllString(text, ""), " ", "-")
		for i, first := 1, anchor; slices.Contains(list, anchor); i++ {
			anchor = fmt.Sprintf("%s-%d", first, i)
		}
		list = append(list, anchor)
	}
	return list
}

// pages returns the pages for readers, relative to the folder of the module.
func pages(t *testing.T) []string {
	t.Helper()
	docs := must.Get(filepath.Glob(filepath.Join(root, "docs", "*.md")))(t)
	list := []string{"README.md", "CONTRIBUTING.md"}
	for _, path := range docs {
		list = append(list, filepath.Join("docs", filepath.Base(path)))
	}
	return list
}

func readPage(t *testing.T, page string) string {
	t.Helper()
	text := must.Get(os.ReadFile(filepath.Join(root, page)))(t)
	return string(text)
}
