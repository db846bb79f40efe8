package fleet

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"stateless-servers/app/config"
	"stateless-servers/lab/balancer"
	"stateless-servers/lab/contract"
	"stateless-servers/session/sessiontest/process"
)

const (
	maxAttempts   = 5                    // to start a server, if another program takes its port first
	readyInterval = 5 * time.Millisecond // between two requests to a server that is starting
)

// serverEnvironment returns the complete environment of a server. It inherits nothing from the lab's environment.
func serverEnvironment(shared config.Config, name, zone, address, admin string) []string {
	shared.ServerName, shared.Zone, shared.Addr, shared.AdminAddr = name, zone, address, admin
	return shared.Environment()
}

// launch starts the server, waits until it responds, registers it and waits until it is healthy. If it returns an error, the
// process has ended.
func (f *Fleet) launch(ctx context.Context, m *member) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readyTimeout, fmt.Errorf("%s did not respond within %v", m.name, readyTimeout))
	defer cancel()
	for attempt := 1; ; attempt++ {
		if err := f.start(m); err != nil {
			return err
		}
		err := f.awaitResponse(ctx, m)
		if err == nil {
			break
		}
		m.process.Kill()
		if !m.process.PortTaken() || attempt == maxAttempts {
			return err
		}
	}
	err := f.balancer.Register(m.name, m.address)
	if err == nil {
		err = f.balancer.Await(ctx, m.name, balancer.StateHealthy)
	}
	if err == nil {
		err = context.Cause(ctx) // the fleet may have been closed meanwhile
	}
	if err != nil {
		m.process.Kill()
		_ = f.balancer.Deregister(ctx, m.name) // returns at once, as no request is in flight
		return err
	}
	f.options.Report(fmt.Sprintf("%s added: %s, zone %s, process %d", m.name, m.address, m.zone, m.process.Pid()))
	f.running.Go(func() { f.awaitExit(m) })
	return nil
}

// start starts the process on free ports.
func (f *Fleet) start(m *member) error {
	var addresses [2]string
	for i := range addresses {
		port, err := process.FreePort()
		if err != nil {
			return fmt.Errorf("starting %s: %w", m.name, err)
		}
		addresses[i] = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	}
	output, closeLog := f.openLog(m.name)
	command := process.Command{
		Name: m.name, Path: f.options.Program, Env: serverEnvironment(f.options.Config, m.name, m.zone, addresses[0], addresses[1]),
	}
	if f.options.Server.Command != "" {
		_, port, _ := net.SplitHostPort(addresses[0])
		command = f.options.Server.Process(m.name, port, contract.StoreURL(f.options.Config))
	}
	command.Output = output
	p, err := process.Start(command)
	if err != nil {
		closeLog()
		return err
	}
	go func() { <-p.Done(); closeLog() }()
	f.mu.Lock()
	defer f.mu.Unlock()
	m.address, m.admin, m.process = addresses[0], addresses[1], p
	return nil
}

// openLog returns the writer for the output of a server. Write errors are reported once and otherwise ignored, so that a full
// disk does not end servers.
func (f *Fleet) openLog(name string) (output io.Writer, closeLog func()) {
	lost := func(err error) { f.options.Report(fmt.Sprintf("the log of %s is incomplete: %v", name, err)) }
	var writers []io.Writer
	if f.options.Output != nil {
		writers = append(writers, process.IgnoreErrors(f.options.Output, nil))
	}
	closeLog = func() {}
	if f.options.LogDir != "" {
		file, err := os.OpenFile(filepath.Join(f.options.LogDir, name+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			lost(err)
		} else {
			writers, closeLog = append(writers, process.IgnoreErrors(file, lost)), func() { file.Close() }
		}
	}
	return io.MultiWriter(writers...), closeLog
}

// awaitResponse waits until the server responds to a health check. It ignores responses of another server on the same port,
// unless the servers are of another application, which don't say their names.
func (f *Fleet) awaitResponse(ctx context.Context, m *member) error {
	client := http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	ticker := time.NewTicker(readyInterval)
	defer ticker.Stop()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+m.address+"/healthz", nil)
	if err != nil {
		return err
	}
	for {
		response, err := client.Do(request)
		if err == nil {
			response.Body.Close()
			named := response.Header.Get("X-Served-By") == m.name || f.options.Server.Command != ""
			if response.StatusCode == http.StatusOK && named {
				return nil
			}
		}
		select {
		case <-ticker.C:
		case <-m.process.Done():
			return m.process.Ended()
		case <-ctx.Done():
			return fmt.Errorf("starting %s: %w", m.name, context.Cause(ctx))
		}
	}
}

// awaitExit waits for the end of the server's process. If the server was not stopped, awaitExit removes it RemoveDead after
// health checks have noticed.
func (f *Fleet) awaitExit(m *member) {
	select {
	case <-m.process.Done():
	case <-f.ctx.Done():
		return
	}
	f.mu.Lock()
	killed, stopping := m.killed, m.stopping
	f.mu.Unlock()
	switch {
	case stopping:
		return
	case killed:
		f.options.Report(m.name + " killed")
	default:
		f.options.Report(m.process.Ended().Error())
	}
	if err := f.balancer.Await(f.ctx, m.name, balancer.StateUnhealthy); err != nil {
		return // the server was stopped, or the fleet closes
	}
	select {
	case <-time.After(f.options.RemoveDead):
	case <-f.ctx.Done():
		return
	}
	f.mu.Lock()
	stopping, m.stopping = m.stopping, true
	f.mu.Unlock()
	if !stopping {
		f.stop(m)
	}
}

// stop drains the server, ends its process and removes it from the fleet.
func (f *Fleet) stop(m *member) {
	done := "stopped and removed"
	if m.process.Ended() != nil {
		done = "removed"
	}
	// The only possible error is that the target is not registered.
	_ = f.balancer.Deregister(f.ctx, m.name)
	ctx, cancel := context.WithTimeout(context.Background(), f.options.Config.DrainTimeout+stopTimeout)
	defer cancel()
	err := m.process.Stop(ctx)
	f.remove(m)
	if f.ctx.Err() != nil {
		return
	}
	if err != nil {
		f.options.Report(err.Error())
		return
	}
	f.options.Report(m.name + " " + done)
}
