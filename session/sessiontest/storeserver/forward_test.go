package storeserver

import "testing"

// A forwarder refuses connections until it accepts them again, at the same address.
func TestForwarderRefuses(t *testing.T) {
	server := ForTest(t, Valkey)
	forwarder := Forward(t, server.Addr)
	if err := PingValkey(t.Context(), forwarder.Addr); err != nil {
		t.Fatal(err)
	}
	forwarder.Refuse()
	if err := PingValkey(t.Context(), forwarder.Addr); err == nil {
		t.Error("a connection succeeded after Refuse")
	}
	if err := forwarder.Accept(); err != nil {
		t.Fatal(err)
	}
	if err := PingValkey(t.Context(), forwarder.Addr); err != nil {
		t.Error(err)
	}
}
