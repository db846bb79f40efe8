package compare

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"stateless-servers/lab/cost"
	"stateless-servers/session/sessiontest/must"
)

// withUpdatePolicy returns the template in which resources of the type have the update policy.
func withUpdatePolicy(t *testing.T, of cost.Template, kind string, policy any) cost.Template {
	t.Helper()
	var whole map[string]any
	must.Succeed(t, json.Unmarshal(of.Whole, &whole))
	for _, r := range whole["Resources"].(map[string]any) {
		if r := r.(map[string]any); r["Type"] == kind {
			r["UpdatePolicy"] = policy
		}
	}
	text := must.Get(json.Marshal(whole))(t)
	return cost.Template{Name: of.Name, Whole: text}
}

func TestOutcomesForSessions(t *testing.T) {
	const group, cluster, cache = "AWS::ElastiCache::ReplicationGroup", "AWS::ElastiCache::CacheCluster", "AWS::ElastiCache::ServerlessCache"
	change := func(name string, values map[string]any) [2]cost.Template {
		return [2]cost.Template{golden(t, name), withProperties(t, golden(t, name), values)}
	}
	shards := change("valkey-cluster", map[string]any{group + ".NumNodeGroups": 3})
	blunt := [2]cost.Template{withUpdatePolicy(t, shards[0], group, nil), withUpdatePolicy(t, shards[1], group, nil)}
	unnamed := [2]cost.Template{withProperties(t, blunt[0], map[string]any{}), withProperties(t, blunt[1], map[string]any{})}
	for i, template := range blunt {
		template.Resources = shards[0].Resources
		unnamed[i] = withProperties(t, template, map[string]any{group + ".ReplicationGroupId": nil})
	}
	tests := []struct {
		name    string
		update  [2]cost.Template
		want    Result
		because string
	}{
		{"nothing", change("dynamodb", nil), SessionsKept, ""},
		{"a larger node", change("valkey", map[string]any{group + ".CacheNodeType": "cache.r7g.large"}), SessionsKept, ""},
		{"more replicas without shards", change("valkey", map[string]any{group + ".NumCacheClusters": 3}), SessionsKept, ""},
		{"shards", shards, SessionsKept, ""},
		{"shards without online resharding", blunt, UpdateRefused, "ValkeyClusterReplicationGroup"},
		{"shards of a group without a name", unnamed, SessionsLost, "ValkeyClusterReplicationGroup"},
		{"replicas of shards", change("valkey-cluster", map[string]any{group + ".ReplicasPerNodeGroup": 3}), UpdateRefused,
			"ValkeyClusterReplicationGroup"},
		{"nodes", change("memcached", map[string]any{cluster + ".NumCacheNodes": 3,
			cluster + ".PreferredAvailabilityZones": []any{"a", "b", "a"}}), SomeSessionsLost, "MemcachedCluster"},
		{"other subnets and another name", change("valkey-serverless", map[string]any{cache + ".SubnetIds": []any{"a", "b"},
			cache + ".ServerlessCacheName": "other"}), SessionsLost, "ValkeyServerlessCache"},
		{"another store", [2]cost.Template{golden(t, "dynamodb"), golden(t, "valkey")}, SessionsLost, "SessionsTable"},
		{"other keys", [2]cost.Template{golden(t, "cookie"), golden(t, "token")}, SessionsLost, "CookieKeys"},
		{"the end of logins", [2]cost.Template{golden(t, "cognito"), withProperties(t, golden(t, "dynamodb"), nil)}, NewAddress, "URL"},
		{"servers with sessions", change("memory", map[string]any{"AWS::EC2::LaunchTemplate.TagSpecifications": []any{}}), SessionsLost,
			"FleetLaunchTemplate"},
		{"zones of servers with sessions", change("memory", map[string]any{"AWS::AutoScaling::AutoScalingGroup.VPCZoneIdentifier": []any{"a"}}),
			SessionsLost, "FleetGroup"},
		{"more servers with sessions", change("memory", map[string]any{"AWS::AutoScaling::AutoScalingGroup.MaxSize": "9"}), SessionsKept, ""},
		{"servers without sessions", change("cookie", map[string]any{"AWS::EC2::LaunchTemplate.TagSpecifications": []any{}}), SessionsKept, ""},
		{"CloudFront", [2]cost.Template{golden(t, "dynamodb"), golden(t, "cloudfront")}, NewAddress, "URL"},
	}
	templates := map[string][]cost.Template{}
	var updates []Update
	for _, test := range tests {
		templates[test.name+" from"], templates[test.name+" to"] = []cost.Template{test.update[0]}, []cost.Template{test.update[1]}
		updates = append(updates, Update{test.name + " from", test.name + " to"})
	}
	pairs := must.Get(Differences(t.Context(), root, templates, updates))(t)
	for i, test := range tests {
		got := pairs[i].Sessions
		because := slices.ContainsFunc(got.Causes, func(id string) bool { return strings.HasPrefix(id, test.because) })
		if got.Result != test.want || (test.because == "") != (len(got.Causes) == 0) || test.because != "" && !because {
			t.Errorf("%s: %s, want %s because of %q", test.name, got, test.want, test.because)
		}
	}
}

func TestReportSaysWhatHappensToSessions(t *testing.T) {
	r := Report{Traffic: cost.Traffic{RequestsPerSecond: 1}, Variants: []Variant{
		{Name: "dynamodb", templates: []cost.Template{golden(t, "dynamodb")}}, {Name: "valkey", templates: []cost.Template{golden(t, "valkey")}}}}
	must.Succeed(t, r.Compare(t.Context(), root))
	var markdown bytes.Buffer
	must.Succeed(t, r.WriteMarkdown(&markdown))
	for _, want := range []string{"| valkey | replaced: everyone is logged out |", "Sessions: replaced: everyone is logged out (SessionsTable"} {
		if !strings.Contains(markdown.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, markdown.String())
		}
	}
}
