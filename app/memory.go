package main

import (
	"math"
	"os"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// What takes memory, in bytes. TestMemoryOfConnections measures it.
const (
	// connectionMemory is what one connection holds at most, while its request is under way: some 25 bytes for each of a
	// header of nothing but short lines, a form, the pages of an answer, and a connection to the store.
	connectionMemory = 704 << 10
	// ownMemory is what the server holds without a visitor.
	ownMemory = 32 << 20
	// socketBuffer is what the kernel is asked to buffer of a connection in each direction; Linux takes twice as much.
	socketBuffer = 32 << 10
)

// limitMemory tells the garbage collector to keep within nine tenths of what the process may use: the least of its
// cgroup's limit and the machine's memory. The tenth is for the kernel's buffers of its connections. Who sets GOMEMLIMIT has
// decided otherwise: the runtime obeys it, and off is without limit.
func limitMemory() {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	most := uint64(math.MaxInt64)
	for _, limit := range []memlimit.Provider{memlimit.FromCgroup, memlimit.FromSystem} {
		if bytes, err := limit(); err == nil { // an error says that there is no limit, or none to be found
			most = min(most, bytes)
		}
	}
	if most < math.MaxInt64 {
		debug.SetMemoryLimit(int64(most / 10 * 9)) // #nosec G115 -- below math.MaxInt64
	}
}

// A memoryPlan shares out the memory that the garbage collector was told to keep within.
type memoryPlan struct {
	connections int   // that may be open
	sessions    int64 // bytes of sessions that may be kept in the process
}

// planMemory gives out half of the limit: the heap may double between two collections. A quarter of that is for sessions
// that are kept in the process, the rest for the server itself and its connections.
func planMemory() memoryPlan {
	live := debug.SetMemoryLimit(-1) / 2 // a negative limit changes nothing
	sessions := live / 4
	return memoryPlan{
		connections: int(min(max(1, (live-sessions-ownMemory)/connectionMemory), math.MaxInt32)),
		sessions:    sessions,
	}
}
