package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"stateless-servers/lab/experiment"
	"stateless-servers/session/sessiontest/must"
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
			line := must.Get(lines.ReadString('\n'))(t)
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

// Every line fits the terminal, and a continuation begins where the last column of its line does.
func TestLinesFitTheTerminal(t *testing.T) {
	user, program := terminalPair(t)
	const width = 30
	must.Succeed(t, unix.IoctlSetWinsize(int(program.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 20, Col: width}))
	for _, test := range []struct {
		writes []string
		want   string
	}{
		{[]string{"one line of thirty characters.\n"}, "one line of thirty characters.\n"},
		{[]string{"these words take more than one line"}, "these words take more than one\nline"},
		{[]string{"name   what the thing is, and why\n", "b\n"}, "name   what the thing is, and\n       why\nb\n"},
		{[]string{"  --flag text   a long usage", " in two writes"}, "  --flag text   a long usage\n                in two writes"},
		{[]string{"  indented words that take two lines"}, "  indented words that take two\n  lines"},
		{[]string{"a word_that_is_longer_than_the_terminal fits nowhere"}, "a\nword_that_is_longer_than_the_terminal\nfits nowhere"},
		{[]string{"éééééééééé éééééééééé éééééééé\n"}, "éééééééééé éééééééééé éééééééé\n"},
	} {
		out := &screen{w: program}
		for _, text := range test.writes {
			fmt.Fprint(out, text)
		}
		control(out, eraseLine)
		got := must.Get(bufio.NewReader(user).ReadString('K'))(t)
		if want := strings.ReplaceAll(test.want, "\n", "\r\n") + eraseLine; got != want {
			t.Errorf("%q:\ngot  %q\nwant %q", test.writes, got, want)
		}
	}
	for _, args := range [][]string{{"list"}, {"--help"}, {"up", "--help"}, {"compare", "--help"}} {
		read := make(chan string)
		go func() {
			text, _ := bufio.NewReader(user).ReadString('\x04')
			read <- text
		}()
		run(t.Context(), args, program, program, nil)
		program.WriteString("\x04")
		for text := range strings.Lines(<-read) {
			if text = strings.TrimRight(text, "\r\n"); len([]rune(text)) > width && strings.Contains(strings.TrimSpace(text), " ") {
				t.Errorf("lab %v: %q is wider than the terminal", args, text)
			}
		}
	}
}

// terminalPair returns the two ends of a new pseudo-terminal.
func terminalPair(t *testing.T) (user, program *os.File) {
	t.Helper()
	user, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	must.Succeed(t, err)
	t.Cleanup(func() { user.Close() })
	number, err := unix.IoctlGetInt(int(user.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(user.Fd()), unix.TIOCSPTLCK, 0)
	}
	must.Succeed(t, err)
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	must.Succeed(t, err)
	t.Cleanup(func() { program.Close() })
	return user, program
}
