package memcached

import "github.com/bradfitz/gomemcache/memcache"

// Client returns the store's client, for what an application keeps beside its sessions, under keys of another prefix. It
// knows no contexts: Options.Timeout bounds each exchange with a node.
func (s *Store) Client() *memcache.Client { return s.client }
