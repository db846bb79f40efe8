package storeserver

import (
	"context"
	"testing"
)

// A replica replicates its primary, and keeps its data when it is promoted.
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
	// WAIT is not sufficient, because it covers only writes of its own connection.
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
	if reply, err := Query(t.Context(), replica, "GET key"); err != nil || reply[0] != "value" {
		t.Errorf("the promoted replica has %q, %v", reply, err)
	}
	if err := Exec(t.Context(), replica, "SET key other"); err != nil {
		t.Error(err)
	}
}
