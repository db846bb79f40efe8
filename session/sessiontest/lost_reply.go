package sessiontest

import (
	"errors"
	"testing"

	"stateless-servers/session"
	"stateless-servers/session/sessiontest/must"
)

// RunLostReply loses the reply to an update. The store must report an error, not repeat the update, and work afterwards. Its
// connections lead through the forwarder; those of direct don't.
func RunLostReply(t *testing.T, forwarder interface {
	Mute(muted bool)
	CloseConnections()
}, direct, store session.Store) {
	id, record := Create(t, direct)
	update := Change(record, Add("n", 1))
	if _, err := store.Update(t.Context(), id, update); err != nil { // PostgreSQL prepares the statement
		t.Fatal(err)
	}
	forwarder.Mute(true)
	replied := make(chan error, 1)
	go func() {
		_, err := store.Update(t.Context(), id, update)
		replied <- err
	}()
	Eventually(t, func() error {
		got, err := direct.Load(t.Context(), id, record.Created)
		if err == nil && got.Values["n"] != "2" {
			err = errors.New("the update has not been made yet")
		}
		return err
	})
	forwarder.CloseConnections()
	forwarder.Mute(false)
	if err := <-replied; err == nil {
		t.Error("acknowledged without a reply")
	}
	Eventually(t, func() error {
		_, err := store.Load(t.Context(), id, record.Created)
		return err
	})
	got := must.Get(direct.Load(t.Context(), id, record.Created))(t)
	if got.Values["n"] != "2" {
		t.Errorf("got %v, want the addition once", got.Values)
	}
	Eventually(t, func() error {
		_, err := store.Update(t.Context(), id, update)
		return err
	})
}
