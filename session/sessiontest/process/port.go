package process

import (
	"fmt"
	"io"
	"net"
	"strings"
)

// FreePort returns a TCP port of 127.0.0.1 for a child to listen on. It leaves a connection of that port in TIME_WAIT,
// so that for about a minute the kernel gives the port to nobody who asks for any port, while a server that names it
// (with SO_REUSEADDR, as servers do) gets it. A server that names it first still wins: callers try again then.
func FreePort() (int, error) {
	port, err := reservePort()
	if err != nil {
		return 0, fmt.Errorf("looking for a free port: %w", err)
	}
	return port, nil
}

func reservePort() (int, error) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	client, err := net.Dial("tcp4", listener.Addr().String())
	if err != nil {
		return 0, err
	}
	defer client.Close()
	accepted, err := listener.Accept()
	if err != nil {
		return 0, err
	}
	// The side that closes first is the one that waits: the port's, not the client's.
	if err := accepted.Close(); err != nil {
		return 0, err
	}
	if _, err := client.Read(make([]byte, 1)); err != io.EOF {
		return 0, err
	}
	return listener.Addr().(*net.TCPAddr).Port, nil
}

// PortTaken reports whether the child ended because another process listens on its port, by what it last said.
func (p *Process) PortTaken() bool {
	said := strings.ToLower(p.Tail())
	return p.ended() && (strings.Contains(said, "address already in use") || strings.Contains(said, "eaddrinuse"))
}
