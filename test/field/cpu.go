package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"stateless-servers/lab/explore"
	"stateless-servers/session/sessiontest"
)

// A cpuTime is the CPU time of a server for a request, in user mode and in the kernel, with all its processes: php-fpm and nginx,
// for example. The store's is not in it.
type cpuTime struct {
	Request string  `json:"request"`
	Millis  float64 `json:"ms"`
}

const (
	// warmUps is the number of requests before the measurement, in which just-in-time compilers do most of their work.
	warmUps = 1500
	// measured is the number of requests that are measured. The kernel counts in ticks of 10 ms.
	measured = 1500
	// ticksPerSecond is the unit of /proc/PID/stat, USER_HZ, on every platform that Go supports.
	ticksPerSecond = 100
)

// measureCPU sends one request after another to a single server on a connection that is kept alive. Only Linux says how much
// CPU time processes have used; elsewhere the result is empty.
func measureCPU(ctx context.Context, t explore.Target) (list []cpuTime, err error) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		return nil, nil
	}
	url, server, err := t.Start("measured server", t.StoreAddr)
	if err != nil {
		return nil, err
	}
	defer server.Kill()
	visitor := sessiontest.NewClient()
	send := func(r explore.Request) error {
		response, err := visitor.Do(ctx, r.Method, url+r.Path, r.Form)
		if err == nil && response.StatusCode != 200 {
			err = fmt.Errorf("measuring CPU: %s %s answers %d", r.Method, r.Path, response.StatusCode)
		}
		return err
	}
	if err := awaitReady(ctx, func() error { return send(explore.Request{Method: "GET", Path: t.Ready}) }); err != nil {
		return nil, err
	}
	visits, err := t.Scenario("visits")
	if err != nil {
		return nil, err
	}
	for _, r := range []explore.Request{visits[0], t.State} {
		used := 0
		for i := range warmUps + measured {
			if i == warmUps {
				if used, err = treeTicks(server.Pid()); err != nil {
					return nil, err
				}
			}
			if err := send(r); err != nil {
				return nil, err
			}
		}
		now, err := treeTicks(server.Pid())
		if err != nil {
			return nil, err
		}
		millis := float64(now-used) * 1000 / ticksPerSecond / measured
		list = append(list, cpuTime{r.Method + " " + r.Path, math.Round(millis*100) / 100})
	}
	return list, nil
}

// awaitReady waits for the server for at most a minute.
func awaitReady(ctx context.Context, ask func() error) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := ask()
		if err == nil {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("the server to measure doesn't get ready: %w", err)
		}
	}
}

// treeTicks returns the CPU time of a process and of its descendants that run, in ticks.
func treeTicks(root int) (ticks int, err error) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	children, used := map[int][]int{}, map[int]int{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // the process has ended
		}
		// The second field is the program's name in parentheses, which may have spaces. proc_pid_stat(5) numbers the fields.
		id, rest, _ := strings.Cut(string(text), " ")
		_, rest, _ = strings.Cut(rest, ") ")
		fields := strings.Fields(rest)
		const first, parent, user, system = 3, 4, 14, 15
		if len(fields) <= system-first {
			continue
		}
		var numbers []int
		for _, text := range []string{id, fields[parent-first], fields[user-first], fields[system-first]} {
			n, err := strconv.Atoi(text)
			if err != nil {
				return 0, fmt.Errorf("%s: %w", file, err)
			}
			numbers = append(numbers, n)
		}
		children[numbers[1]] = append(children[numbers[1]], numbers[0])
		used[numbers[0]] = numbers[2] + numbers[3]
	}
	for tree := []int{root}; len(tree) > 0; {
		ticks += used[tree[0]]
		tree = append(tree[1:], children[tree[0]]...)
	}
	return ticks, nil
}
