package stacks

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2/assertions"

	"stateless-servers/session/sessiontest/must"
)

// variantStores are the variants that differ in the session store, or in the parts that a server needs to answer.
var variantStores = []string{"dynamodb", "dynamodb-provisioned", "dynamodb-replicas", "dynamodb-replica", "dynamodb-dax", "valkey",
	"valkey-cluster", "valkey-serverless", "redis", "redis-serverless", "memcached", "memcached-serverless", "postgres",
	"postgres-production", "cookie", "token", "cognito"}

// A booting server signals success without asking its store, and the deployment goes on to replace the next one. So
// everything that the store needs to answer must exist before the fleet.
func TestStoreComesBeforeTheFleet(t *testing.T) {
	for _, variant := range variantStores {
		_, lab := synth(t, variants[variant])
		for _, id := range missingBeforeFleet(t, lab) {
			t.Errorf("%s: the Auto Scaling group doesn't depend on %s", variant, id)
		}
	}
}

// The walk must find a resource of the store that nothing refers to.
func TestMissingDependencyIsFound(t *testing.T) {
	_, lab := synth(t, variants["valkey"])
	all := resources(t, lab)
	all["ValkeyExtra"] = cfnResource{Type: "AWS::ElastiCache::ReplicationGroup"}
	if got := missing(all, reachable(needs(t, lab), fleetOf(t, all))); !slices.Equal(got, []string{"ValkeyExtra"}) {
		t.Errorf("found %q, want ValkeyExtra", got)
	}
}

func missingBeforeFleet(t *testing.T, lab assertions.Template) []string {
	t.Helper()
	all := resources(t, lab)
	return missing(all, reachable(needs(t, lab), fleetOf(t, all)))
}

// fleetOf returns the logical id of the Auto Scaling group.
func fleetOf(t *testing.T, all map[string]cfnResource) string {
	t.Helper()
	for id, r := range all {
		if r.Type == scalingGroup {
			return id
		}
	}
	t.Fatal("no Auto Scaling group")
	return ""
}

// storeResource matches the logical ids of the resources of stores and logins, and of the rules between them and the servers.
var storeResource = regexp.MustCompile(`^(Sessions|Valkey|Redis|Memcached|Postgres|Cookie|Token|Login)|` +
	`^FleetSecurityGroupto|^FleetRole`)

// notNeeded matches resources of a store without which it answers: the rotation of keys, whose first result servers that
// booted before it don't need (see keyRotationDays).
var notNeeded = regexp.MustCompile(`Rotation|Schedule`)

// missing returns the resources of the store that are not among the reached ones.
func missing(all map[string]cfnResource, reached map[string]bool) []string {
	var list []string
	for _, id := range slices.Sorted(maps.Keys(all)) {
		kind := all[id].Type
		if storeResource.MatchString(id) && !notNeeded.MatchString(id) && !strings.HasPrefix(kind, "AWS::CloudWatch::") && !reached[id] {
			list = append(list, id)
		}
	}
	return list
}

// needs returns, for each resource of a template, the resources that CloudFormation creates before it.
func needs(t *testing.T, template assertions.Template) map[string][]string {
	t.Helper()
	text := must.Get(json.Marshal(template.ToJSON()))(t)
	var whole struct{ Resources map[string]map[string]any }
	must.Succeed(t, json.Unmarshal(text, &whole))
	list := map[string][]string{}
	for id, resource := range whole.Resources {
		switch on := resource["DependsOn"].(type) {
		case string:
			list[id] = append(list[id], on)
		case []any:
			for _, other := range on {
				list[id] = append(list[id], other.(string))
			}
		}
		list[id] = append(list[id], references(resource["Properties"])...)
	}
	return list
}

// subReference matches a reference in the text of Fn::Sub.
var subReference = regexp.MustCompile(`\$\{([A-Za-z0-9]+)`)

// references returns the logical ids in the functions Ref, Fn::GetAtt and Fn::Sub of a value.
func references(value any) (ids []string) {
	switch value := value.(type) {
	case []any:
		for _, inner := range value {
			ids = append(ids, references(inner)...)
		}
	case map[string]any:
		for key, inner := range value {
			ids = append(ids, references(inner)...)
			switch text, _ := inner.(string); {
			case key == "Ref":
				ids = append(ids, text)
			case key == "Fn::GetAtt" && text != "":
				ids = append(ids, strings.Split(text, ".")[0])
			case key == "Fn::GetAtt":
				ids = append(ids, inner.([]any)[0].(string))
			case key == "Fn::Sub":
				if list, ok := inner.([]any); ok {
					text = list[0].(string)
				}
				for _, match := range subReference.FindAllStringSubmatch(text, -1) {
					ids = append(ids, match[1])
				}
			}
		}
	}
	return ids
}

// reachable returns the resources that exist before the one with the id: those that it needs, and in turn those that they need.
func reachable(needs map[string][]string, id string) map[string]bool {
	reached := map[string]bool{}
	for next := []string{id}; len(next) > 0; next = next[1:] {
		for _, other := range needs[next[0]] {
			if !reached[other] {
				reached[other] = true
				next = append(next, other)
			}
		}
	}
	return reached
}

// The lab imports its VPC from the network, whose stack is complete, with endpoints and routes, before the lab's begins.
func TestNetworkComesBeforeTheLab(t *testing.T) {
	for name, keys := range map[string]map[string]any{"gateway": nil, "endpoints": {"egress": "endpoints-only"}} {
		_, lab := synth(t, keys)
		text, err := json.Marshal(onlyResource(t, lab, scalingGroup))
		if err != nil || !strings.Contains(string(text), `"Fn::ImportValue":"StatelessNetwork`) {
			t.Errorf("%s: the Auto Scaling group imports nothing from the network: %v", name, err)
		}
	}
}
