package main

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"stateless-servers/session/sessiontest/relay"
)

// A countingProxy forwards connections to a store and counts calls and bytes. It does not see the commands that a script calls
// inside the store.
type countingProxy struct {
	*relay.Relay

	mu    sync.Mutex
	calls Calls // by name of the command or operation
	bytes int   // in both directions
}

// startCountingProxy starts a proxy on a free loopback port. The function read reads one call and returns its name.
func startCountingProxy(store string, read func(*bufio.Reader) (string, error)) (*countingProxy, error) {
	p := &countingProxy{calls: Calls{}}
	var err error
	p.Relay, err = relay.Listen(store, func(client, store net.Conn) (up, down func()) {
		return func() { p.forward(store, client, read) }, func() { io.Copy(io.MultiWriter(byteCounter{p}, client), store) }
	})
	return p, err
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
