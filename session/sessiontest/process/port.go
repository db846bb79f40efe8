package process

import (
	"fmt"
	"io"
	"net"
	"strings"
)

// FreePort returns a TCP port of 127.0.0.1 for a child to listen on. It leaves a connection of the port in TIME_WAIT. For about a
// minute the kernel then doesn't assign the port to processes that ask for any port, but a process that names it (with
// SO_REUSEADDR, as servers do) can listen on it. If another process names it first, the caller must try again: see PortTaken.
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
	// The side that closes first keeps its port in TIME_WAIT. Close the listening side first.
	if err := accepted.Close(); err != nil {
		return 0, err
	}
	if _, err := client.Read(make([]byte, 1)); err != io.EOF {
		return 0, err
	}
	return listener.Addr().(*net.TCPAddr).Port, nil
}

// PortTaken reports whether the child has ended because another process listens on its port. It reads the child's last output.
func (p *Process) PortTaken() bool {
	said := strings.ToLower(p.Tail())
	return p.ended() && (strings.Contains(said, "address already in use") || strings.Contains(said, "eaddrinuse"))
}
