package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"stateless-servers/app/config"
	"stateless-servers/app/leaderboard"
	"stateless-servers/session"
	"stateless-servers/session/cookie"
	"stateless-servers/session/memory"
	"stateless-servers/session/migrate"
	"stateless-servers/session/sealing"
	"stateless-servers/session/token"
)

// storage is where the server keeps what outlives a request. It doesn't connect until it is used: a server may start
// before its store does.
type storage struct {
	sessions func(session.Options) (*session.Manager, error)
	board    leaderboard.Board // nil where the store keeps none
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
		codec, err := newCodec(c)
		s.sessions = func(o session.Options) (*session.Manager, error) { return session.NewWithCodec(codec, o) }
		return s, err
	}
	store, board, err := stores()[c.Store](s, ctx, c, logger)
	if err != nil {
		return nil, err
	}
	s.board = board
	if other := c.MigrateFrom + c.MigrateTo; other != "" { // at most one is set
		second, _, err := stores()[other](s, ctx, c, logger)
		if err != nil {
			s.close()
			return nil, err
		}
		if c.MigrateFrom != "" {
			store = migrate.Move(second, store)
		} else {
			store = migrate.Prepare(store, second)
		}
	}
	s.sessions = func(o session.Options) (*session.Manager, error) { return session.New(store, o) }
	return s, nil
}

func newCodec(c config.Config) (session.Codec, error) {
	keys, err := sealing.ParseKeys(c.SessionKeys)
	if err != nil {
		return nil, err
	}
	if c.Store == config.StoreToken {
		return token.New(keys, token.Options{Issuer: "stateless-servers", Audience: "stateless-servers"})
	}
	return cookie.New(keys, cookieName)
}

// An opener sets up a store on servers, and the leaderboard that goes with it, nil if none does.
type opener func(*storage, context.Context, config.Config, *slog.Logger) (session.Store, leaderboard.Board, error)

// stores are those on servers, by what SESSION_STORE calls them. CONTRIBUTING.md says how to add one.
func stores() map[config.StoreKind]opener {
	return map[config.StoreKind]opener{
		config.StoreDynamoDB:  (*storage).openDynamoDB,
		config.StoreValkey:    (*storage).openValkey,
		config.StoreMemcached: (*storage).openMemcached,
		config.StorePostgres:  (*storage).openPostgres,
		config.StoreMemory:    (*storage).openMemory,
	}
}

func (s *storage) openMemory(context.Context, config.Config, *slog.Logger) (session.Store, leaderboard.Board, error) {
	return memory.NewLimited(planMemory().sessions), leaderboard.NewMemory(), nil
}

// byURL opens an added store, which the value of config.StoreURL says everything of. If it is an io.Closer, it is closed
// when the server ends. No store above uses it: it is what makes a new one a single line here, as CONTRIBUTING.md promises
// and TestAddedStore holds.
func byURL[S session.Store](open func(url string) (S, error)) opener {
	return func(s *storage, _ context.Context, c config.Config, _ *slog.Logger) (session.Store, leaderboard.Board, error) {
		store, err := open(c.StoreURL)
		if err != nil {
			return nil, nil, fmt.Errorf("open the store at STORE_URL: %w", err)
		}
		if closer, ok := any(store).(io.Closer); ok {
			s.closers = append(s.closers, func() { closer.Close() })
		}
		return store, nil, nil
	}
}
