package cookie_test

import (
	"testing"

	"stateless-servers/session"
	"stateless-servers/session/cookie"
	"stateless-servers/session/sealing"
	"stateless-servers/session/sessiontest"
)

// TestServers checks what is promised on servers that share nothing but their key, and that nothing else is kept.
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
