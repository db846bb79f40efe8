// Package process runs child processes, such as the store servers of tests. Start starts one. A child never outlives its parent: on
// Linux the kernel kills it when the parent dies. A child has its own process group, so that Ctrl-C in the terminal reaches only
// the parent, which then stops its children in order.
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

// outputDelay limits the wait for the end of a child's output after the child has ended. A grandchild may keep the output open.
const outputDelay = time.Second

// A Command describes a child process to start.
type Command struct {
	Name   string    // name in messages
	Path   string    // program; looked up in the PATH if it has no slash
	Args   []string  // arguments without the program's name
	Env    []string  // environment as KEY=value; nil for the parent's
	Dir    string    // working directory; empty for the parent's
	Output io.Writer // receives stdout and stderr if not nil; its errors are ignored
}

// A Process is a child process, running or ended.
type Process struct {
	name string
	cmd  *exec.Cmd
	tail tail
	done chan struct{}
	err  error // result of Wait; valid after done is closed
}

// Start starts a child process. It runs until it ends by itself, is stopped or killed, or the parent dies.
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

// run starts the child and waits for its end on one locked thread. Linux sends the parent-death signal when the thread that started
// the child ends, so that thread must live as long as the child.
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

// Pid returns the child's process id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Done returns a channel that is closed when the child has ended and its output has been read.
func (p *Process) Done() <-chan struct{} { return p.done }

// Tail returns the last lines that the child wrote to stdout and stderr, up to 8 KB.
func (p *Process) Tail() string { return p.tail.String() }

// Ended returns nil while the child runs. Afterwards it returns an error with the exit status and the last line of output, such as
// "server-1 ended: exit status 1: no such store".
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

// ExitCode returns the child's exit status. It returns -1 while the child runs and if a signal ended it.
func (p *Process) ExitCode() int {
	if !p.ended() {
		return -1
	}
	return p.cmd.ProcessState.ExitCode()
}

// Stop asks the child to end (SIGTERM) and waits for it. If ctx ends first, it kills the child and returns an error.
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

// Kill kills the child and its descendants (SIGKILL), and returns when the child has ended.
func (p *Process) Kill() {
	if !p.ended() {
		kill(p.cmd.Process)
	}
	<-p.done
}

// Pause stops the child's execution (SIGSTOP). Its connections stay open, but it does not respond. A paused child can be stopped and
// killed.
func (p *Process) Pause() error { return p.signal(pause, "pausing") }

// Resume continues a paused child (SIGCONT).
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
