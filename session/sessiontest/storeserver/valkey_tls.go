package storeserver

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strconv"

	"stateless-servers/session/sessiontest/process"
)

// ValkeyTLS starts the same program as Valkey with TLS only. RootCAs returns its certificate authority.
func ValkeyTLS(ctx context.Context, list ...Option) (*Server, error) {
	if _, err := applyOptions("valkey", list); err != nil {
		return nil, err
	}
	program, err := ValkeyProgram()
	if err != nil {
		return nil, err
	}
	certificate, err := newCertificate()
	if err != nil {
		return nil, fmt.Errorf("starting Valkey with TLS: %w", err)
	}
	dialer := &tls.Dialer{Config: &tls.Config{RootCAs: certificate.roots(), MinVersion: tls.VersionTLS12}}
	return start(ctx, launcher{name: "Valkey with TLS",
		// No other process has the certificate.
		ping: func(ctx context.Context, addr string, _ int) error { return pingTLS(ctx, dialer, addr) },
		command: func(port int, dir string) process.Command {
			_ = certificate.write(dir) // the server reports an error
			command := valkeyCommand(program)(0, dir)
			command.Args = append(command.Args, "--tls-port", strconv.Itoa(port), "--tls-auth-clients", "no",
				"--tls-cert-file", certificateFile, "--tls-key-file", keyFile, "--tls-ca-cert-file", caFile)
			return command
		}})
}

func pingTLS(ctx context.Context, dialer *tls.Dialer, addr string) error {
	return expectLine(ctx, dialer, addr, "PING", "+PONG")
}

// A dialer opens connections.
type dialer interface {
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// expectLine sends one inline command, and returns an error unless the first line of the reply is the wanted one.
func expectLine(ctx context.Context, dialer dialer, addr, command, want string) error {
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
	if _, err := fmt.Fprint(conn, command, "\r\n"); err != nil {
		return err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil && line != want+"\r\n" {
		err = fmt.Errorf("%s replied %q to %s", addr, line, command)
	}
	return err
}
