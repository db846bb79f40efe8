package cookie_test

import (
	"testing"

	"stateless-servers/session"
	"stateless-servers/session/cookie"
	"stateless-servers/session/sealing"
	"stateless-servers/session/sessiontest"
)

// TestServers runs the suite on servers that share only their key.
func TestServers(t *testing.T) {
	sessiontest.RunServers(t, func(o session.Options) (*session.Manager, error) {
		keys, err := sealing.ParseKeys("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
		if err != nil {
			return nil, err
		}
		codec, err := cookie.New(keys, "session")
		if err != nil {
			return nil, err
		}
		return session.NewWithCodec(codec, o)
	})
}
