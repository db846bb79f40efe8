package storeserver

import (
	"context"
	"testing"

	"stateless-servers/session/sessiontest/must"
)

// A replica replicates its primary, and keeps its data when it is promoted.
func TestValkeyReplica(t *testing.T) {
	primary := ForTest(t, Valkey)
	replica := must.Get(ValkeyReplica(t.Context(), primary))(t)
	defer replica.Close()
	must.Succeed(t, Exec(t.Context(), primary, "SET key value"))
	// WAIT is not sufficient, because it covers only writes of its own connection.
	ctx, cancel := context.WithTimeout(t.Context(), readyTimeout)
	defer cancel()
	must.Succeed(t, awaitLine(ctx, replica, "EXISTS key", ":1"))
	must.Succeed(t, primary.Kill())
	must.Succeed(t, Promote(t.Context(), replica))
	if reply, err := Query(t.Context(), replica, "GET key"); err != nil || reply[0] != "value" {
		t.Errorf("the promoted replica has %q, %v", reply, err)
	}
	if err := Exec(t.Context(), replica, "SET key other"); err != nil {
		t.Error(err)
	}
}
