// Package storeserver starts real store servers for the lab and for the test suites of the session stores: children on
// free loopback ports that never outlive their parent, and keep nothing but what a durable one has on disk until it is
// closed. A server that runs already can be used instead: each function names the environment variable that says where.
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
	readyTimeout = 2 * time.Minute       // the time that a server has to answer its first request; busy machines need it
	readyPause   = 20 * time.Millisecond // between two attempts
	foundTimeout = 30 * time.Second      // the time that a running server has to answer
	attempts     = 5                     // ports tried when others take them first
)

// Option changes how a server is started.
type Option func(*options)

type options struct {
	progress  func(string)
	skippable bool
	own       bool // start a server even where an environment variable names a running one
}

// running returns what an environment variable says of a running server, or "" to start one.
func (o options) running(variable string) string {
	if o.own {
		return ""
	}
	return os.Getenv(variable)
}

// WithProgress has report called with one line before anything that may take longer than two seconds.
func WithProgress(report func(line string)) Option {
	return func(o *options) { o.progress = report }
}

// Server is a running store server.
type Server struct {
	Name     string // the program and, where it matters, its version
	Addr     string // host:port
	Endpoint string // what a client is configured with: Addr, or http://Addr where the store speaks HTTP

	mu      sync.Mutex
	launch  launch
	dir     string // removed by Close
	process *process.Process
}

// errForeign is the answer of a server that an environment variable named.
var errForeign = errors.New("this server was not started here, so it can't be paused, killed or restarted")

// launch is how to start one kind of server.
type launch struct {
	name     string
	http     bool
	endpoint func(addr string) string // of clients, where that is neither the address nor http://address
	command  func(port int, dir string) process.Command
	answered func(ctx context.Context, addr string, pid int) error // nil once the server answers, and is that process
	version  func() string                                         // see Server.Version
}

// Pause halts the server (SIGSTOP): connections stay open, new ones are accepted by the kernel, nothing answers.
func (s *Server) Pause() error { return s.signal((*process.Process).Pause) }

// Resume lets a paused server go on.
func (s *Server) Resume() error { return s.signal((*process.Process).Resume) }

// Kill ends the server at once (SIGKILL): connections are reset, new ones refused. What it held is lost, unless it is
// durable.
func (s *Server) Kill() error {
	return s.signal(func(p *process.Process) error { p.Kill(); return nil })
}

// Restart kills the server if it runs, and starts it anew on the same port: empty, unless it is durable. It returns when
// it answers.
func (s *Server) Restart(ctx context.Context) error {
	return s.signal(func(p *process.Process) error {
		p.Kill()
		_, port, _ := net.SplitHostPort(s.Addr)
		number, _ := strconv.Atoi(port)
		return s.startOn(ctx, number)
	})
}

// Close ends the server and removes what it left on disk. A server that was not started here goes on.
func (s *Server) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return nil
	}
	s.process.Kill()
	if err := os.RemoveAll(s.dir); err != nil {
		return fmt.Errorf("closing %s: %w", s.Name, err)
	}
	return nil
}

func (s *Server) signal(send func(*process.Process) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return errForeign
	}
	return send(s.process)
}

// start starts the server on a free port and returns when it answers.
func start(ctx context.Context, l launch) (*Server, error) {
	dir, err := os.MkdirTemp("", "stateless-servers-"+strings.ReplaceAll(strings.ToLower(l.name), " ", "-")+"-")
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", l.name, err)
	}
	s := &Server{Name: l.name, launch: l, dir: dir}
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

// startOn starts the server on a port and returns when it answers, or has ended, or the time is up.
func (s *Server) startOn(ctx context.Context, port int) error {
	command := s.launch.command(port, s.dir)
	command.Name, command.Dir = s.Name, s.dir
	p, err := process.Start(command)
	if err != nil {
		return err
	}
	s.process = p
	s.Addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	s.Endpoint = s.Addr
	if s.launch.http {
		s.Endpoint = "http://" + s.Addr
	}
	if s.launch.endpoint != nil {
		s.Endpoint = s.launch.endpoint(s.Addr)
	}

	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	ticker := time.NewTicker(readyPause)
	defer ticker.Stop()
	for {
		unanswered := s.launch.answered(ctx, s.Addr, p.Pid())
		if err := p.Ended(); err != nil {
			return err
		}
		if unanswered == nil {
			return nil
		}
		select {
		case <-ticker.C:
		case <-p.Done():
		case <-ctx.Done():
			p.Kill()
			return fmt.Errorf("starting %s: it did not answer in time: %w", s.Name, unanswered)
		}
	}
}

// foreign returns the server that the environment variable names, if it does and the server answers.
func foreign(ctx context.Context, variable, addr string, l launch) (*Server, error) {
	value := os.Getenv(variable)
	if value == "" {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, foundTimeout)
	defer cancel()
	if err := l.answered(ctx, addr, 0); err != nil {
		return nil, fmt.Errorf("%s=%q: no %s answers there: %w", variable, value, l.name, err)
	}
	return &Server{Name: l.name, Addr: addr, Endpoint: value}, nil
}

// errSkipped is the answer to a test whose caller asked to skip this store.
var errSkipped = errors.New("skipped, for SKIP_STORES names it")

// apply gathers the options of the store called name.
func apply(name string, list []Option) (options, error) {
	o := options{progress: func(string) {}}
	for _, option := range list {
		option(&o)
	}
	if o.skippable && slices.Contains(strings.Split(os.Getenv("SKIP_STORES"), ","), name) {
		return o, fmt.Errorf("%s: %w", name, errSkipped)
	}
	return o, nil
}
