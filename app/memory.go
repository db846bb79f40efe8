package main

import (
	"math"
	"os"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// Memory usage in bytes. TestMemoryOfConnections measures it.
const (
	// connectionMemory is the maximum memory of one connection during a request: the header, which takes about 25 times its
	// size if it has only short lines, a form, the response, and a connection to the store.
	connectionMemory = 704 << 10
	// baseMemory is the memory of the server without visitors.
	baseMemory = 32 << 20
	// socketBuffer is the requested size of a connection's kernel buffer in each direction. Linux doubles it.
	socketBuffer = 32 << 10
)

// limitMemory sets the garbage collector's memory limit to nine tenths of the memory that the process may use: the smaller of
// its cgroup's limit and the machine's memory. The rest is for the kernel's socket buffers. If GOMEMLIMIT is set, limitMemory
// does nothing, because the runtime obeys that variable; its value off means no limit.
func limitMemory() {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	limit := uint64(math.MaxInt64)
	for _, provider := range []memlimit.Provider{memlimit.FromCgroup, memlimit.FromSystem} {
		if bytes, err := provider(); err == nil { // an error means that no limit is known
			limit = min(limit, bytes)
		}
	}
	if limit < math.MaxInt64 {
		debug.SetMemoryLimit(int64(limit / 10 * 9)) // #nosec G115 -- below math.MaxInt64
	}
}

// A memoryPlan divides the garbage collector's memory limit.
type memoryPlan struct {
	connections int   // the maximum number of open connections
	sessions    int64 // the maximum size of sessions in the memory of the process, in bytes
}

// planMemory divides half of the memory limit, because the heap may double between two garbage collections. A quarter of
// that half is for sessions in the memory of the process. The rest is for the server itself and its connections.
func planMemory() memoryPlan {
	live := debug.SetMemoryLimit(-1) / 2 // a negative limit changes nothing
	sessions := live / 4
	return memoryPlan{
		connections: int(min(max(1, (live-sessions-baseMemory)/connectionMemory), math.MaxInt32)),
		sessions:    sessions,
	}
}
