package storeserver

import (
	"testing"

	"stateless-servers/session/sessiontest/must"
)

// A forwarder refuses connections until it accepts them again, at the same address.
func TestForwarderRefuses(t *testing.T) {
	server := ForTest(t, Valkey)
	forwarder := Forward(t, server.Addr)
	must.Succeed(t, PingValkey(t.Context(), forwarder.Addr))
	forwarder.Refuse()
	if err := PingValkey(t.Context(), forwarder.Addr); err == nil {
		t.Error("a connection succeeded after Refuse")
	}
	must.Succeed(t, forwarder.Accept())
	if err := PingValkey(t.Context(), forwarder.Addr); err != nil {
		t.Error(err)
	}
}

func TestForwarderClosesAfter(t *testing.T) {
	server := ForTest(t, Valkey)
	forwarder := Forward(t, server.Addr)
	forwarder.CloseAfter("PONG")
	through := &Server{Addr: forwarder.Addr}
	must.Get(Query(t.Context(), through, "DBSIZE"))(t)
	if err := PingValkey(t.Context(), forwarder.Addr); err == nil {
		t.Error("the reply to PING arrived")
	}
	forwarder.Mute(false)
	must.Succeed(t, PingValkey(t.Context(), forwarder.Addr))
}
