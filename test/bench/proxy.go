package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// A countingProxy forwards connections to a store and counts calls and bytes. It does not see the commands that a script calls
// inside the store.
type countingProxy struct {
	addr     string
	listener net.Listener

	mu    sync.Mutex
	calls Calls // by name of the command or operation
	bytes int   // in both directions
	conns []net.Conn
}

// startCountingProxy starts a proxy on a free loopback port. The function read reads one call and returns its name.
func startCountingProxy(store string, read func(*bufio.Reader) (string, error)) (*countingProxy, error) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start the counting proxy: %w", err)
	}
	p := &countingProxy{addr: listener.Addr().String(), listener: listener, calls: Calls{}}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			upstream, err := net.Dial("tcp", store)
			if err != nil {
				client.Close()
				continue
			}
			p.mu.Lock()
			p.conns = append(p.conns, client, upstream)
			p.mu.Unlock()
			go func() {
				defer client.Close()
				io.Copy(io.MultiWriter(byteCounter{p}, client), upstream)
			}()
			go func() {
				defer upstream.Close()
				p.forward(upstream, client, read)
			}()
		}
	}()
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

// take returns the calls and bytes since the last take.
func (p *countingProxy) take() (Calls, int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	calls, bytes := p.calls, p.bytes
	p.calls, p.bytes = Calls{}, 0
	return calls, bytes
}

// forward forwards the client's calls to the store. It counts each call before the store can reply to it.
func (p *countingProxy) forward(store io.Writer, client io.Reader, read func(*bufio.Reader) (string, error)) {
	var raw bytes.Buffer
	reader := bufio.NewReader(io.TeeReader(client, io.MultiWriter(byteCounter{p}, &raw)))
	for {
		name, err := read(reader)
		if err != nil {
			return
		}
		p.mu.Lock()
		p.calls[name]++
		p.mu.Unlock()
		if reader.Buffered() > 0 {
			continue // raw contains the beginning of the next call
		}
		if _, err := raw.WriteTo(store); err != nil {
			return
		}
	}
}

// A byteCounter counts what is written to it.
type byteCounter struct{ p *countingProxy }

func (c byteCounter) Write(b []byte) (int, error) {
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	c.p.bytes += len(b)
	return len(b), nil
}

// readCommand reads a Valkey command (in RESP, an array of bulk strings) and returns its name.
func readCommand(r *bufio.Reader) (name string, err error) {
	length := func() (int, error) {
		line, err := r.ReadString('\n')
		if err != nil {
			return 0, err
		}
		return strconv.Atoi(strings.TrimSpace(line[1:]))
	}
	count, err := length()
	for i := 0; i < count && err == nil; i++ {
		size, err := length()
		if err != nil {
			return "", err
		}
		word := make([]byte, size+len("\r\n"))
		if _, err := io.ReadFull(r, word); err != nil {
			return "", err
		}
		if i == 0 {
			name = strings.ToUpper(string(word[:size]))
		}
	}
	return name, err
}

// readOperation reads a request to DynamoDB and returns the name of its operation.
func readOperation(r *bufio.Reader) (name string, err error) {
	request, err := http.ReadRequest(r)
	if err != nil {
		return "", err
	}
	_, name, _ = strings.Cut(request.Header.Get("X-Amz-Target"), ".")
	_, err = io.Copy(io.Discard, request.Body)
	return name, err
}
