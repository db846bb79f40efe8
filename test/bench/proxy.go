package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
)

// A countingProxy passes connections on to a Valkey server and counts the commands that clients send. What a script
// does inside the server is no command of a client's, and isn't seen.
type countingProxy struct {
	addr     string
	listener net.Listener

	mu     sync.Mutex
	counts map[string]int // by name of the command
	conns  []net.Conn
}

// startCountingProxy listens on a free loopback port until Close.
func startCountingProxy(server string) (*countingProxy, error) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start the counting proxy: %w", err)
	}
	p := &countingProxy{addr: listener.Addr().String(), listener: listener, counts: map[string]int{}}
	go p.accept(server)
	return p, nil
}

func (p *countingProxy) Close() {
	p.listener.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range p.conns {
		conn.Close()
	}
}

// take returns the commands since it was last called.
func (p *countingProxy) take() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	counts := p.counts
	p.counts = map[string]int{}
	return counts
}

func (p *countingProxy) accept(server string) {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		upstream, err := net.Dial("tcp", server)
		if err != nil {
			client.Close()
			continue
		}
		p.mu.Lock()
		p.conns = append(p.conns, client, upstream)
		p.mu.Unlock()
		go func() {
			defer client.Close()
			io.Copy(client, upstream)
		}()
		go func() {
			defer upstream.Close()
			p.forward(upstream, bufio.NewReader(client))
		}()
	}
}

// forward passes on one command after another, each counted before the server can answer it.
func (p *countingProxy) forward(server io.Writer, client *bufio.Reader) {
	for {
		name, raw, err := readCommand(client)
		if err != nil {
			return
		}
		p.mu.Lock()
		p.counts[name]++
		p.mu.Unlock()
		if _, err := server.Write(raw); err != nil {
			return
		}
	}
}

// readCommand reads a command as clients send it (RESP: an array of bulk strings) and returns its name and its bytes.
func readCommand(r *bufio.Reader) (name string, raw []byte, err error) {
	length := func(prefix byte) (int, error) {
		line, err := r.ReadBytes('\n')
		if err != nil {
			return 0, err
		}
		raw = append(raw, line...)
		n, err := strconv.Atoi(strings.TrimSpace(string(line[1:])))
		if line[0] != prefix || err != nil {
			return 0, fmt.Errorf("no command: %q", line)
		}
		return n, nil
	}
	count, err := length('*')
	for i := 0; i < count && err == nil; i++ {
		var size int
		if size, err = length('$'); err != nil {
			break
		}
		word := make([]byte, size+len("\r\n"))
		if _, err = io.ReadFull(r, word); err == nil {
			raw = append(raw, word...)
		}
		if i == 0 {
			name = strings.ToUpper(string(word[:size]))
		}
	}
	return name, raw, err
}
