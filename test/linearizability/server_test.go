package linearizability

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/rpc"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"stateless-servers/session"
	"stateless-servers/session/sessiontest/broken"
)

// lifetime is the lifetime of a session. It is longer than any history.
const lifetime = 24 * time.Hour

// A Service executes requests on a store. It implements server within this process.
type Service struct{ store session.Store }

// Do makes one call of the store.
func (s Service) Do(r Request) Reply {
	ctx, cancel := context.WithTimeout(context.Background(), r.Timeout)
	defer cancel()
	var record session.Record
	var err error
	idle := time.Unix(r.Call.Idle, 0)
	switch r.Call.Kind {
	case create:
		var first session.Record
		first, err = firstState(r, idle)
		if err == nil {
			err = s.store.Create(ctx, r.Call.ID, first)
		}
	case load:
		record, err = s.store.Load(ctx, r.Call.ID, r.Now)
	case update:
		record, err = s.store.Update(ctx, r.Call.ID, session.Update{Now: r.Now, IdleExpires: idle, Changes: r.Call.Changes})
	case end:
		record, err = s.store.End(ctx, r.Call.ID, session.EndOptions{Now: r.Now})
	}
	reply := replyTo(err)
	if err == nil && r.Call.Kind != create {
		reply.Values, reply.Idle = record.Values, record.IdleExpires.Unix()
	}
	return reply
}

func firstState(r Request, idle time.Time) (session.Record, error) {
	values, err := session.Apply(nil, r.Call.Changes)
	return session.Record{Values: values, User: "ada", Created: r.Now, Expires: r.Now.Add(lifetime), IdleExpires: idle}, err
}

// replyTo returns the reply for an error of the store, or for nil.
func replyTo(err error) Reply {
	for known, outcome := range map[error]Outcome{
		nil: ok, session.ErrNotFound: notFound, session.ErrEnded: ended, session.ErrCounter: refused, session.ErrChanged: refused,
	} {
		if errors.Is(err, known) {
			return Reply{Outcome: outcome}
		}
	}
	return Reply{Outcome: unknown, Error: err.Error()}
}

// A spec describes the store of a server process.
type spec struct {
	Store    string // the name of a kind
	Endpoint string
	Broken   string // the name of a breakage, or "" for none
}

// The names of the breakages.
const (
	writesBack = "whole sessions are written back"
	recreates  = "an update recreates an ended session"
	readsStale = "reads are stale"
	repeats    = "updates without a reply are repeated"
	popsTwice  = "conditions of removals are ignored"
)

func breakages() map[string]func(session.Store) session.Store {
	return map[string]func(session.Store) session.Store{
		writesBack: broken.WritesWholeSession, recreates: broken.RevivesEndedSessions, readsStale: broken.ReadsStale, repeats: broken.RetriesUpdates,
		popsTwice: broken.IgnoresConditions,
	}
}

// open returns the store of a spec.
func (s spec) open() (session.Store, error) {
	kind, err := kindNamed(s.Store)
	if err != nil {
		return nil, err
	}
	store, err := kind.open(s.Endpoint)
	if err == nil && s.Broken != "" {
		store = breakages()[s.Broken](store)
	}
	return store, err
}

// specVariable is the environment variable that makes the test program a server; see TestMain.
const specVariable = "LINEARIZABILITY_SERVER"

// serve runs the server process. It reads requests from standard input and writes replies to standard output. It ends when
// standard input does, and so with its parent.
func serve(text string) error {
	var s spec
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return err
	}
	store, err := s.open()
	if err != nil {
		return err
	}
	server := rpc.NewServer()
	if err := server.RegisterName("Service", remote{Service{store}}); err != nil {
		return err
	}
	server.ServeConn(pipe{os.Stdin, os.Stdout})
	return nil
}

// remote adapts a Service to net/rpc.
type remote struct{ Service }

// Do makes one call of the store.
func (r remote) Do(request Request, reply *Reply) error {
	*reply = r.Service.Do(request)
	return nil
}

type pipe struct {
	io.ReadCloser
	io.WriteCloser
}

func (p pipe) Close() error { return errors.Join(p.ReadCloser.Close(), p.WriteCloser.Close()) }

// grace is added to the timeout of a call for the server's own work.
const grace = 10 * time.Second

// A serverProcess is a server in a separate process.
type serverProcess struct {
	spec spec

	mu      sync.Mutex
	command *exec.Cmd
	client  *rpc.Client
}

// startServer starts a server that ends with the test.
func startServer(t *testing.T, s spec) *serverProcess {
	t.Helper()
	c := &serverProcess{spec: s}
	noError(t, c.start())
	t.Cleanup(c.kill)
	return c
}

func (c *serverProcess) start() error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	text, err := json.Marshal(c.spec)
	if err != nil {
		return err
	}
	command := exec.Command(program)
	command.Env = append(os.Environ(), specVariable+"="+string(text))
	command.Stderr = os.Stderr
	in, inErr := command.StdinPipe()
	out, outErr := command.StdoutPipe()
	if err := errors.Join(inErr, outErr, command.Start()); err != nil {
		return fmt.Errorf("start a server: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.command, c.client = command, rpc.NewClient(pipe{out, in})
	return nil
}

// kill ends the server at once with SIGKILL.
func (c *serverProcess) kill() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.command.Process.Kill()
	c.client.Close()
	c.command.Wait()
}

// Do sends the request to the server and waits for the reply.
func (c *serverProcess) Do(r Request) Reply {
	c.mu.Lock()
	client := c.client
	c.mu.Unlock()
	var reply Reply
	call := client.Go("Service.Do", r, &reply, make(chan *rpc.Call, 1))
	select {
	case <-call.Done:
		if call.Error != nil {
			return Reply{Outcome: unknown, Error: call.Error.Error()}
		}
		return reply
	case <-time.After(r.Timeout + grace):
		return Reply{Outcome: unknown, Error: "the server does not reply"}
	}
}
