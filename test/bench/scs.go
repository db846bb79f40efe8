package main

import (
	"net/http"
	"time"

	"github.com/alexedwards/scs/goredisstore"
	"github.com/alexedwards/scs/v2"
	"github.com/redis/go-redis/v9"
)

// scsSessions is alexedwards/scs. Its middleware loads the session of every request with a cookie, and saves it before the
// first byte of the response.
type scsSessions struct {
	manager *scs.SessionManager
	client  *redis.Client
}

// openSCS returns a function that opens the library with the idle timeout; 0, its default, is none.
func openSCS(idle time.Duration) func(string) (library, error) {
	return func(store string) (library, error) {
		client := redis.NewClient(&redis.Options{Addr: store, PoolSize: poolSize})
		manager := scs.New()
		manager.Store = goredisstore.New(client)
		manager.Lifetime, manager.IdleTimeout, manager.Cookie.Name = lifetime, idle, cookieName
		return &scsSessions{manager, client}, nil
	}
}

func (s *scsSessions) Wrap(next http.Handler) http.Handler { return s.manager.LoadAndSave(next) }

func (s *scsSessions) Close() { s.client.Close() }

func (s *scsSessions) Start(_ http.ResponseWriter, r *http.Request) error {
	s.manager.Put(r.Context(), "visits", int64(0))
	for _, pair := range seed {
		s.manager.Put(r.Context(), pair.key, pair.value)
	}
	return nil
}

func (s *scsSessions) Visits(r *http.Request) (int64, error) {
	return s.manager.GetInt64(r.Context(), "visits"), nil
}

func (s *scsSessions) Add(_ http.ResponseWriter, r *http.Request) (int64, error) {
	n := s.manager.GetInt64(r.Context(), "visits") + 1
	s.manager.Put(r.Context(), "visits", n)
	return n, nil
}

func (s *scsSessions) Logout(_ http.ResponseWriter, r *http.Request) error {
	return s.manager.Destroy(r.Context())
}
