package deploy

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"stateless-servers/session/sessiontest/must"
)

// Two labs with the same store live side by side in one account and region. Commands for one don't change the other.
func TestTwoLabs(t *testing.T) {
	ctx, a, cdk := prepare(t)
	empty := inventory(ctx, t, a)

	cdk.deploy(ctx, t, "-c", "store=valkey")
	first := left(empty, inventory(ctx, t, a))
	file := filepath.Join(t.TempDir(), "second.json")
	must.Succeed(t, os.WriteFile(file, []byte(`{"store": "valkey", "egress": "nat-instance"}`), 0o600))
	cdk.deploy(ctx, t, "-c", "config="+file)
	second := left(slices.Concat(empty, first), inventory(ctx, t, a))
	for _, name := range []string{"stack second-Network", "stack second-Lab", "cache user second-lab-valkey", "cache user group second-lab-valkey"} {
		if !slices.Contains(second, name) {
			t.Errorf("the second deployment made no %s", name)
		}
	}
	expectAll := func(when string, want []string) {
		t.Helper()
		if missing := left(inventory(ctx, t, a), want); len(missing) > 0 {
			t.Errorf("%s, %q are missing", when, missing)
		}
	}
	expectAll("after the second deployment", first)
	cdk.deploy(ctx, t) // without -c: another store for the first lab only
	expectAll("after a deployment without -c", second)
	cdk.destroy(ctx, t)
	expectAll("after the end of the first lab", second)
	cdk.deploy(ctx, t, "-c", "store=valkey")
	first = left(slices.Concat(empty, second), inventory(ctx, t, a))
	cdk.destroy(ctx, t, "-c", "config="+file)
	expectAll("after the end of the second lab", first)
	cdk.destroy(ctx, t, "-c", "store=valkey")
}
