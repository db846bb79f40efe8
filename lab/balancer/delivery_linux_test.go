package balancer

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// awaitDelivery waits until the peer's kernel has acknowledged all written data, because a reset discards data in flight.
func awaitDelivery(t *testing.T, conn *net.TCPConn) {
	control, err := conn.SyscallConn()
	if err != nil {
		t.Error(err)
		return
	}
	waiting := 1
	for range 100_000 {
		err := control.Control(func(fd uintptr) { waiting, _ = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) })
		if err != nil || waiting == 0 {
			return
		}
		time.Sleep(100 * time.Microsecond)
	}
	t.Errorf("%d bytes are not acknowledged after ten seconds", waiting)
}
