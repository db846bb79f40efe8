package storeserver

import (
	"context"
	"testing"
)

// A replica follows, and keeps what it has when it is promoted.
func TestValkeyReplica(t *testing.T) {
	primary := ForTest(t, Valkey)
	replica, err := ValkeyReplica(t.Context(), primary)
	if err != nil {
		t.Fatal(err)
	}
	defer replica.Close()
	if err := Exec(t.Context(), primary, "SET key value"); err != nil {
		t.Fatal(err)
	}
	// WAIT would not do: it answers for what its own connection has written.
	ctx, cancel := context.WithTimeout(t.Context(), readyTimeout)
	defer cancel()
	if err := awaitLine(ctx, replica, "EXISTS key", ":1"); err != nil {
		t.Fatal(err)
	}
	if err := primary.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := Promote(t.Context(), replica); err != nil {
		t.Fatal(err)
	}
	if answer, err := Query(t.Context(), replica, "GET key"); err != nil || answer[0] != "value" {
		t.Errorf("it has %q %v", answer, err)
	}
	if err := Exec(t.Context(), replica, "SET key other"); err != nil {
		t.Error(err)
	}
}
