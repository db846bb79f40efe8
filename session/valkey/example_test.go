package valkey_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"

	client "github.com/valkey-io/valkey-go"

	"stateless-servers/session"
	"stateless-servers/session/valkey"
)

func Example() {
	store := valkey.New(valkey.Options{Address: "sessions.example.com:6379", TLS: true})
	defer store.Close()
	manager, err := session.New(store, session.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(manager.Promises().Name, manager.Promises().NoLostUpdate)
	// Output: valkey true
}

// Three Sentinels know the primary.
func ExampleOptions_sentinel() {
	store := valkey.New(valkey.Options{Configure: func(o *client.ClientOption) {
		o.InitAddress = []string{"sentinel-1:26379", "sentinel-2:26379", "sentinel-3:26379"}
		o.Sentinel.MasterSet = "sessions"
		o.Username, o.Password = "web", "secret" // of the primary
	}})
	defer store.Close()
	fmt.Println(store.Promises().Name)
	// Output: valkey
}

// A Valkey on the same machine listens on a unix socket.
func ExampleOptions_unixSocket() {
	store := valkey.New(valkey.Options{
		Address: "/run/valkey/valkey.sock",
		Configure: func(o *client.ClientOption) {
			o.DialCtxFn = func(ctx context.Context, path string, dialer *net.Dialer, _ *tls.Config) (net.Conn, error) {
				return dialer.DialContext(ctx, "unix", path)
			}
		},
	})
	defer store.Close()
	fmt.Println(store.Promises().Name)
	// Output: valkey
}
