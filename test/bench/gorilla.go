package main

import (
	"fmt"
	"net/http"

	"github.com/boj/redistore"
)

// gorillaSessions is gorilla/sessions with boj/redistore. The handler loads the session and saves it.
type gorillaSessions struct{ store *redistore.RediStore }

func openGorilla(store string) (library, error) {
	// Servers that share sessions have to share the key that signs cookies.
	s, err := redistore.NewRediStore(poolSize, "tcp", store, "", "", []byte("the signing key of the benchmark"))
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", store, err)
	}
	s.SetMaxAge(int(lifetime.Seconds()))
	return &gorillaSessions{s}, nil
}

func (g *gorillaSessions) Wrap(next http.Handler) http.Handler { return next }

func (g *gorillaSessions) Close() { g.store.Close() }

func (g *gorillaSessions) Start(w http.ResponseWriter, r *http.Request) error {
	s, err := g.store.Get(r, cookieName)
	if err != nil {
		return err
	}
	s.Values["visits"] = int64(0)
	for _, pair := range seed {
		s.Values[pair.key] = pair.value
	}
	return s.Save(r, w)
}

func (g *gorillaSessions) Visits(r *http.Request) (int64, error) {
	s, err := g.store.Get(r, cookieName)
	if err != nil {
		return 0, err
	}
	n, _ := s.Values["visits"].(int64)
	return n, nil
}

func (g *gorillaSessions) Add(w http.ResponseWriter, r *http.Request) (int64, error) {
	s, err := g.store.Get(r, cookieName)
	if err != nil {
		return 0, err
	}
	n, _ := s.Values["visits"].(int64)
	n++
	s.Values["visits"] = n
	return n, s.Save(r, w)
}

func (g *gorillaSessions) Logout(w http.ResponseWriter, r *http.Request) error {
	s, err := g.store.Get(r, cookieName)
	if err != nil {
		return err
	}
	s.Options.MaxAge = -1
	return s.Save(r, w)
}
