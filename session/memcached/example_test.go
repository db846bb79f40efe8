package memcached_test

import (
	"fmt"
	"log/slog"
	"net/http"

	"github.com/bradfitz/gomemcache/memcache"

	"stateless-servers/session"
	"stateless-servers/session/memcached"
)

// This server keeps sessions on two nodes of Amazon ElastiCache.
func Example() {
	store, err := memcached.New(memcached.Options{
		Addresses: []string{
			"sessions.abc.0001.euw1.cache.amazonaws.com:11211",
			"sessions.abc.0002.euw1.cache.amazonaws.com:11211",
		},
		TLS: true,
	})
	if err != nil {
		slog.Error("sessions", "error", err)
		return
	}
	defer store.Close()
	manager, err := session.New(store, session.Options{})
	if err != nil {
		slog.Error("sessions", "error", err)
		return
	}
	server := http.Server{Addr: ":8080", Handler: manager.Handler(http.NotFoundHandler())} // ListenAndServe it
	fmt.Println(server.Addr, manager.Promises().Name, manager.Promises().NoLostUpdate)
	// Output: :8080 memcached true
}

// This server has a client already, for other data.
func ExampleNewFromClient() {
	client := memcache.New("10.0.0.1:11211", "10.0.0.2:11211")
	client.MaxIdleConns = 64
	store := memcached.NewFromClient(client, "session:")
	fmt.Println(store.Promises().Name)
	// Output: memcached
}
