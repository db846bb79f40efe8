package experiment

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"stateless-servers/session/sessiontest"
	"stateless-servers/session/sessiontest/must"
	"stateless-servers/session/sessiontest/storeserver"
)

// A soak that is interrupted during a fault of the store ends, and leaves no files.
func TestInterruptedSoakLeavesNothing(t *testing.T) {
	sessiontest.Long(t)
	storeserver.SkipIfSkipped(t, "valkey")
	must.Get(server())(t)
	for _, amid := range []string{"the store is paused", "the store is killed"} {
		t.Run(amid, func(t *testing.T) {
			t.Setenv("TMPDIR", t.TempDir())
			ctx, interrupt := context.WithCancel(t.Context())
			defer interrupt()
			runner := testRunner(t)
			runner.Phase, runner.Length = 200*time.Millisecond, time.Minute
			met := false
			runner.Report = func(line string) {
				if t.Log(line); strings.Contains(line, amid) {
					met = true
					time.AfterFunc(300*time.Millisecond, interrupt)
				}
			}
			if o, err := Run(ctx, soak{onDisk, time.Second, 20}, runner); err == nil || !met {
				t.Errorf("the interrupted soak has the verdict %s (%s), want an error during the fault", o.Verdict, o.Reason)
			}
			left, err := os.ReadDir(os.TempDir())
			if err != nil || len(left) > 0 {
				t.Errorf("left behind: %v %v", left, err)
			}
		})
	}
}
