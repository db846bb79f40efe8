package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
	"golang.org/x/sys/unix"

	"stateless-servers/lab/load"
	"stateless-servers/session/sessiontest/process"
)

const (
	sessions       = 100
	requestTimeout = 10 * time.Second // shorter than the default of vegeta and equal to that of lab load
	exitTimeout    = 30 * time.Second // after the last request, lab load checks every session once more
)

// senders returns the compared programs. The first is the reference.
func (f *fleet) senders(ctx context.Context) ([]sender, error) {
	targets, err := f.targets(ctx)
	if err != nil {
		return nil, err
	}
	attack := func(paced func(vegeta.Pacer) vegeta.Pacer) func(context.Context, int, time.Duration) (outcome, error) {
		return func(ctx context.Context, rate int, length time.Duration) (outcome, error) {
			return sendByVegeta(ctx, targets, paced(vegeta.ConstantPacer{Freq: rate, Per: time.Second}), length)
		}
	}
	return []sender{
		{"vegeta", attack(func(p vegeta.Pacer) vegeta.Pacer { return p })},
		{"vegeta, each request sent when it is due", attack(func(p vegeta.Pacer) vegeta.Pacer { return whenDue{p} })},
		{"lab load, all checks on", f.sendByLab},
	}, nil
}

// whenDue is a Pacer that waits itself, with select(2). Vegeta waits with time.Sleep, which on Linux has a resolution of a
// millisecond, and then sends all requests that have become due at once.
type whenDue struct{ vegeta.Pacer }

func (p whenDue) Pace(elapsed time.Duration, hits uint64) (time.Duration, bool) {
	wait, stop := p.Pacer.Pace(elapsed, hits)
	if !stop && wait > 0 {
		interval := unix.NsecToTimeval(wait.Nanoseconds())
		_, _ = unix.Select(0, nil, nil, nil, &interval) // a signal may end the wait early
	}
	return 0, stop
}

// sendByVegeta sends until the length has passed or ctx ends.
func sendByVegeta(ctx context.Context, targets []vegeta.Target, p vegeta.Pacer, length time.Duration) (outcome, error) {
	// This is vegeta's default transport, but its connections are closed after the turn, because the next turn needs the ports.
	transport := &http.Transport{MaxIdleConnsPerHost: vegeta.DefaultConnections}
	defer transport.CloseIdleConnections()
	attacker := vegeta.NewAttacker(vegeta.Client(&http.Client{Timeout: requestTimeout, Transport: transport}))
	defer context.AfterFunc(ctx, func() { attacker.Stop() })()
	var m vegeta.Metrics
	for result := range attacker.Attack(vegeta.NewStaticTargeter(targets...), p, length, "") {
		m.Add(result)
	}
	m.Close()
	milliseconds := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	return outcome{m.Rate, m.Success, milliseconds(m.Latencies.P50), milliseconds(m.Latencies.P99)}, nil
}

// targets starts the sessions and returns a request with the cookie of each.
func (f *fleet) targets(ctx context.Context) ([]vegeta.Target, error) {
	var list []vegeta.Target
	for range sessions {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, f.url+"/api/visits", nil)
		if err != nil {
			return nil, err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return nil, err
		}
		response.Body.Close()
		if response.StatusCode != http.StatusOK || len(response.Cookies()) != 1 {
			return nil, fmt.Errorf("start a session: %s, %d cookies", response.Status, len(response.Cookies()))
		}
		cookie := response.Cookies()[0]
		list = append(list, vegeta.Target{Method: http.MethodGet, URL: f.url + "/api/session", Header: http.Header{
			"Accept": {"application/json"}, "Cookie": {cookie.Name + "=" + cookie.Value}}})
	}
	return list, nil
}

// sendByLab runs the command lab load.
func (f *fleet) sendByLab(ctx context.Context, rate int, length time.Duration) (outcome, error) {
	dir, err := os.MkdirTemp("", "bench-load-")
	if err != nil {
		return outcome{}, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "result.json")
	p, err := process.Start(process.Command{Name: "lab load", Path: f.program, Args: []string{
		"load", "--url", f.url, "--rate", fmt.Sprint(rate), "--duration", length.String(), "--warmup", "0s", "--mix", "read=1",
		"--sessions", fmt.Sprint(sessions), "--timeout", requestTimeout.String(), "--json", file,
	}})
	if err != nil {
		return outcome{}, err
	}
	defer p.Kill()
	select {
	case <-p.Done():
	case <-time.After(length + exitTimeout):
		return outcome{}, fmt.Errorf("lab load did not exit within %s", length+exitTimeout)
	case <-ctx.Done():
		return outcome{}, ctx.Err()
	}
	if p.ExitCode() != 0 {
		return outcome{}, p.Ended()
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return outcome{}, err
	}
	var r load.Result
	if err := json.Unmarshal(text, &r); err != nil {
		return outcome{}, fmt.Errorf("reading the result: %w", err)
	}
	if n := r.Sessions.Violations(); n > 0 {
		return outcome{}, fmt.Errorf("%d violations: %v", n, r.Findings)
	}
	return outcome{r.RateAchieved, float64(r.OK) / float64(max(1, r.Requests)), r.Service.P50, r.Service.P99}, nil
}
