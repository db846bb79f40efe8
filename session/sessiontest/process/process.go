// Package process runs the lab's child processes: store servers and the servers of the fleet. A child never outlives
// its parent. It has a process group of its own, so that a Ctrl-C in the terminal reaches the lab alone, which then
// stops its children in order; and on Linux the kernel kills it when the lab dies without having done so.
package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"time"
)

// outputDelay bounds how long the end of a child waits for the end of its output, which a grandchild may hold open.
const outputDelay = time.Second

// Command says what to start.
type Command struct {
	Name   string    // what messages call it
	Path   string    // the program; looked up in the PATH when it has no slash
	Args   []string  // without the program's name
	Env    []string  // KEY=value, the whole environment; nil means the parent's
	Dir    string    // working directory; empty means the parent's
	Output io.Writer // also gets stdout and stderr, but for what it refuses, which is lost; may be nil
}

// Process is a running child, or one that has ended.
type Process struct {
	name string
	cmd  *exec.Cmd
	tail tail
	done chan struct{}
	err  error // of Wait; valid once done is closed
}

// Start starts the child. It lives until it ends by itself, is stopped or killed, or the parent dies.
func Start(command Command) (*Process, error) {
	// #nosec G204 -- the lab's own programs
	p := &Process{name: command.Name, cmd: exec.Command(command.Path, command.Args...), done: make(chan struct{})}
	p.cmd.Env, p.cmd.Dir = command.Env, command.Dir
	p.cmd.SysProcAttr = attributes()
	p.cmd.WaitDelay = outputDelay
	var output io.Writer = &p.tail
	if command.Output != nil {
		output = io.MultiWriter(&p.tail, IgnoreErrors(command.Output, nil))
	}
	p.cmd.Stdout, p.cmd.Stderr = output, output

	started := make(chan error)
	go p.run(started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting %s: %w", command.Name, err)
	}
	return p, nil
}

// run starts the child and waits for its end on one locked thread: Linux sends the parent-death signal when the thread
// that started the child ends, not the process, so that thread must live as long as the child.
func (p *Process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := p.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	p.err = p.cmd.Wait()
	close(p.done)
}

// Pid is the child's process id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Done is closed when the child has ended and its output has been read.
func (p *Process) Done() <-chan struct{} { return p.done }

// Tail returns the last lines that the child wrote to stdout and stderr, up to 8 KB.
func (p *Process) Tail() string { return p.tail.String() }

// Ended says how the child ended, with the last line it wrote: "server-1 ended: exit status 1: no such store".
// It is nil while the child runs.
func (p *Process) Ended() error {
	select {
	case <-p.done:
	default:
		return nil
	}
	how := "exit status 0"
	if p.err != nil {
		how = p.err.Error()
	}
	if last := p.tail.lastLine(); last != "" {
		how += ": " + last
	}
	return fmt.Errorf("%s ended: %s", p.name, how)
}

// ExitCode is the child's exit status once it has ended by itself; -1 while it runs and after a signal ended it.
func (p *Process) ExitCode() int {
	if !p.ended() {
		return -1
	}
	return p.cmd.ProcessState.ExitCode()
}

// Stop asks the child to end (SIGTERM) and waits for that. When ctx ends first, it kills the child and returns an error.
func (p *Process) Stop(ctx context.Context) error {
	if p.ended() {
		return nil
	}
	terminate(p.cmd.Process)
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		p.Kill()
		return fmt.Errorf("stopping %s: it did not end in time and was killed", p.name)
	}
}

// Kill ends the child and whatever it started (SIGKILL), and returns when it is gone.
func (p *Process) Kill() {
	if !p.ended() {
		kill(p.cmd.Process)
	}
	<-p.done
}

// Pause halts the child (SIGSTOP): its connections stay open and nothing answers. A paused child can be stopped and
// killed.
func (p *Process) Pause() error { return p.signal(pause, "pausing") }

// Resume lets a paused child go on (SIGCONT).
func (p *Process) Resume() error { return p.signal(resume, "resuming") }

func (p *Process) signal(send func(pid int) error, doing string) error {
	err := errors.New("it has ended")
	if !p.ended() {
		err = send(p.Pid())
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", doing, p.name, err)
	}
	return nil
}

func (p *Process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}
