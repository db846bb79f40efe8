package storeserver

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"stateless-servers/session/sessiontest/process"
)

// Memcached starts memcached with 64 MB of memory. MEMCACHED_TEST_ADDRESS (host:port) names a running server instead. ctx limits the
// start, not the lifetime of the server.
func Memcached(ctx context.Context, list ...Option) (*Server, error) {
	o, err := applyOptions("memcached", list)
	if err != nil {
		return nil, err
	}
	l := launcher{name: "Memcached", ping: func(ctx context.Context, addr string, pid int) error {
		return pingStats(ctx, &net.Dialer{}, addr, pid)
	}}
	address := o.external("MEMCACHED_TEST_ADDRESS")
	if s, err := external(ctx, "MEMCACHED_TEST_ADDRESS", address, l); s != nil || err != nil {
		return s, err
	}
	program, err := memcachedProgram()
	if err != nil {
		return nil, err
	}
	l.command = func(port int, _ string) process.Command { return memcachedCommand(program, port) }
	l.version = versionOf(program, "-V")
	return start(ctx, l)
}

// MemcachedTLS starts memcached with TLS only. RootCAs returns its certificate authority.
func MemcachedTLS(ctx context.Context, list ...Option) (*Server, error) {
	if _, err := applyOptions("memcached", list); err != nil {
		return nil, err
	}
	program, err := memcachedProgram()
	if err != nil {
		return nil, err
	}
	certificate, err := newCertificate()
	if err != nil {
		return nil, fmt.Errorf("starting Memcached with TLS: %w", err)
	}
	dialer := &tls.Dialer{Config: &tls.Config{RootCAs: certificate.roots(), MinVersion: tls.VersionTLS12}}
	return start(ctx, launcher{name: "Memcached with TLS",
		ping: func(ctx context.Context, addr string, pid int) error { return pingStats(ctx, dialer, addr, pid) },
		command: func(port int, dir string) process.Command {
			_ = certificate.write(dir) // the server reports an error
			command := memcachedCommand(program, port)
			command.Args = append(command.Args, "--enable-ssl", "-o", "ssl_chain_cert="+certificateFile+",ssl_key="+keyFile)
			return command
		}})
}

func memcachedProgram() (string, error) {
	path, err := exec.LookPath("memcached")
	if err != nil {
		return "", fmt.Errorf("no Memcached: install memcached, or set MEMCACHED_TEST_ADDRESS to a running one")
	}
	return path, nil
}

func memcachedCommand(program string, port int) process.Command {
	args := []string{"--listen", "127.0.0.1", "--port", strconv.Itoa(port), "--memory-limit", "64"}
	if os.Geteuid() == 0 {
		// memcached runs as root only if asked to. Changing the user would clear the parent-death signal.
		args = append(args, "--user", "root")
	}
	return process.Command{Path: program, Args: args}
}

// pingStats returns nil if the server replies and is the process pid, or any process if pid is 0.
func pingStats(ctx context.Context, dialer interface {
	DialContext(ctx context.Context, network, addr string) (net.Conn, error)
}, addr string, pid int) error {
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprint(conn, "stats\r\n"); err != nil {
		return err
	}
	reply := bufio.NewScanner(conn)
	for reply.Scan() {
		found, ok := strings.CutPrefix(reply.Text(), "STAT pid ")
		switch {
		case !ok:
			return fmt.Errorf("%s replied %q to stats", addr, reply.Text())
		case pid != 0 && found != strconv.Itoa(pid):
			return fmt.Errorf("another server, process %s, listens at %s", found, addr)
		default:
			return nil
		}
	}
	return fmt.Errorf("%s did not reply to stats", addr)
}
