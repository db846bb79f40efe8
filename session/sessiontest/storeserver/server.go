// Package storeserver starts real store servers for tests and for the lab. The servers are child processes on free loopback ports
// that never outlive their parent, and their data is removed when they are closed. Each function, such as Valkey or Postgres, names
// an environment variable that makes it use a running server instead. Tests call ForTest.
package storeserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"stateless-servers/session/sessiontest/process"
)

const (
	readyTimeout    = 2 * time.Minute       // limits the wait for the first reply of a server; busy machines need it
	readyPause      = 20 * time.Millisecond // interval between two attempts
	externalTimeout = 30 * time.Second      // limits the wait for a reply of a running server
	attempts        = 5                     // maximum number of ports to try if other processes take them first
)

// An Option is an option for starting a server.
type Option func(*options)

type options struct {
	progress func(string)
	own      bool // start a server even if an environment variable names a running one
	forTest  bool // SKIP_STORES applies, and the data is separate from that of other tests where the store allows it
}

// external returns the value of the environment variable that names a running server, or "" to start one.
func (o options) external(variable string) string {
	if o.own {
		return ""
	}
	return os.Getenv(variable)
}

// WithProgress makes a start call report with one line before each step that may take longer than two seconds.
func WithProgress(report func(line string)) Option {
	return func(o *options) { o.progress = report }
}

// Own makes a start call start a server even if an environment variable names a running one.
func Own() Option { return func(o *options) { o.own = true } }

// A Server is a running store server.
type Server struct {
	Name     string // name of the program and, where it matters, its version
	Addr     string // host:port
	Endpoint string // for the configuration of clients: Addr, a URL, or a connection string

	mu       sync.Mutex
	launcher launcher
	dir      string       // data of the server, removed by Close
	drop     func() error // removes the test's data from a running server; nil if there is nothing to remove
	process  *process.Process
}

// errExternal means that an environment variable named the server.
var errExternal = errors.New("this server was not started here, so it can't be paused, killed or restarted")

// A launcher starts one kind of server.
type launcher struct {
	name     string
	http     bool
	endpoint func(addr string) string // returns the Endpoint; nil for the address or http://address
	command  func(port int, dir string) process.Command
	ping     func(ctx context.Context, addr string, pid int) error // returns nil if the server replies and is the process pid
	version  func() string                                         // see Server.Version
}

// Pause stops the server's execution (SIGSTOP). Its connections stay open and the kernel accepts new ones, but it does not reply.
func (s *Server) Pause() error { return s.signal((*process.Process).Pause) }

// Resume continues a paused server (SIGCONT).
func (s *Server) Resume() error { return s.signal((*process.Process).Resume) }

// Kill kills the server (SIGKILL). Its connections are reset and new ones are refused. Its data is lost, unless the server is
// durable.
func (s *Server) Kill() error {
	return s.signal(func(p *process.Process) error { p.Kill(); return nil })
}

// Restart kills the server if it runs, starts it again on the same port, and waits until it replies. Its data is lost, unless the
// server is durable.
func (s *Server) Restart(ctx context.Context) error {
	return s.signal(func(p *process.Process) error {
		p.Kill()
		_, port, _ := net.SplitHostPort(s.Addr)
		number, _ := strconv.Atoi(port)
		return s.startOn(ctx, number)
	})
}

// Close kills the server and removes its data. If an environment variable named the server, Close removes only what ForTest created.
func (s *Server) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	switch {
	case s.process != nil:
		s.process.Kill()
		err = os.RemoveAll(s.dir)
	case s.drop != nil:
		err = s.drop()
	}
	if err != nil {
		return fmt.Errorf("closing %s: %w", s.Name, err)
	}
	return nil
}

func (s *Server) signal(send func(*process.Process) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return errExternal
	}
	return send(s.process)
}

// start starts a server on a free port and waits until it replies.
func start(ctx context.Context, l launcher) (*Server, error) {
	dir, err := os.MkdirTemp("", "stateless-servers-"+strings.ReplaceAll(strings.ToLower(l.name), " ", "-")+"-")
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", l.name, err)
	}
	s := &Server{Name: l.name, launcher: l, dir: dir}
	for range attempts {
		var port int
		if port, err = process.FreePort(); err != nil {
			break
		}
		if err = s.startOn(ctx, port); err == nil || s.process == nil || !s.process.PortTaken() {
			break
		}
	}
	if err != nil {
		if s.process != nil {
			s.process.Kill()
		}
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, nil
}

// startOn starts the server on a port and waits until it replies. It returns an error if the server ends or doesn't reply in time.
func (s *Server) startOn(ctx context.Context, port int) error {
	command := s.launcher.command(port, s.dir)
	command.Name, command.Dir = s.Name, s.dir
	p, err := process.Start(command)
	if err != nil {
		return err
	}
	s.process = p
	s.Addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	s.Endpoint = s.Addr
	if s.launcher.http {
		s.Endpoint = "http://" + s.Addr
	}
	if s.launcher.endpoint != nil {
		s.Endpoint = s.launcher.endpoint(s.Addr)
	}

	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	ticker := time.NewTicker(readyPause)
	defer ticker.Stop()
	for {
		pingErr := s.launcher.ping(ctx, s.Addr, p.Pid())
		if err := p.Ended(); err != nil {
			return err
		}
		if pingErr == nil {
			return nil
		}
		select {
		case <-ticker.C:
		case <-p.Done():
		case <-ctx.Done():
			p.Kill()
			return fmt.Errorf("starting %s: it did not reply in time: %w", s.Name, pingErr)
		}
	}
}

// external returns the running server that the environment variable names, or nil if the variable is not set. It returns an error if
// that server does not reply.
func external(ctx context.Context, variable, addr string, l launcher) (*Server, error) {
	value := os.Getenv(variable)
	if value == "" {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, externalTimeout)
	defer cancel()
	if err := l.ping(ctx, addr, 0); err != nil {
		return nil, fmt.Errorf("%s=%q: no %s replies there: %w", variable, value, l.name, err)
	}
	return &Server{Name: l.name, Addr: addr, Endpoint: value}, nil
}

// errSkipped means that SKIP_STORES names the store.
var errSkipped = errors.New("skipped, because SKIP_STORES names it")

// applyOptions returns the options for the store with the given name.
func applyOptions(name string, list []Option) (options, error) {
	o := options{progress: func(string) {}}
	for _, option := range list {
		option(&o)
	}
	if o.forTest && slices.Contains(strings.Split(os.Getenv("SKIP_STORES"), ","), name) {
		return o, fmt.Errorf("%s: %w", name, errSkipped)
	}
	return o, nil
}
