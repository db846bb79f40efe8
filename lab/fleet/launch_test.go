package fleet

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stateless-servers/app/config"
	"stateless-servers/lab/balancer"
)

func TestLaunch(t *testing.T) {
	b := newBench(t, Options{})
	servers := b.launch(t, 4)
	seen := map[string]bool{}
	for i, s := range servers {
		if want := fmt.Sprintf("server-%d", i+1); s.Name != want {
			t.Errorf("%s, want %s", s.Name, want)
		}
		if want := string("abca"[i]); s.Zone != want {
			t.Errorf("%s in zone %s, want %s", s.Name, s.Zone, want)
		}
		if s.State != balancer.StateHealthy || s.PID == 0 || seen[s.Address] || !strings.HasPrefix(s.Address, "127.0.0.1:") {
			t.Errorf("%+v", s)
		}
		seen[s.Address] = true
		if want := fmt.Sprintf("%s added: %s, zone %s, process %d", s.Name, s.Address, s.Zone, s.PID); !b.reported(want) {
			t.Errorf("nothing reported like %q", want)
		}
	}
	want := map[string]int{"server-1": 2, "server-2": 2, "server-3": 2, "server-4": 2}
	if got := b.served(t, 8); !maps.Equal(got, want) {
		t.Errorf("served by %v, want %v", got, want)
	}
	for _, s := range b.Servers() {
		if s.Requests != 2 {
			t.Errorf("%+v, want 2 requests", s)
		}
	}
	added, err := b.Add(t.Context())
	if err != nil || added.Name != "server-5" || added.Zone != "b" {
		t.Errorf("added %+v, %v", added, err)
	}
	eventually(t, "what server-5 writes is in its log", func() bool {
		log, err := os.ReadFile(filepath.Join(b.options.LogDir, "server-5.log"))
		return err == nil && string(log) == "serving "+added.Address+"\n"
	})
}

func TestServersSeeNothingOfTheLabsEnvironment(t *testing.T) {
	t.Setenv("LAB_SECRET", "1")
	b := newBench(t, Options{})
	b.launch(t, 1)
	_, body := get(t, b.url+"/environment")
	lines := strings.Split(body, "\n")
	if len(lines) != 4 || strings.Contains(body, "LAB_SECRET") {
		t.Errorf("got %q, want name, zone and the two addresses", lines)
	}
}

func script(t *testing.T, lines string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+lines+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLaunchFails(t *testing.T) {
	tests := []struct {
		name, program, want string
		within              time.Duration
	}{
		{"ends at once", script(t, "echo first; echo no such store >&2; exit 3"), "server-1 ended: exit status 3: no such store", time.Minute},
		{"ends well", script(t, "exit 0"), "server-1 ended: exit status 0", time.Minute},
		{"never answers", script(t, "exec sleep 60"), "starting server-1: context deadline exceeded", 500 * time.Millisecond},
		{"is not there", filepath.Join(t.TempDir(), "nothing"), "starting server-1: ", time.Minute},
		{"always finds its port taken", script(t, "echo address already in use; exit 1"),
			"server-1 ended: exit status 1: address already in use", time.Minute},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t, Options{Program: test.program})
			ctx, cancel := context.WithTimeout(t.Context(), test.within)
			defer cancel()
			_, err := b.Add(ctx)
			if err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
			if names := b.names(); names != "" {
				t.Errorf("left: %s", names)
			}
		})
	}
}

func TestPortTakenOnceIsTriedAgain(t *testing.T) {
	marker := filepath.Join(t.TempDir(), "tried")
	b := newBench(t, Options{Program: script(t, fmt.Sprintf(
		"[ -e %[1]s ] && exec %[2]s; touch %[1]s; echo bind: address already in use; exit 1", marker, stub))})
	b.launch(t, 1)
	if _, err := os.Stat(marker); err != nil {
		t.Error(err)
	}
}

func TestOneOfSeveralFails(t *testing.T) {
	marker := filepath.Join(t.TempDir(), "first")
	b := newBench(t, Options{Program: script(t, fmt.Sprintf("mkdir %s 2>/dev/null && exit 1; exec %s", marker, stub))})
	if _, err := b.Launch(t.Context(), 3); err == nil || !strings.Contains(err.Error(), "ended: exit status 1") {
		t.Errorf("got %v", err)
	}
	if n := len(b.Servers()); n != 2 {
		t.Errorf("%d servers left, want 2", n)
	}
}

func TestConfigThatServersWouldRefuse(t *testing.T) {
	c := config.Default()
	c.Store, c.KeepAlive = config.StoreValkey, 0
	_, err := New(Options{Program: stub, Config: c})
	var problems config.Problems
	if !errors.As(err, &problems) || len(problems) != 2 {
		t.Errorf("got %v", err)
	}
}
