package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"stateless-servers/lab/experiment"
)

// Colours are used on terminals unless NO_COLOR is set; see no-color.org.
func TestColours(t *testing.T) {
	user, program := terminalPair(t)
	lines := bufio.NewReader(user)
	for _, test := range []struct {
		noColour, kind string
		want           bool
	}{{"", "xterm", true}, {"1", "xterm", false}, {"", "dumb", false}} {
		t.Setenv("NO_COLOR", test.noColour)
		t.Setenv("TERM", test.kind)
		out := &screen{w: program}
		s := summary{out, colours(out)}
		s.observed(experiment.Observation{Name: "holds", Verdict: experiment.Holds})
		s.observed(experiment.Observation{Name: "fails", Verdict: experiment.DoesNotHold})
		for range 2 {
			line, err := lines.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Contains(line, "\x1b"); got != test.want {
				t.Errorf("NO_COLOR=%q TERM=%s: colours %v, want %v: %q", test.noColour, test.kind, got, test.want, line)
			}
		}
	}
	t.Setenv("NO_COLOR", "")
	t.Setenv("TERM", "xterm")
	if file, err := os.Create(t.TempDir() + "/file"); err != nil || colours(file) {
		t.Errorf("colours in a file, %v", err)
	}
}

// terminalPair returns the two ends of a new pseudo-terminal.
func terminalPair(t *testing.T) (user, program *os.File) {
	t.Helper()
	user, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { user.Close() })
	number, err := unix.IoctlGetInt(int(user.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(user.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	return user, program
}
