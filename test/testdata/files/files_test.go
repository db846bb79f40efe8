package files

import (
	"testing"

	"stateless-servers/session"
	"stateless-servers/session/sessiontest"
)

func open(t *testing.T, url string) *Store {
	store, err := Open(url)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func TestStore(t *testing.T) { sessiontest.Run(t, open(t, "file://"+t.TempDir())) }

func TestFaults(t *testing.T) { sessiontest.RunStoreFaults(t, open(t, "file://"+t.TempDir())) }

// TestServers gives each server its own store, in the same folder.
func TestServers(t *testing.T) {
	url := "file://" + t.TempDir()
	sessiontest.RunServers(t, func(o session.Options) (*session.Manager, error) {
		return session.New(open(t, url), o)
	})
}
