package storeserver

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"stateless-servers/session/sessiontest/process"
)

// ValkeySentinel starts a Sentinel that watches a primary under the given name and decides alone. It declares the primary dead
// after half a second without a reply. A Sentinel finds the primary's replicas within a few seconds.
func ValkeySentinel(ctx context.Context, primary *Server, name string) (*Server, error) {
	program, err := ValkeyProgram()
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(primary.Addr)
	if err != nil {
		return nil, fmt.Errorf("starting a Sentinel: %w", err)
	}
	return start(ctx, launcher{name: "Valkey Sentinel", ping: pingSentinel, command: func(own int, dir string) process.Command {
		config := filepath.Join(dir, "sentinel.conf")
		_ = os.WriteFile(config, fmt.Appendf(nil, // the Sentinel reports an error
			"bind 127.0.0.1\nport %d\ndir %s\nsentinel monitor %s %s %s 1\nsentinel down-after-milliseconds %[3]s 500\n"+
				"sentinel failover-timeout %[3]s 5000\n", own, dir, name, host, port), 0o600)
		return process.Command{Path: program, Args: []string{config, "--sentinel"}}
	}})
}

// pingSentinel returns nil if a Sentinel replies at addr. A Sentinel doesn't know the command QUIT.
func pingSentinel(ctx context.Context, addr string, _ int) error {
	return expectLine(ctx, &net.Dialer{}, addr, "PING", "+PONG")
}

// Failover makes a Sentinel replace the primary that it watches under the given name by a replica. It returns an error as long
// as the Sentinel knows no replica.
func Failover(ctx context.Context, sentinel *Server, name string) error {
	return expectLine(ctx, &net.Dialer{}, sentinel.Addr, "SENTINEL FAILOVER "+name, "+OK")
}
