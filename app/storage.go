package main

import (
	"context"
	"log/slog"

	"stateless-servers/app/config"
	"stateless-servers/app/leaderboard"
	"stateless-servers/app/session"
	"stateless-servers/app/session/cookie"
	"stateless-servers/app/session/memory"
	"stateless-servers/app/session/migrate"
	"stateless-servers/app/session/sealing"
	"stateless-servers/app/session/token"
)

// storage is where the server keeps what outlives a request. It doesn't connect until it is used: a server may start
// before its store does.
type storage struct {
	sessions func(session.Options) (*session.Manager, error)
	board    leaderboard.Board // nil where nothing is kept on servers
	closers  []func()
	retries  []func() int64 // how often each store has tried a write again
}

// conflicts tells how often a write was tried again because another came between.
func (s *storage) conflicts() int64 {
	var sum int64
	for _, count := range s.retries {
		sum += count()
	}
	return sum
}

func (s *storage) close() {
	for _, closer := range s.closers {
		closer()
	}
}

// cookieName is the session cookie's, without its prefix.
const cookieName = "session"

// openStorage sets up the configured store, and the other one while sessions move. What the stores do in the background
// ends with close.
func openStorage(ctx context.Context, c config.Config, logger *slog.Logger) (*storage, error) {
	s := &storage{}
	if !c.Store.OnServers() {
		sealer, err := newSealer(c)
		s.sessions = func(o session.Options) (*session.Manager, error) { return session.NewSealed(sealer, o) }
		return s, err
	}
	store, board, err := s.open(ctx, c.Store, c, logger)
	if err != nil {
		return nil, err
	}
	s.board = board
	if other := c.MigrateFrom + c.MigrateTo; other != "" { // at most one is set
		second, _, err := s.open(ctx, other, c, logger)
		if err != nil {
			s.close()
			return nil, err
		}
		if c.MigrateFrom != "" {
			store = migrate.From(second, store)
		} else {
			store = migrate.Prepare(store, second)
		}
	}
	s.sessions = func(o session.Options) (*session.Manager, error) { return session.New(store, o) }
	return s, nil
}

func newSealer(c config.Config) (session.Sealer, error) {
	keys, err := sealing.ParseKeys(c.SessionKeys)
	if err != nil {
		return nil, err
	}
	if c.Store == config.StoreToken {
		return token.New(keys, token.Options{Issuer: "stateless-servers", Audience: "stateless-servers"})
	}
	return cookie.New(keys, cookieName)
}

// open sets up a store on servers, and the leaderboard that goes with it.
func (s *storage) open(ctx context.Context, name config.Store, c config.Config, logger *slog.Logger) (session.Store, leaderboard.Board, error) {
	switch name {
	case config.StoreValkey:
		return s.openValkey(c)
	case config.StoreDynamoDB:
		return s.openDynamoDB(c)
	case config.StoreMemcached:
		return s.openMemcached(c)
	case config.StorePostgres:
		return s.openPostgres(ctx, c, logger)
	default:
		return memory.New(), leaderboard.NewMemory(), nil
	}
}
