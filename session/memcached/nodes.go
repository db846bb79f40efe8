package memcached

import (
	"errors"
	"hash/fnv"
	"net"

	"github.com/bradfitz/gomemcache/memcache"
)

// A node is the address of a server, host:port. Each dial resolves the host, because a replaced node keeps its name but not its
// IP address.
type node string

func (n node) Network() string { return "tcp" }
func (n node) String() string  { return string(n) }

// nodes assigns each key to a node by rendezvous hashing: to the node whose hash with the key is the largest. Adding or removing
// a node moves only the sessions of that node. No other node replaces a node that is down, because then two nodes could have the
// same session in different states.
type nodes []node

var _ memcache.ServerSelector = nodes(nil)

// PickServer returns the node of a key.
func (list nodes) PickServer(key string) (net.Addr, error) {
	best, maxScore := list[0], uint64(0)
	for _, n := range list {
		hash := fnv.New64a()
		hash.Write([]byte(n))
		hash.Write([]byte{0})
		hash.Write([]byte(key))
		if score := mix(hash.Sum64()); score > maxScore {
			best, maxScore = n, score
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

// mix distributes the similar values of FNV with the finalizer of MurmurHash3.
func mix(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}
