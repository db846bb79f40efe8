package valkey_test

import (
	"testing"

	"github.com/alicebob/miniredis/v2"

	"stateless-servers/app/session/sessiontest"
	"stateless-servers/app/session/valkey"
	"stateless-servers/lab/storeserver"
)

func TestStore(t *testing.T) {
	sessiontest.Run(t, open(t, storeserver.ForTest(t, storeserver.Valkey).Addr))
}

// TestEmbedded is for the lab, which embeds miniredis where there is no real server.
func TestEmbedded(t *testing.T) {
	sessiontest.Run(t, open(t, miniredis.RunT(t).Addr()))
}

func open(t *testing.T, address string) *valkey.Store {
	store := valkey.New(valkey.Options{Address: address})
	t.Cleanup(store.Close)
	return store
}
