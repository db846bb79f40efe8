package memory_test

import (
	"testing"

	"stateless-servers/session"
	"stateless-servers/session/memory"
	"stateless-servers/session/sessiontest"
)

func TestStore(t *testing.T) { sessiontest.Run(t, memory.New()) }

func TestFaults(t *testing.T) { sessiontest.RunStoreFaults(t, memory.New()) }

// TestServers gives each server a store of its own, so that sessions are not shared.
func TestServers(t *testing.T) {
	sessiontest.RunServers(t, func(o session.Options) (*session.Manager, error) { return session.New(memory.New(), o) })
}
