package storeserver

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"strings"

	"stateless-servers/session/sessiontest/process"
)

// Valkey starts valkey-server, or redis-server where there is no such program in the PATH, with no persistence.
// VALKEY_TEST_ADDRESS (host:port) names a running server instead. ctx bounds the start, not the life of the server.
func Valkey(ctx context.Context, list ...Option) (*Server, error) {
	o, err := apply("valkey", list)
	if err != nil {
		return nil, err
	}
	l := launch{name: "Valkey", answered: answersInfo}
	if s, err := foreign(ctx, "VALKEY_TEST_ADDRESS", o.running("VALKEY_TEST_ADDRESS"), l); s != nil || err != nil {
		return s, err
	}
	program, err := ValkeyProgram()
	if err != nil {
		return nil, err
	}
	l.command, l.version = valkeyCommand(program), says(program, "--version")
	return start(ctx, l)
}

// DurableValkey starts what Valkey does, but one that has on disk what it acknowledges before it does so: a restart loses
// nothing of that. No environment variable names another.
func DurableValkey(ctx context.Context, list ...Option) (*Server, error) {
	if _, err := apply("valkey", list); err != nil {
		return nil, err
	}
	program, err := ValkeyProgram()
	if err != nil {
		return nil, err
	}
	return start(ctx, launch{name: "Durable Valkey", answered: answersLoaded, version: says(program, "--version"),
		command: func(port int, dir string) process.Command {
			command := valkeyCommand(program)(port, dir)
			command.Args = append(command.Args, "--appendonly", "yes", "--appendfsync", "always")
			return command
		}})
}

// answersLoaded is answersInfo of a server that has read what it has on disk.
func answersLoaded(ctx context.Context, addr string, pid int) error {
	if err := answersInfo(ctx, addr, pid); err != nil {
		return err
	}
	return PingValkey(ctx, addr)
}

// ValkeyReplica starts a server that follows the primary, and returns when it has all that the primary has. What the
// primary acknowledges afterwards, it gets a moment later.
func ValkeyReplica(ctx context.Context, primary *Server) (*Server, error) {
	program, err := ValkeyProgram()
	if err != nil {
		return nil, err
	}
	replica, err := start(ctx, launch{name: "Valkey replica", answered: answersInfo, command: valkeyCommand(program)})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	host, port, _ := net.SplitHostPort(primary.Addr)
	// It would wait five seconds for other replicas.
	err = Exec(ctx, primary, "CONFIG SET repl-diskless-sync-delay 0")
	if err == nil {
		err = Exec(ctx, replica, "REPLICAOF "+host+" "+port)
	}
	if err == nil {
		err = await(ctx, replica, "INFO replication", "master_link_status:up")
	}
	if err != nil {
		return nil, errors.Join(err, replica.Close())
	}
	return replica, nil
}

// Promote makes a replica a primary, which keeps what it has.
func Promote(ctx context.Context, replica *Server) error {
	return Exec(ctx, replica, "REPLICAOF NO ONE")
}

func valkeyCommand(program string) func(port int, dir string) process.Command {
	return func(port int, dir string) process.Command {
		return process.Command{Path: program, Args: []string{
			"--bind", "127.0.0.1", "--port", strconv.Itoa(port), "--dir", dir, "--save", "", "--appendonly", "no",
		}}
	}
}

// ValkeyProgram returns the path of the server program that Valkey starts, or an error that says what to install.
func ValkeyProgram() (string, error) {
	for _, name := range []string{"valkey-server", "redis-server"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("no Valkey: install valkey-server or redis-server, or set VALKEY_TEST_ADDRESS to a running one")
}

// PingValkey returns nil when a Valkey or Redis server answers a PING at addr.
func PingValkey(ctx context.Context, addr string) error {
	reply, err := ask(ctx, addr, "PING")
	if err != nil {
		return err
	}
	if line, _ := reply.ReadString('\n'); line != "+PONG\r\n" {
		return fmt.Errorf("asked PING, %s answered %q", addr, strings.TrimSpace(line))
	}
	return nil
}

// answersInfo returns nil when the server answers and is the process pid; any process, if pid is 0. Another server may
// have taken the port first.
func answersInfo(ctx context.Context, addr string, pid int) error {
	if pid == 0 {
		return PingValkey(ctx, addr)
	}
	reply, err := ask(ctx, addr, "INFO server")
	if err != nil {
		return err
	}
	for {
		line, err := reply.ReadString('\n')
		if err != nil {
			return fmt.Errorf("asked INFO, %s said nothing of its process: %w", addr, err)
		}
		if value, found := strings.CutPrefix(strings.TrimSpace(line), "process_id:"); found {
			if value != strconv.Itoa(pid) {
				return fmt.Errorf("another server, process %s, answers at %s", value, addr)
			}
			return nil
		}
	}
}

// ask sends one inline command and QUIT, and returns what comes back until the server closes the connection.
func ask(ctx context.Context, addr, command string) (*bufio.Reader, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return nil, err
		}
	}
	if _, err := fmt.Fprintf(conn, "%s\r\nQUIT\r\n", command); err != nil {
		return nil, err
	}
	var reply strings.Builder
	if _, err := bufio.NewReader(conn).WriteTo(&reply); err != nil {
		return nil, err
	}
	return bufio.NewReader(strings.NewReader(reply.String())), nil
}
