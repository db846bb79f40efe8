package stacks

import (
	"encoding/json"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2/assertions"
	"github.com/aws/jsii-runtime-go"
)

// onlyOf returns the logical id and the properties of the only resource of a type.
func onlyOf(t *testing.T, lab assertions.Template, kind string) (string, map[string]any) {
	t.Helper()
	id := ""
	var properties map[string]any
	for name, r := range resources(t, lab) {
		if r.Type == kind {
			if id != "" {
				t.Fatalf("two resources of type %s", kind)
			}
			id, properties = name, r.Properties
		}
	}
	if id == "" {
		t.Fatalf("no resource of type %s", kind)
	}
	return id, properties
}

func TestShardsChangeOnline(t *testing.T) {
	_, lab := synth(t, variants["valkey-cluster"])
	expect(t, func() {
		lab.HasResource(jsii.String("AWS::ElastiCache::ReplicationGroup"), map[string]any{
			"UpdatePolicy": map[string]any{"UseOnlineResharding": true}})
	})
}

// With the zone of each node, CloudFormation adds nodes to a Memcached cluster and removes them; without, it replaces the
// cluster. The zones of the other nodes stay the same.
func TestMemcachedNodesChangeInPlace(t *testing.T) {
	zones := func(nodes, zones string) (string, []any) {
		_, lab := synth(t, map[string]any{"store": "memcached", "nodes": nodes, "zones": zones})
		id, properties := onlyOf(t, lab, "AWS::ElastiCache::CacheCluster")
		list, _ := properties["PreferredAvailabilityZones"].([]any)
		return id, list
	}
	for _, count := range []string{"2", "3"} {
		twoID, two := zones("2", count)
		fiveID, five := zones("5", count)
		if len(two) != 2 || len(five) != 5 || twoID != fiveID {
			t.Fatalf("%d zones of %s and %d zones of %s, want 2 and 5 of the same cluster", len(two), twoID, len(five), fiveID)
		}
		different := map[string]bool{}
		for i, zone := range five {
			text, _ := json.Marshal(zone)
			different[string(text)] = true
			if other, _ := json.Marshal(two[min(i, 1)]); i < 2 && string(other) != string(text) {
				t.Errorf("node %d moves from %s to %s when nodes are added", i+1, other, text)
			}
		}
		if want := int(count[0] - '0'); len(different) != want {
			t.Errorf("the nodes are in %d zones, want %d", len(different), want)
		}
	}
}

// CloudFormation refuses to replace a resource with a name, and says so before the servers roll. A change that can't keep the
// sessions gives another name or another logical id.
func TestSessionsAreNotReplacedUnderTheSameName(t *testing.T) {
	const group, cluster, cache = "AWS::ElastiCache::ReplicationGroup", "AWS::ElastiCache::CacheCluster", "AWS::ElastiCache::ServerlessCache"
	tests := []struct {
		kind, property string
		from, to       map[string]any
		same           bool
	}{
		{group, "ReplicationGroupId", map[string]any{"store": "valkey"}, map[string]any{"store": "valkey", "replicas": "2", "zones": "3"}, true},
		{group, "ReplicationGroupId", map[string]any{"store": "redis"}, map[string]any{"store": "redis", "cacheNodeType": "cache.r7g.large"}, true},
		{group, "ReplicationGroupId", map[string]any{"store": "valkey", "shards": "2"},
			map[string]any{"store": "valkey", "shards": "3", "replicas": "2"}, true},
		{group, "ReplicationGroupId", map[string]any{"store": "valkey"}, map[string]any{"store": "valkey", "shards": "2"}, false},
		{cluster, "ClusterName", map[string]any{"store": "memcached"}, map[string]any{"store": "memcached", "nodes": "3"}, true},
		{cluster, "ClusterName", map[string]any{"store": "memcached"},
			map[string]any{"store": "memcached", "cacheNodeType": "cache.r7g.large"}, false},
		{cluster, "ClusterName", map[string]any{"store": "memcached"}, map[string]any{"store": "memcached", "zones": "3"}, false},
		{cache, "ServerlessCacheName", map[string]any{"store": "valkey", "serverless": "true"},
			map[string]any{"store": "valkey", "serverless": "true", "cacheMaxGB": "9"}, true},
		{cache, "ServerlessCacheName", map[string]any{"store": "valkey", "serverless": "true"},
			map[string]any{"store": "valkey", "serverless": "true", "zones": "3"}, false},
		{cache, "ServerlessCacheName", map[string]any{"store": "memcached", "serverless": "true"},
			map[string]any{"store": "memcached", "serverless": "true", "zones": "3"}, false},
	}
	for _, test := range tests {
		name := func(keys map[string]any) string {
			_, lab := synth(t, keys)
			_, properties := onlyOf(t, lab, test.kind)
			text, _ := properties[test.property].(string)
			if text == "" || len(text) > maxSessionsName {
				t.Errorf("%v: %s is %q, want 1 to %d characters", keys, test.property, text, maxSessionsName)
			}
			return text
		}
		if from, to := name(test.from), name(test.to); (from == to) != test.same {
			t.Errorf("from %v to %v: %s is %s and then %s, want the same: %v", test.from, test.to, test.property, from, to, test.same)
		}
	}
}
