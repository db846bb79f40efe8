package compare

import (
	"slices"
	"strings"
	"testing"

	"stateless-servers/lab/cost"
	"stateless-servers/session/sessiontest/must"
)

// The first step of a migration adds a store, the second changes no store, and the third removes one. No step replaces anything.
func TestStepsOfAMigration(t *testing.T) {
	steps := []string{"dynamodb", "dynamodb-to-valkey", "valkey-from-dynamodb", "valkey"}
	stores := func(list []ResourceChange) []string {
		var kinds []string
		for _, change := range list {
			if slices.Contains([]string{"AWS::DynamoDB::GlobalTable", "AWS::ElastiCache::ReplicationGroup"}, change.Type) {
				kinds = append(kinds, change.Type)
			}
		}
		return kinds
	}
	templates := map[string][]cost.Template{}
	for _, name := range steps {
		templates[name] = []cost.Template{golden(t, name)}
	}
	updates := []Update{{steps[0], steps[1]}, {steps[1], steps[2]}, {steps[2], steps[3]}}
	differences := must.Get(Differences(t.Context(), root, templates, updates))(t)
	for i, want := range []struct{ added, removed string }{
		{"AWS::ElastiCache::ReplicationGroup", ""}, {"", ""}, {"", "AWS::DynamoDB::GlobalTable"},
	} {
		p := differences[i]
		if got := strings.Join(stores(p.Added), " "); got != want.added {
			t.Errorf("%s to %s adds the stores %q, want %q", steps[i], steps[i+1], got, want.added)
		}
		if got := strings.Join(stores(p.Removed), " "); got != want.removed {
			t.Errorf("%s to %s removes the stores %q, want %q", steps[i], steps[i+1], got, want.removed)
		}
		if changed := append(stores(p.Updated), stores(p.MaybeReplaced)...); len(changed) > 0 || len(p.Replaced) > 0 {
			t.Errorf("%s to %s changes %v and replaces %v, want neither", steps[i], steps[i+1], changed, p.Replaced)
		}
		rolled := slices.ContainsFunc(p.Updated, func(c ResourceChange) bool { return c.Type == "AWS::EC2::LaunchTemplate" })
		if !rolled {
			t.Errorf("%s to %s doesn't replace the servers", steps[i], steps[i+1])
		}
	}
}
