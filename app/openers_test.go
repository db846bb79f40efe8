package main

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"

	"stateless-servers/app/config"
	"stateless-servers/session"
	"stateless-servers/session/memory"
	"stateless-servers/session/sessiontest/must"
)

// The promises of a DynamoDB store follow from its environment variables.
func TestPromisesOfDynamoDB(t *testing.T) {
	for _, test := range []struct {
		environment string
		want        func(session.Promises) bool
	}{
		{"", func(p session.Promises) bool { return p.ReadYourWrites && !p.OneRegion }},
		{"DYNAMODB_REPLICATED=true", func(p session.Promises) bool { return p.ReadYourWrites && p.OneRegion }},
		{"DYNAMODB_EVENTUAL_READS=true", func(p session.Promises) bool { return !p.ReadYourWrites && !p.OneRegion }},
		{"DYNAMODB_DAX=daxs://cluster", func(p session.Promises) bool { return !p.ReadYourWrites && !p.OneRegion }},
	} {
		c, err := config.Parse([]string{"SESSION_STORE=dynamodb", "DYNAMODB_TABLE=sessions", "AWS_REGION=eu-west-1",
			test.environment})
		must.Succeed(t, err)
		storage, err := openStorage(t.Context(), c, slog.New(slog.DiscardHandler))
		must.Succeed(t, err)
		defer storage.close()
		manager, err := storage.sessions(session.Options{CookieName: cookieName})
		must.Succeed(t, err)
		if p := manager.Promises(); !test.want(p) {
			t.Errorf("%s: %+v", test.environment, p)
		}
	}
}

// Memcached supports no leaderboard.
func TestMemcachedHasNoLeaderboard(t *testing.T) {
	s, err := openStorage(t.Context(), config.Config{Store: config.StoreMemcached, MemcachedAddresses: []string{"127.0.0.1:1"}},
		slog.New(slog.DiscardHandler))
	must.Succeed(t, err)
	defer s.close()
	if s.board != nil {
		t.Errorf("the leaderboard is %T, want none", s.board)
	}
}

// The token of IAM authentication names the kind of cache.
func TestIAMTokenNamesTheKindOfCache(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "key")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	for _, serverless := range []bool{false, true} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		must.Succeed(t, err)
		received := make(chan string, 1)
		go func() {
			conn, err := listener.Accept()
			if err != nil {
				received <- err.Error()
				return
			}
			defer conn.Close()
			text := make([]byte, 4096)
			n, _ := io.ReadAtLeast(conn, text, 200)
			received <- string(text[:n])
		}()
		var s storage
		store, _, err := s.openValkey(t.Context(), config.Config{
			ValkeyAddress: listener.Addr().String(), ValkeyUser: "servers", ValkeyCacheName: "cache",
			ValkeyServerless: serverless, Region: "eu-west-1",
		}, slog.New(slog.DiscardHandler))
		must.Succeed(t, err)
		if err := store.Ping(t.Context()); err == nil {
			t.Error("the ping succeeds without a reply, want an error")
		}
		command := <-received
		listener.Close()
		s.close()
		if !strings.Contains(command, "cache/?Action=connect") ||
			strings.Contains(command, "ResourceType=ServerlessCache") != serverless {
			t.Errorf("serverless is %v: the server sends %s", serverless, command)
		}
	}
}

// An added store is opened with its URL and closed at the end. Its error is wrapped.
func TestAddedStoreIsOpenedByItsURL(t *testing.T) {
	var closed []string
	open := byURL(func(url string) (closable, error) {
		if url == "" {
			return closable{}, errors.New("no URL")
		}
		return closable{memory.New(), func() { closed = append(closed, url) }}, nil
	})
	s, logger := &storage{}, slog.New(slog.DiscardHandler)
	if _, _, err := open(s, t.Context(), config.Config{}, logger); err == nil ||
		err.Error() != "open the store at STORE_URL: no URL" {
		t.Errorf("without a URL: %v", err)
	}
	store, board, err := open(s, t.Context(), config.Config{StoreURL: "there"}, logger)
	if err != nil || board != nil || store.Promises().Name != "memory" {
		t.Errorf("got %v, %v, %v", store, board, err)
	}
	if s.close(); !slices.Equal(closed, []string{"there"}) {
		t.Errorf("closed %q", closed)
	}
}

type closable struct {
	session.Store
	close func()
}

func (c closable) Close() error { c.close(); return nil }
