package main

import (
	"slices"
	"strings"
	"testing"

	"stateless-servers/app/config"
	"stateless-servers/lab/compare"
	"stateless-servers/lab/cost"
	"stateless-servers/session/sessiontest"
	"stateless-servers/session/sessiontest/must"
	"stateless-servers/stacks"
)

// Every key has a row, except those that can't change on their own.
func TestEveryKeyHasAChange(t *testing.T) {
	listed := map[string]bool{"sticky": true} // follows from the store
	for _, c := range changes() {
		for key := range strings.SplitSeq(c.keys, ", ") {
			listed[key] = true
			if _, set := c.to[key]; !set && key != "store" && !strings.HasPrefix(key, "migrate") {
				t.Errorf("the change of %s doesn't set %s", c.keys, key)
			}
		}
	}
	for _, key := range stacks.Keys() {
		if listed[key.Name] == slices.Contains(unchangeable(), key.Name) {
			t.Errorf("%s is neither in changes nor in unchangeable, or in both: add it, and run go generate ./test/reference", key.Name)
		}
	}
	// A key of some stores only has an outcome for each of them.
	results := must.Get(readOutcomes())(t)
	for _, key := range stacks.Keys() {
		for i, k := range kinds() {
			for _, store := range key.Stores {
				if store != k.stores[0] || key.Requires != "" {
					continue
				}
				found := false
				for _, c := range changes() {
					found = found || strings.Contains(", "+c.keys+",", ", "+key.Name+",") && results[c.id()][i] != ""
				}
				sharded := k.keys["shards"] != ""
				if !found && !(key.Name == "serverless" && sharded) && !(key.Name == "durability" && !sharded) {
					t.Errorf("no outcome of %s for %s", key.Name, k.name)
				}
			}
		}
	}
}

// checkOutcomes computes outcomes anew and compares them with the file.
func checkOutcomes(t *testing.T, wanted func(change) bool) {
	t.Helper()
	t.Setenv("CDK_VALIDATION", "false")
	stored := must.Get(readOutcomes())(t)
	computed := must.Get(computeOutcomes(t.Context(), wanted))(t)
	count := 0
	for change, results := range computed {
		for i, result := range results {
			count++
			if stored[change][i] != result {
				t.Errorf("%s with %s: %s, and %s in %s: run go generate ./test/reference", change, kinds()[i].name, result,
					stored[change][i], outcomesFile)
			}
		}
	}
	if count == 0 {
		t.Error("nothing was compared")
	}
}

// resizes reports whether the change resizes a cache.
func resizes(c change) bool {
	return c.not != nil && slices.Contains([]string{"shards", "replicas", "nodes"}, c.keys)
}

func TestOutcomesOfResizingAreUpToDate(t *testing.T) {
	checkOutcomes(t, resizes)
}

func TestOtherOutcomesAreUpToDate(t *testing.T) {
	sessiontest.Long(t)
	checkOutcomes(t, func(c change) bool { return !resizes(c) })
}

// Redis OSS has the constructs of Valkey, and so the same outcomes.
func TestRedisIsLikeValkey(t *testing.T) {
	sessiontest.Long(t)
	t.Setenv("CDK_VALIDATION", "false")
	swap := func(k kind) kind {
		k.stores = []config.StoreKind{stacks.StoreRedis}
		return k
	}
	stored := must.Get(readOutcomes())(t)
	for i, k := range kinds() {
		if k.stores[0] != config.StoreValkey {
			continue
		}
		for _, c := range changes() {
			if c.not == nil || c.not(k) || c.keys == "durability" { // which Redis OSS doesn't have
				continue
			}
			before, after := settingsOf(c, swap(k))
			from, err := synthesize(before)
			must.Succeed(t, err)
			to, err := synthesize(after)
			must.Succeed(t, err)
			pairs, err := compare.Differences(t.Context(), root, map[string][]cost.Template{"from": from, "to": to}, []compare.Update{{From: "from", To: "to"}})
			must.Succeed(t, err)
			if got := pairs[0].Sessions.Result; got != stored[c.id()][i] {
				t.Errorf("%s of redis: %s, want %s as with valkey", c.id(), got, stored[c.id()][i])
			}
		}
	}
}

// What the documentation promises of resizing.
func TestResizingKeepsSessions(t *testing.T) {
	results := must.Get(readOutcomes())(t)
	for _, test := range []struct {
		change string
		kind   int
		want   compare.Result
	}{
		{"shards: shards=3", 2, compare.SessionsKept}, {"shards: shards=3", 1, compare.SessionsLost},
		{"replicas: replicas=2", 1, compare.SessionsKept}, {"replicas: replicas=2", 2, compare.UpdateRefused},
		{"nodes: nodes=3", 4, compare.SomeSessionsLost}, {"zones: zones=3", 3, compare.SessionsLost},
		{"zones: zones=3", 0, compare.SessionsKept}, {"zones: zones=3", 6, compare.SessionsKept},
		{"instanceType: instanceType=c7g.large", 9, compare.SessionsLost}, {"cacheNodeType: cacheNodeType=cache.r7g.large", 1, compare.SessionsKept},
		{"store: ", 0, compare.SessionsLost}, {"cloudfront: cloudfront=true", 0, compare.NewAddress},
	} {
		if got := results[test.change][test.kind]; got != test.want {
			t.Errorf("%s with %s: %q, want %q", test.change, kinds()[test.kind].name, got, test.want)
		}
	}
}
