package test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// The rooms of the house import each other one way only (CONTRIBUTING.md).
func TestArrows(t *testing.T) {
	const module = "stateless-servers/"
	tests := []struct {
		from  string
		never []string
	}{
		{"app", []string{"github.com/aws/aws-cdk-go", module + "lab", module + "stacks"}},
		{"lab", []string{"github.com/aws/aws-cdk-go", module + "stacks", module + "app/web"}},
		{"stacks", []string{module + "lab", module + "app/session", module + "app/web"}},
		{"app/session", []string{module}},
		{"app/login", []string{module + "app/config", module + "app/web", module + "lab"}},
		{"lab/cost", []string{module}},
		{"app/web", []string{module + "app/config", module + "app/session/"}},
	}
	for _, test := range tests {
		command := exec.Command("go", "list", "-deps", "./"+test.from)
		command.Dir = root
		output, err := command.Output()
		if err != nil {
			t.Fatalf("go list ./%s: %v", test.from, err)
		}
		for _, dependency := range strings.Fields(string(output)) {
			if dependency == module+test.from {
				continue
			}
			if slices.ContainsFunc(test.never, func(never string) bool { return strings.HasPrefix(dependency, never) }) {
				t.Errorf("%s reaches %s", test.from, dependency)
			}
		}
	}
}
