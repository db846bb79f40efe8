package deploy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"stateless-servers/session/sessiontest/must"
)

// startEmulator starts MiniStack, with the resource types that it lacks (emulator/resources.py), on a free loopback port until the
// test ends. The test logs the resources that the emulator only pretends to have. The emulator also ends when its standard input
// is closed, so that it does not outlive a killed test.
func startEmulator(ctx context.Context, t *testing.T) (endpoint string) {
	t.Helper()
	port := freePort(t)
	folder := t.TempDir()
	output := must.Get(os.Create(filepath.Join(folder, "log")))(t)
	defer output.Close()
	repository := must.Get(filepath.Abs(root))(t)
	emulator := exec.Command(filepath.Join(repository, ".build", "emulator", "bin", "python"), "-B",
		filepath.Join(repository, "test", "deploy", "emulator", "emulator.py"))
	emulator.Dir = folder
	emulator.Env = append(cleanEnvironment(), "BIND_HOST=127.0.0.1", "GATEWAY_PORT="+strconv.Itoa(port),
		"IOT_MTLS_ENABLED=0", "PYTHONUNBUFFERED=1", "TMPDIR="+folder)
	emulator.Stdout, emulator.Stderr = output, output
	emulator.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // on Ctrl-C the test ends it
	stdin := must.Get(emulator.StdinPipe())(t)
	if err := emulator.Start(); err != nil {
		t.Fatalf("starting the emulator: %v; make test-deploy installs it", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- emulator.Wait() }()
	t.Cleanup(func() {
		_ = stdin.Close()
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			_ = emulator.Process.Kill()
			<-ended
		}
		if t.Failed() {
			logTail(t, output.Name())
		}
	})

	endpoint = "http://127.0.0.1:" + strconv.Itoa(port)
	for deadline := time.Now().Add(90 * time.Second); ; {
		if response, err := http.Get(endpoint + "/_ministack/health"); err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				break
			}
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("the emulator ended while starting: %v", err)
		case <-ctx.Done():
			t.Fatal("interrupted")
		case <-time.After(200 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatal("the emulator does not respond after 90 s")
		}
	}
	logPretended(t, output.Name())
	return endpoint
}

// logPretended logs which resources the emulator only pretends to have.
func logPretended(t *testing.T, path string) {
	t.Helper()
	file := must.Get(os.Open(path))(t)
	defer file.Close()
	found := false
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if what, ok := strings.CutPrefix(lines.Text(), "pretended: "); ok {
			found = true
			t.Log("the emulator only pretends: " + what)
		}
	}
	if !found {
		t.Fatal("the emulator's log has no line about pretended resources")
	}
}

// logTail logs the end of the log of an emulator that failed.
func logTail(t *testing.T, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Log(err)
		return
	}
	t.Logf("the end of the emulator's log:\n%s", text[max(0, len(text)-4000):])
}

// freePort returns a port for the emulator, which can't listen on a port of the kernel's choice. freePort leaves a
// connection of the port in TIME_WAIT: for about a minute the kernel gives the port only to a server that names it.
func freePort(t *testing.T) int {
	t.Helper()
	listener := must.Get(net.Listen("tcp4", "127.0.0.1:0"))(t)
	defer listener.Close()
	client := must.Get(net.Dial("tcp4", listener.Addr().String()))(t)
	defer client.Close()
	accepted := must.Get(listener.Accept())(t)
	// TIME_WAIT is on the side that closes first.
	must.Succeed(t, accepted.Close())
	if _, err := client.Read(make([]byte, 1)); err != io.EOF {
		t.Fatal(err)
	}
	return listener.Addr().(*net.TCPAddr).Port
}

// cleanEnvironment returns the environment without variables that name a real AWS account.
func cleanEnvironment() []string {
	var kept []string
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		if !strings.HasPrefix(name, "AWS_") && !strings.HasPrefix(name, "CDK_") {
			kept = append(kept, variable)
		}
	}
	return kept
}

// seconds formats a duration in seconds.
func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }
