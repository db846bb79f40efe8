package storeserver

import (
	"context"
	"crypto/tls"
	"errors"
	"testing"

	"github.com/bradfitz/gomemcache/memcache"
)

func putItem(_ context.Context, s *Server) error {
	return memcache.New(s.Addr).Set(&memcache.Item{Key: "here", Value: []byte("1")})
}

func holdsItem(_ context.Context, s *Server) (bool, error) {
	_, err := memcache.New(s.Addr).Get("here")
	if errors.Is(err, memcache.ErrCacheMiss) {
		return false, nil
	}
	return err == nil, err
}

func TestServersWithTLS(t *testing.T) {
	for name, start := range map[string]func(context.Context, ...Option) (*Server, error){
		"memcached": MemcachedTLS, "valkey": ValkeyTLS,
	} {
		t.Run(name, func(t *testing.T) {
			s := ForTest(t, start)
			roots, err := s.RootCAs()
			must(t, err)
			conn, err := tls.Dial("tcp", s.Addr, &tls.Config{RootCAs: roots})
			must(t, err)
			must(t, conn.Close())
			if conn, err := tls.Dial("tcp", s.Addr, &tls.Config{}); err == nil {
				conn.Close()
				t.Error("its certificate is by an authority that everybody trusts")
			}
		})
	}
}
