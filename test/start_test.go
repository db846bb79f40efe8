package test

import (
	"errors"
	"net"
	"os/exec"
	"strings"
	"testing"

	"stateless-servers/session/sessiontest/must"
)

// A start that fails ends with one line and a non-zero exit status, and leaves no process.
func TestStartsThatFail(t *testing.T) {
	program := labProgram(t)
	taken := must.Get(net.Listen("tcp", "127.0.0.1:0"))(t)
	defer taken.Close()
	tests := []struct {
		name string
		args []string
		want []string
	}{
		{"unknown store", []string{"--store", "nosuch"}, []string{"--store", "nosuch", "valkey"}},
		{"unknown flag", []string{"--sotre", "valkey"}, []string{"--sotre"}},
		{"no servers", []string{"--servers", "0"}, []string{"--servers", "0"}},
		{"a word where a number belongs", []string{"--servers", "many"}, []string{"--servers", "many"}},
		{"port in use", []string{"--store", "memory", "--addr", taken.Addr().String()}, []string{taken.Addr().String(), "listens there"}},
		{"no store there", []string{"--store-addr", nobody}, []string{nobody}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			args := []string{"up", "--no-browser"}
			if test.name != "port in use" {
				args = append(args, "--addr", anyPort)
			}
			command := exec.Command(program, append(args, test.args...)...)
			command.Dir = root
			var stderr strings.Builder
			command.Stderr = &stderr
			err := command.Run()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() <= 0 {
				t.Errorf("it ended with %v", err)
			}
			said := strings.TrimSpace(stderr.String())
			for _, want := range test.want {
				if !strings.Contains(said, want) {
					t.Errorf("%q lacks %q", said, want)
				}
			}
			if strings.Contains(said, "\n") || strings.Contains(said, "goroutine") {
				t.Errorf("more than one line:\n%s", said)
			}
		})
	}
}
