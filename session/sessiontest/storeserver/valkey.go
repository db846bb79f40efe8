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

// Valkey starts valkey-server without persistence, or redis-server if valkey-server is not in the PATH. VALKEY_TEST_ADDRESS
// (host:port) names a running server instead. ctx limits the start, not the lifetime of the server.
func Valkey(ctx context.Context, list ...Option) (*Server, error) {
	o, err := applyOptions("valkey", list)
	if err != nil {
		return nil, err
	}
	l := launcher{name: "Valkey", ping: pingProcess}
	if s, err := external(ctx, "VALKEY_TEST_ADDRESS", o.external("VALKEY_TEST_ADDRESS"), l); s != nil || err != nil {
		return s, err
	}
	program, err := ValkeyProgram()
	if err != nil {
		return nil, err
	}
	l.command, l.version = valkeyCommand(program), versionOf(program, "--version")
	return start(ctx, l)
}

// DurableValkey starts the same program as Valkey, but it writes every change to disk before it acknowledges it, so that a restart
// loses nothing. There is no environment variable for it.
func DurableValkey(ctx context.Context, list ...Option) (*Server, error) {
	if _, err := applyOptions("valkey", list); err != nil {
		return nil, err
	}
	program, err := ValkeyProgram()
	if err != nil {
		return nil, err
	}
	return start(ctx, launcher{name: "Durable Valkey", ping: pingLoaded, version: versionOf(program, "--version"),
		command: func(port int, dir string) process.Command {
			command := valkeyCommand(program)(port, dir)
			command.Args = append(command.Args, "--appendonly", "yes", "--appendfsync", "always")
			return command
		}})
}

// pingLoaded does the same as pingProcess, and also waits until the server has loaded its data from disk.
func pingLoaded(ctx context.Context, addr string, pid int) error {
	if err := pingProcess(ctx, addr, pid); err != nil {
		return err
	}
	return PingValkey(ctx, addr)
}

// ValkeyReplica starts a replica of the primary, and waits until it has all data of the primary. Replication is asynchronous.
func ValkeyReplica(ctx context.Context, primary *Server) (*Server, error) {
	program, err := ValkeyProgram()
	if err != nil {
		return nil, err
	}
	replica, err := start(ctx, launcher{name: "Valkey replica", ping: pingProcess, command: valkeyCommand(program)})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	host, port, _ := net.SplitHostPort(primary.Addr)
	// By default the primary waits five seconds for other replicas.
	err = Exec(ctx, primary, "CONFIG SET repl-diskless-sync-delay 0")
	if err == nil {
		err = Exec(ctx, replica, "REPLICAOF "+host+" "+port)
	}
	if err == nil {
		err = awaitLine(ctx, replica, "INFO replication", "master_link_status:up")
	}
	if err != nil {
		return nil, errors.Join(err, replica.Close())
	}
	return replica, nil
}

// AwaitReplica waits until a replica of the primary has all writes that were made before the call.
func AwaitReplica(ctx context.Context, primary *Server) error {
	lines, err := Query(ctx, primary, "SET replicated 1\r\nWAIT 1 5000") // WAIT waits for writes of its own connection
	if err == nil && (len(lines) < 2 || lines[1] != ":1") {
		err = fmt.Errorf("%s has no replica that is up to date: replied %q to SET and WAIT", primary.Addr, lines)
	}
	return err
}

// Promote makes a replica a primary. It keeps its data.
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

// ValkeyProgram returns the path of the program that Valkey starts, or an error that says what to install.
func ValkeyProgram() (string, error) {
	for _, name := range []string{"valkey-server", "redis-server"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("no Valkey: install valkey-server or redis-server, or set VALKEY_TEST_ADDRESS to a running one")
}

// PingValkey returns nil if a Valkey or Redis server replies to PING at addr.
func PingValkey(ctx context.Context, addr string) error {
	reply, err := sendCommand(ctx, addr, "PING")
	if err != nil {
		return err
	}
	if line, _ := reply.ReadString('\n'); line != "+PONG\r\n" {
		return fmt.Errorf("%s replied %q to PING", addr, strings.TrimSpace(line))
	}
	return nil
}

// pingProcess returns nil if the server at addr replies and is the process pid, or any process if pid is 0. Another server may have
// taken the port first.
func pingProcess(ctx context.Context, addr string, pid int) error {
	if pid == 0 {
		return PingValkey(ctx, addr)
	}
	reply, err := sendCommand(ctx, addr, "INFO server")
	if err != nil {
		return err
	}
	for {
		line, err := reply.ReadString('\n')
		if err != nil {
			return fmt.Errorf("the reply of %s to INFO has no process_id: %w", addr, err)
		}
		if value, found := strings.CutPrefix(strings.TrimSpace(line), "process_id:"); found {
			if value != strconv.Itoa(pid) {
				return fmt.Errorf("another server, process %s, listens at %s", value, addr)
			}
			return nil
		}
	}
}

// sendCommand sends one inline command and QUIT, and returns all that the server sends until it closes the connection.
func sendCommand(ctx context.Context, addr, command string) (*bufio.Reader, error) {
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
