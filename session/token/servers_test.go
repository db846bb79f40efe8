package token_test

import (
	"testing"

	"stateless-servers/session"
	"stateless-servers/session/sealing"
	"stateless-servers/session/sessiontest"
	"stateless-servers/session/token"
)

// TestServers runs the suite on servers that share only their key.
func TestServers(t *testing.T) {
	sessiontest.RunServers(t, func(o session.Options) (*session.Manager, error) {
		keys, err := sealing.ParseKeys("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
		if err != nil {
			return nil, err
		}
		codec, err := token.New(keys, token.Options{Issuer: "test", Audience: "test"})
		if err != nil {
			return nil, err
		}
		return session.NewWithCodec(codec, o)
	})
}
