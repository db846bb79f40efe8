package memory_test

import (
	"testing"

	"stateless-servers/app/session/memory"
	"stateless-servers/app/session/sessiontest"
)

func TestStore(t *testing.T) { sessiontest.Run(t, memory.New()) }
