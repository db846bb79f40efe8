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

const clusterSlots = 16384 // of a Valkey cluster, spread over its primaries

// ValkeyCluster starts a cluster for one test with the given number of primaries, and of replicas of the first primary. The address
// of any node is enough to use the cluster.
func ValkeyCluster(t testing.TB, primaries, replicas int) []*Server {
	t.Helper()
	nodes := make([]*Server, primaries+replicas)
	for i := range nodes {
		nodes[i] = ForTest(t, valkeyNode)
	}
	ctx, cancel := context.WithTimeout(t.Context(), readyTimeout)
	defer cancel()
	if err := createCluster(ctx, nodes, primaries); err != nil {
		t.Fatalf("making a Valkey cluster: %v", err)
	}
	return nodes
}

// valkeyNode starts a server in cluster mode that is not part of a cluster yet.
func valkeyNode(ctx context.Context, list ...Option) (*Server, error) {
	if _, err := applyOptions("valkey", list); err != nil {
		return nil, err
	}
	program, err := ValkeyProgram()
	if err != nil {
		return nil, err
	}
	return start(ctx, launcher{name: "Valkey node", ping: pingProcess,
		command: func(port int, dir string) process.Command {
			command := valkeyCommand(program)(port, dir)
			bus, _ := process.FreePort() // if there is no free port, the server reports it
			command.Args = append(command.Args, "--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(bus),
				"--cluster-node-timeout", "2000", "--repl-diskless-sync-delay", "0")
			return command
		}})
}

// createCluster creates a cluster of the nodes, and waits until every node reports that it is complete.
func createCluster(ctx context.Context, nodes []*Server, primaries int) error {
	first := nodes[0]
	for i, node := range nodes {
		if i < primaries {
			from, to := i*clusterSlots/primaries, (i+1)*clusterSlots/primaries-1
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
		if err := awaitLine(ctx, node, "CLUSTER INFO", "cluster_state:ok"); err != nil {
			return err
		}
		if err := awaitLine(ctx, node, "CLUSTER INFO", fmt.Sprintf("cluster_known_nodes:%d", len(nodes))); err != nil {
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
		if err := awaitLine(ctx, replica, "INFO replication", "master_link_status:up"); err != nil {
			return err
		}
		own, err := Query(ctx, replica, "CLUSTER MYID")
		if err != nil {
			return err
		}
		for _, node := range nodes { // all nodes must know the replica before it can win a failover
			if err := awaitLine(ctx, node, "CLUSTER NODES", own[0], "slave "+id[0]); err != nil {
				return err
			}
		}
	}
	return nil
}

// awaitLine sends a command repeatedly until a line of the reply contains all of the words.
func awaitLine(ctx context.Context, s *Server, command string, words ...string) error {
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
			return fmt.Errorf("the reply of %s to %s has no line with %s: %w", s.Addr, command, strings.Join(words, " "), ctx.Err())
		}
	}
}

// Exec sends an inline command to a Valkey server. It returns an error if the reply is not OK.
func Exec(ctx context.Context, s *Server, command string) error {
	lines, err := Query(ctx, s, command)
	if err == nil && lines[0] != "OK" {
		err = fmt.Errorf("%s replied %q to %s", s.Addr, lines, command)
	}
	return err
}

// Query sends an inline command to a Valkey server and returns the lines of the reply, without the lines that announce lengths.
func Query(ctx context.Context, s *Server, command string) ([]string, error) {
	reply, err := sendCommand(ctx, s.Addr, command)
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
			return nil, fmt.Errorf("%s replied %q to %s", s.Addr, line[1:], command)
		case strings.HasPrefix(line, "$"), strings.HasPrefix(line, "*"):
		default:
			lines = append(lines, strings.TrimPrefix(line, "+"))
		}
	}
	lines = lines[:max(len(lines)-1, 0)] // without the reply to QUIT
	if len(lines) == 0 {
		return nil, fmt.Errorf("%s did not reply to %s", s.Addr, command)
	}
	return lines, nil
}
