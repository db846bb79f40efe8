package storeserver

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"stateless-servers/session/sessiontest/process"
)

const slots = 16384 // of a Valkey cluster, spread over its primaries

// ValkeyCluster starts a cluster for one test, of that many primaries and as many replicas of the first. Any node's
// address leads to all of them.
func ValkeyCluster(t testing.TB, primaries, replicas int) []*Server {
	t.Helper()
	nodes := make([]*Server, primaries+replicas)
	for i := range nodes {
		nodes[i] = ForTest(t, valkeyNode)
	}
	ctx, cancel := context.WithTimeout(t.Context(), readyTimeout)
	defer cancel()
	if err := join(ctx, nodes, primaries); err != nil {
		t.Fatalf("making a Valkey cluster: %v", err)
	}
	return nodes
}

// valkeyNode starts a server in cluster mode, alone so far.
func valkeyNode(ctx context.Context, list ...Option) (*Server, error) {
	if _, err := apply("valkey", list); err != nil {
		return nil, err
	}
	program, err := ValkeyProgram()
	if err != nil {
		return nil, err
	}
	return start(ctx, launch{name: "Valkey node", answered: answersInfo,
		command: func(port int, dir string) process.Command {
			command := valkeyCommand(program)(port, dir)
			bus, _ := process.FreePort() // without a free port, the server says so
			command.Args = append(command.Args, "--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(bus),
				"--cluster-node-timeout", "2000", "--repl-diskless-sync-delay", "0")
			return command
		}})
}

// join makes a cluster of nodes, and returns when every node says that it stands.
func join(ctx context.Context, nodes []*Server, primaries int) error {
	first := nodes[0]
	for i, node := range nodes {
		if i < primaries {
			from, to := i*slots/primaries, (i+1)*slots/primaries-1
			if err := Exec(ctx, node, fmt.Sprintf("CLUSTER ADDSLOTSRANGE %d %d", from, to)); err != nil {
				return err
			}
		}
		bus, err := Query(ctx, node, "CONFIG GET cluster-port")
		if err != nil {
			return err
		}
		host, port, _ := net.SplitHostPort(node.Addr)
		if err := Exec(ctx, first, fmt.Sprintf("CLUSTER MEET %s %s %s", host, port, bus[len(bus)-1])); err != nil {
			return err
		}
	}
	for _, node := range nodes {
		if err := await(ctx, node, "CLUSTER INFO", "cluster_state:ok"); err != nil {
			return err
		}
		if err := await(ctx, node, "CLUSTER INFO", fmt.Sprintf("cluster_known_nodes:%d", len(nodes))); err != nil {
			return err
		}
	}
	id, err := Query(ctx, first, "CLUSTER MYID")
	if err != nil {
		return err
	}
	for _, replica := range nodes[primaries:] {
		if err := Exec(ctx, replica, "CLUSTER REPLICATE "+id[0]); err != nil {
			return err
		}
		if err := await(ctx, replica, "INFO replication", "master_link_status:up"); err != nil {
			return err
		}
		own, err := Query(ctx, replica, "CLUSTER MYID")
		if err != nil {
			return err
		}
		for _, node := range nodes { // they vote when the replica is to take over
			if err := await(ctx, node, "CLUSTER NODES", own[0], "slave "+id[0]); err != nil {
				return err
			}
		}
	}
	return nil
}

// await asks until one line of the answer has all of the words.
func await(ctx context.Context, s *Server, command string, words ...string) error {
	ticker := time.NewTicker(readyPause)
	defer ticker.Stop()
	for {
		lines, err := Query(ctx, s, command)
		if err != nil {
			return err
		}
		for _, line := range lines {
			if !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(line, word) }) {
				return nil
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("asked %s, %s does not say %s: %w", command, s.Addr, strings.Join(words, " "), ctx.Err())
		}
	}
}

// Exec sends a command to a Valkey server, one line as a person would type it, and wants the answer OK.
func Exec(ctx context.Context, s *Server, command string) error {
	lines, err := Query(ctx, s, command)
	if err == nil && lines[0] != "OK" {
		err = fmt.Errorf("told %s: %s, it answered %q", s.Addr, command, lines)
	}
	return err
}

// Query sends a command to a Valkey server, one line as a person would type it, and returns the lines of the answer: texts,
// without what says how long they are.
func Query(ctx context.Context, s *Server, command string) ([]string, error) {
	reply, err := ask(ctx, s.Addr, command)
	if err != nil {
		return nil, err
	}
	var text strings.Builder
	if _, err := reply.WriteTo(&text); err != nil {
		return nil, err
	}
	var lines []string
	for line := range strings.Lines(text.String()) {
		switch line = strings.TrimRight(line, "\r\n"); {
		case strings.HasPrefix(line, "-"):
			return nil, fmt.Errorf("told %s: %s, it answered %q", s.Addr, command, line[1:])
		case strings.HasPrefix(line, "$"), strings.HasPrefix(line, "*"):
		default:
			lines = append(lines, strings.TrimPrefix(line, "+"))
		}
	}
	lines = lines[:max(len(lines)-1, 0)] // the answer to ask's QUIT
	if len(lines) == 0 {
		return nil, fmt.Errorf("told %s: %s, it answered nothing", s.Addr, command)
	}
	return lines, nil
}
