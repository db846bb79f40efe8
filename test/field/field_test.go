package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stateless-servers/session/sessiontest/must"
)

const root = "../.."

func TestPageIsThatOfTheResults(t *testing.T) {
	want := must.Get(page(root))(t)
	got := must.Get(os.ReadFile(filepath.Join(root, "docs", "field.md")))(t)
	if !bytes.Equal(got, want) {
		t.Error("docs/field.md differs from the results; go run ./test/field -page writes it")
	}
}

func TestEveryConfigurationHasAResult(t *testing.T) {
	for _, r := range rows() {
		res, err := r.read(root)
		if err != nil {
			t.Error(err)
			continue
		}
		orders, faults := 0, 0
		for _, s := range res.Scenarios {
			orders, faults = orders+s.Orders.Explored, faults+s.Faults.Explored
			for _, f := range s.Findings {
				if _, err := os.Stat(filepath.Join(root, "docs", "field", r.diagram(f.Promise))); err != nil {
					t.Errorf("a finding without a diagram: %v", err)
				}
			}
		}
		if len(res.Scenarios) != 14 || orders == 0 || faults == 0 || len(res.Hanging) != 4 || len(res.CPU) != 2 {
			t.Errorf("%s: %d scenarios, %d orders, %d failures, %d requests while the store hangs, %d CPU times; want 14, some, some, 4 and 2",
				r.name(), len(res.Scenarios), orders, faults, len(res.Hanging), len(res.CPU))
		}
	}
}

// The README of a peer explains every promise that its configurations break.
func TestEveryBrokenPromiseIsExplained(t *testing.T) {
	for _, r := range rows() {
		res := must.Get(r.read(root))(t)
		p := must.Get(readPeer(root, r.peer()))(t)
		explained := strings.ToLower(strings.Join(strings.Fields(p.About), " "))
		for _, s := range res.Scenarios {
			for _, f := range s.Findings {
				if p.Folder == "" {
					t.Errorf("%s breaks a promise: %s, %s", r.name(), s.Name, f.Sentence)
				} else if !strings.Contains(explained, string(f.Promise)) {
					t.Errorf("peers/%s/README.md does not explain %q, which %s breaks with %s: %s", p.Folder, f.Promise, r.name(), s.Name, f.Schedule)
				}
			}
		}
	}
}

// A configuration that can't be built is named, and the page keeps its last result.
func TestConfigurationThatCantBeBuiltIsNamed(t *testing.T) {
	folder := t.TempDir()
	for _, file := range []string{"peers/scs/README.md", "docs/field/scs.json"} {
		text := must.Get(os.ReadFile(filepath.Join(root, file)))(t)
		writeFile(t, filepath.Join(folder, file), text)
	}
	writeFile(t, filepath.Join(folder, "peers/scs/scenario.yaml"), []byte("build: echo no such registry >&2; exit 3\nserver: ./server\nstore: valkey\n"))
	var out bytes.Buffer
	err := run(t.Context(), options{root: folder, only: "scs"}, &out)
	if err == nil || !strings.Contains(err.Error(), "scs was not explored") || !strings.Contains(out.String(), "no such registry") {
		t.Errorf("the error is %v and the output %q; want the configuration and the reason", err, out.String())
	}
	written, err := os.ReadFile(filepath.Join(folder, "docs/field.md"))
	if err != nil || !strings.Contains(string(written), "| [scs](#") {
		t.Errorf("the page has no line of scs: %v", err)
	}
}

func TestUnknownConfigurationIsRefused(t *testing.T) {
	err := run(t.Context(), options{root: root, only: "rails"}, io.Discard)
	if err == nil || !strings.Contains(err.Error(), `-only="rails"`) || !strings.Contains(err.Error(), "php-locking") {
		t.Errorf("the error is %v; want the value and the names that are allowed", err)
	}
}

func writeFile(t *testing.T, path string, text []byte) {
	t.Helper()
	must.Succeed(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must.Succeed(t, os.WriteFile(path, text, 0o644))
}
