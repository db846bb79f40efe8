package storeserver

import (
	"context"
	"crypto/tls"
	"errors"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"stateless-servers/session/sessiontest/must"
)

func putItem(ctx context.Context, s *Server) error {
	return memcacheClient(ctx, s).Set(&memcache.Item{Key: "here", Value: []byte("1")})
}

func holdsItem(ctx context.Context, s *Server) (bool, error) {
	_, err := memcacheClient(ctx, s).Get("here")
	if errors.Is(err, memcache.ErrCacheMiss) {
		return false, nil
	}
	return err == nil, err
}

// memcacheClient returns a client with the deadline of ctx, or a timeout of a minute.
func memcacheClient(ctx context.Context, s *Server) *memcache.Client {
	client := memcache.New(s.Addr)
	client.Timeout = time.Minute
	if deadline, ok := ctx.Deadline(); ok {
		client.Timeout = time.Until(deadline)
	}
	return client
}

func TestServersWithTLS(t *testing.T) {
	for name, start := range map[string]func(context.Context, ...Option) (*Server, error){
		"memcached": MemcachedTLS, "valkey": ValkeyTLS,
	} {
		t.Run(name, func(t *testing.T) {
			s := ForTest(t, start)
			roots := must.Get(s.RootCAs())(t)
			conn := must.Get(tls.Dial("tcp", s.Addr, &tls.Config{RootCAs: roots}))(t)
			must.Succeed(t, conn.Close())
			if conn, err := tls.Dial("tcp", s.Addr, &tls.Config{}); err == nil {
				conn.Close()
				t.Error("the certificate is trusted without RootCAs")
			}
		})
	}
}
