package memcached

import (
	"errors"
	"hash/fnv"
	"net"

	"github.com/bradfitz/gomemcache/memcache"
)

// A node is the address of a server, host:port. The host is looked up with every dial: a node that is replaced keeps its
// name, but not its IP address.
type node string

func (n node) Network() string { return "tcp" }
func (n node) String() string  { return string(n) }

// nodes picks the node of a key: the one that, hashed with the key, gives the greatest number (rendezvous hashing). A node
// more or less moves no other sessions than those that it gets or had. No node stands in for one that is down: two nodes
// would have the same session in different states.
type nodes []node

var _ memcache.ServerSelector = nodes(nil)

// PickServer returns the node of a key.
func (list nodes) PickServer(key string) (net.Addr, error) {
	best, most := list[0], uint64(0)
	for _, n := range list {
		hash := fnv.New64a()
		hash.Write([]byte(n))
		hash.Write([]byte{0})
		hash.Write([]byte(key))
		if score := mix(hash.Sum64()); score > most {
			best, most = n, score
		}
	}
	return best, nil
}

// Each calls f for every node.
func (list nodes) Each(f func(net.Addr) error) error {
	var errs []error
	for _, n := range list {
		errs = append(errs, f(n))
	}
	return errors.Join(errs...)
}

// mix spreads what FNV leaves similar, in the way of MurmurHash3's finalizer.
func mix(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}
