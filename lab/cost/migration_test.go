package cost

import (
	"math"
	"slices"
	"strings"
	"testing"
)

// durableWrites is the entry in Bill.NotPriced for a cache with durability=sync.
const durableWrites = "AWS::ElastiCache::ReplicationGroup (what AWS charges for durability=sync: see https://aws.amazon.com/elasticache/pricing/)"

// The bill of a migration has the requests in the store of the deployment, and of the other store what it costs when idle.
func TestMigrationIsBilledOnce(t *testing.T) {
	e := estimator(t)
	const nodes = 2 * 0.0128 * 730
	for _, test := range []struct {
		migration, alone, other string
		otherUSD                float64 // the store's lines
	}{
		{"dynamodb-to-valkey", "dynamodb", "valkey", nodes},
		{"valkey-from-dynamodb", "valkey", "dynamodb", 0},
		{"memcached-from-postgres", "memcached", "postgres", 2 * 0.5 * 0.12 * 730},
	} {
		both, alone := e.Bill(golden(t, test.migration), usual), e.Bill(golden(t, test.alone), usual)
		if got := both.Group("store") - alone.Group("store"); math.Abs(got-test.otherUSD) > 0.01 {
			t.Errorf("%s: the other store costs %.2f USD, want %.2f", test.migration, got, test.otherUSD)
		}
		for _, group := range []string{"servers", "load balancer", "network"} {
			if got, want := both.Group(group), alone.Group(group); math.Abs(got-want) > 0.01 {
				t.Errorf("%s: %s cost %.2f USD, want %.2f as with %s alone", test.migration, group, got, want, test.alone)
			}
		}
		note := "the bill has the requests in " + test.alone + ", and " + test.other + " idle"
		if !slices.ContainsFunc(both.Notes, func(n string) bool { return strings.Contains(n, note) }) {
			t.Errorf("%s: the notes %q lack %q", test.migration, both.Notes, note)
		}
	}
}

func TestDurableCacheIsBilled(t *testing.T) {
	bill := estimator(t).Bill(golden(t, "valkey-durable"), usual)
	if got, want := usd(bill, "valkey, 2 × cache.m7g.large"), 2*0.1264*730; math.Abs(got-want) > 0.001 {
		t.Errorf("the nodes cost %.2f USD, want %.2f", got, want)
	}
	if !slices.Equal(bill.NotPriced, []string{durableWrites}) {
		t.Errorf("%q are not priced, want %q", bill.NotPriced, durableWrites)
	}
}
