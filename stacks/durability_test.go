package stacks

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2/assertions"
)

func TestDurableValkey(t *testing.T) {
	for _, durability := range []string{"async", "sync"} {
		_, lab := synth(t, map[string]any{"store": "valkey", "durability": durability, "shards": "2", "cacheNodeType": "cache.r7g.large"})
		expectProperties(t, lab, "AWS::ElastiCache::ReplicationGroup", map[string]any{
			"Engine": "valkey", "EngineVersion": "9.0", "CacheParameterGroupName": "default.valkey9.cluster.on", "Durability": durability,
			"NumNodeGroups": 2, "ReplicasPerNodeGroup": 1, "MultiAZEnabled": true, "AutomaticFailoverEnabled": true,
			"TransitEncryptionEnabled": true, "AtRestEncryptionEnabled": true,
		})
		text, err := json.Marshal(onlyResource(t, lab, "AWS::CloudWatch::Dashboard"))
		if err != nil || !strings.Contains(string(text), "DurabilityLag") {
			t.Errorf("%s: the dashboard lacks the age of writes that are not durable: %v", durability, err)
		}
		expectProperties(t, lab, "AWS::CloudWatch::Alarm", map[string]any{"Threshold": 5000})
	}
	_, lab := synth(t, variants["valkey-cluster"])
	expectProperties(t, lab, "AWS::ElastiCache::ReplicationGroup", map[string]any{"Durability": assertions.Match_Absent()})
}

// CloudFormation can't make a cache durable in place, but it can change the kind of durability.
func TestDurabilityReplacesTheCacheOnlyIfItMust(t *testing.T) {
	ids := map[string]string{} // of the replication group, by durability
	for _, durability := range []string{"none", "async", "sync"} {
		_, lab := synth(t, map[string]any{"store": "valkey", "durability": durability, "shards": "2", "cacheNodeType": "cache.r7g.large"})
		for id, r := range resources(t, lab) {
			if r.Type == "AWS::ElastiCache::ReplicationGroup" {
				ids[durability] = id
			}
		}
	}
	if ids["none"] == ids["async"] || ids["async"] != ids["sync"] {
		t.Errorf("the logical ids are %v, want that of none to differ from the others, which are equal", ids)
	}
}
