package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"

	"stateless-servers/app/config"
	"stateless-servers/app/leaderboard"
	"stateless-servers/session"
	"stateless-servers/session/memory"
	"stateless-servers/session/migrate"
)

// storage holds the server's session store and leaderboard. It connects on first use, so a server may start before its store.
type storage struct {
	sessions func(session.Options) (*session.Manager, error)
	board    leaderboard.Board // nil if the store supports none
	keySet   http.Handler      // for /.well-known/jwks.json; nil unless public keys verify tokens
	closers  []func()
	retries  []func() int64 // each returns the number of retried writes of a store
}

// conflicts returns the number of writes that were retried because of a concurrent write.
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

// cookieName is the name of the session cookie, without its prefix.
const cookieName = "session"

// openStorage opens the configured store, and during a migration also the second one. Background work of the stores ends
// with close.
func openStorage(ctx context.Context, c config.Config, logger *slog.Logger) (*storage, error) {
	s := &storage{}
	if !c.Store.ServerSide() {
		codec, err := s.openCodec(ctx, c, logger)
		s.sessions = func(o session.Options) (*session.Manager, error) {
			if c.Store == config.StoreToken {
				o.TokenHeader = "Authorization"
			}
			return session.NewWithCodec(codec, o)
		}
		return s, err
	}
	store, board, err := openers()[c.Store](s, ctx, c, logger)
	if err != nil {
		return nil, err
	}
	s.board = board
	if other := c.MigrateFrom + c.MigrateTo; other != "" { // at most one of them is set
		second, _, err := openers()[other](s, ctx, c, logger)
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

// An opener opens a server-side store and its leaderboard, which is nil if the store supports none.
type opener func(*storage, context.Context, config.Config, *slog.Logger) (session.Store, leaderboard.Board, error)

// openers returns the openers of the server-side stores, by their values of SESSION_STORE. CONTRIBUTING.md describes how to
// add one.
func openers() map[config.StoreKind]opener {
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

// byURL returns the opener of an added store, which needs no other configuration than config.StoreURL. If the store is an
// io.Closer, it is closed when the server ends. The built-in stores don't use byURL. It makes a new store a single line in
// openers, as CONTRIBUTING.md describes and TestAddedStore tests.
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
