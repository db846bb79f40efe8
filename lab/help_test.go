package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"stateless-servers/session/sessiontest/must"
)

// The help of every command describes its purpose and exit status and has valid examples.
func TestHelpIsComplete(t *testing.T) {
	root := newCommand(nil)
	for _, c := range append(root.Commands(), root) {
		if strings.HasPrefix(c.Name(), "help") || c.Name() == "completion" {
			continue // cobra's own
		}
		t.Run(c.Name(), func(t *testing.T) {
			var help bytes.Buffer
			c.SetOut(&help)
			must.Succeed(t, c.Help())
			text := strings.Join(strings.Fields(help.String()), " ")
			for _, want := range []string{"exit status", "Examples:", "Usage:"} {
				if !strings.Contains(text, want) {
					t.Errorf("the help lacks %q", want)
				}
			}
			if c.Short == "" || len(c.Long) < 100 {
				t.Errorf("short %q, long %q: want both, and a long one of at least 100 bytes", c.Short, c.Long)
			}
			for line := range strings.Lines(c.Example) {
				checkExample(t, root, line)
			}
		})
	}
}

// The text of a flag shows its default in the syntax of the flag, and no type twice.
func TestFlagsReadWell(t *testing.T) {
	for _, test := range [][2]string{{"cost", "such as 50% (default 50%)"}, {"load", "requests per second: 200, or"}} {
		c, _, err := newCommand(nil).Find(test[:1])
		if err != nil {
			t.Fatal(err)
		}
		usage := c.Flags().FlagUsages()
		if !strings.Contains(usage, test[1]) || strings.Contains(usage, "requests: requests") {
			t.Errorf("the flags of %s lack %q:\n%s", test[0], test[1], usage)
		}
	}
}

// The workflow in docs/load.md has the form of GitHub Actions, and its lab commands exist.
func TestWorkflowForCI(t *testing.T) {
	page := must.Get(os.ReadFile("../docs/load.md"))(t)
	_, block, _ := strings.Cut(string(page), "```yaml\n")
	block, _, _ = strings.Cut(block, "```\n")
	var workflow struct {
		Name string
		On   any
		Jobs map[string]struct {
			RunsOn string `yaml:"runs-on"`
			Steps  []struct{ Name, Uses, Run, If, With any }
		}
	}
	must.Succeed(t, yaml.UnmarshalWithOptions([]byte(block), &workflow, yaml.Strict()))
	root, commands := newCommand(nil), 0
	for _, job := range workflow.Jobs {
		for _, step := range job.Steps {
			script, _ := step.Run.(string)
			for line := range strings.Lines(strings.ReplaceAll(script, "\\\n", " ")) {
				if command, ok := strings.CutPrefix(line, "go run ./lab "); ok {
					commands++
					checkExample(t, root, "lab "+strings.TrimRight(strings.TrimSpace(command), "&"))
				}
			}
		}
	}
	if commands != 2 || workflow.On == nil {
		t.Errorf("the workflow on %v has %d commands of the lab, want lab up and lab load", workflow.On, commands)
	}
}

// checkExample parses a line of an example as the program does, without running it.
func checkExample(t *testing.T, root *cobra.Command, line string) {
	t.Helper()
	line, _, _ = strings.Cut(line, " # ")
	words := strings.Fields(line)
	if len(words) == 0 || words[0] != "lab" {
		return // a command of another program
	}
	c, rest, err := root.Find(words[1:])
	if err == nil {
		err = c.ParseFlags(rest)
	}
	if err == nil && c.Args != nil {
		err = c.Args(c, c.Flags().Args())
	}
	if err != nil {
		t.Errorf("%s: %v", strings.TrimSpace(line), err)
	}
}

func TestVersion(t *testing.T) {
	status, stdout, stderr := lab(t, "--version")
	if status != 0 || !strings.HasPrefix(stdout, "lab version ") || !strings.HasSuffix(stdout, " "+runtime.Version()+"\n") {
		t.Errorf("status %d: %q %q", status, stdout, stderr)
	}
}

func TestShellCompletion(t *testing.T) {
	for _, test := range []struct{ line, want string }{
		{"up --store v", "valkey"},
		{"run server", "server-loss"},
		{"run so", "soak"},
		{"cost post", "postgres"},
		{"compare me", "memcached"},
		{"lo", "load"},
	} {
		var out bytes.Buffer
		if status := run(t.Context(), append([]string{"__complete"}, strings.Fields(test.line)...), &out, &out, nil); status != 0 {
			t.Errorf("%s: status %d", test.line, status)
		}
		if !strings.Contains(out.String(), test.want) {
			t.Errorf("lab %s: %q lacks %s", test.line, out.String(), test.want)
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		var out bytes.Buffer
		if status := run(t.Context(), []string{"completion", shell}, &out, &out, nil); status != 0 || out.Len() < 1000 {
			t.Errorf("completion for %s: status %d, %d bytes", shell, status, out.Len())
		}
	}
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Fatal("install bash: ", err)
	}
	path := filepath.Join(t.TempDir(), "completion")
	file, err := os.Create(path)
	must.Succeed(t, err)
	run(t.Context(), []string{"completion", "bash"}, file, file, nil)
	file.Close()
	if output, err := exec.Command(bash, "-n", path).CombinedOutput(); err != nil {
		t.Errorf("bash can't read it: %v\n%s", err, output)
	}
}
