package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	labfleet "stateless-servers/lab/fleet"
	"stateless-servers/session/sessiontest/process"
)

const (
	readyTimeout = 3 * time.Minute // the first time, the server is compiled
	readyPause   = 50 * time.Millisecond
	stopTimeout  = 30 * time.Second
)

// A fleet is a running lab up.
type fleet struct {
	program string // the path of the lab's executable
	url     string
	lab     *process.Process
}

// startFleet builds the lab, starts three servers on Valkey with it, and waits until they respond.
func startFleet(ctx context.Context, stderr io.Writer) (*fleet, error) {
	fmt.Fprintln(stderr, "starting three servers on Valkey")
	program, err := labfleet.BuildProgram(ctx, "lab", ".", "./lab")
	if err != nil {
		return nil, err
	}
	port, err := process.FreePort()
	if err != nil {
		return nil, err
	}
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	p, err := process.Start(process.Command{Name: "lab up", Path: program,
		Args: []string{"up", "--no-browser", "--servers", "3", "--store", "valkey", "--addr", addr}})
	if err != nil {
		return nil, err
	}
	f := &fleet{program, "http://" + addr, p}
	if err := f.ready(ctx); err != nil {
		return nil, errors.Join(err, f.close())
	}
	return f, nil
}

func (f *fleet) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, f.url+"/readyz", nil)
		if err != nil {
			return err
		}
		if response, err := http.DefaultClient.Do(request); err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-time.After(readyPause):
		case <-f.lab.Done():
			return f.lab.Ended()
		case <-ctx.Done():
			return fmt.Errorf("the fleet isn't ready: %w", ctx.Err())
		}
	}
}

func (f *fleet) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	return f.lab.Stop(ctx)
}
