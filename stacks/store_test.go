package stacks

import (
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2/assertions"
	"github.com/aws/jsii-runtime-go"
)

func TestDynamoDBStore(t *testing.T) {
	_, lab := synth(t, map[string]any{"store": "dynamodb"})
	expectProperties(t, lab, "AWS::DynamoDB::Table", map[string]any{
		"BillingMode":             "PAY_PER_REQUEST",
		"KeySchema":               []any{map[string]any{"AttributeName": "id", "KeyType": "HASH"}},
		"TimeToLiveSpecification": map[string]any{"AttributeName": "ttl", "Enabled": true},
		"SSESpecification":        map[string]any{"SSEEnabled": true},
		"GlobalSecondaryIndexes": []any{map[string]any{
			"IndexName":  "owner",
			"Projection": map[string]any{"ProjectionType": "KEYS_ONLY"},
			"KeySchema": []any{map[string]any{"AttributeName": "owner", "KeyType": "HASH"},
				map[string]any{"AttributeName": "position", "KeyType": "RANGE"}},
		}},
		"AttributeDefinitions": []any{map[string]any{"AttributeName": "id", "AttributeType": "S"},
			map[string]any{"AttributeName": "owner", "AttributeType": "S"},
			map[string]any{"AttributeName": "position", "AttributeType": "N"}},
	})
	expect(t, func() {
		lab.HasResource(jsii.String("AWS::DynamoDB::Table"), map[string]any{"DeletionPolicy": "Delete"})
		lab.ResourceCountIs(jsii.String("AWS::ElastiCache::ReplicationGroup"), jsii.Number(0))
	})
}

func TestValkeyStore(t *testing.T) {
	_, lab := synth(t, map[string]any{"store": "valkey"})
	expectProperties(t, lab, "AWS::ElastiCache::ReplicationGroup", map[string]any{
		"Engine": "valkey", "EngineVersion": assertions.Match_StringLikeRegexp(jsii.String(`^8\.`)),
		"NumCacheClusters": 2, "MultiAZEnabled": true, "AutomaticFailoverEnabled": true,
		"TransitEncryptionEnabled": true, "TransitEncryptionMode": "required", "AtRestEncryptionEnabled": true,
		"SnapshotRetentionLimit": assertions.Match_Absent(), "AuthToken": assertions.Match_Absent(),
	})
	expectProperties(t, lab, "AWS::ElastiCache::User", map[string]any{
		"Engine": "valkey", "UserId": valkeyUser, "UserName": valkeyUser, // IAM wants them to be the same
		"AuthenticationMode": map[string]any{"Type": "iam"}, "Passwords": assertions.Match_Absent(),
	})
	expect(t, func() { lab.ResourceCountIs(jsii.String("AWS::DynamoDB::Table"), jsii.Number(0)) })
}

func TestOnlyServersReachTheCache(t *testing.T) {
	_, lab := synth(t, map[string]any{"store": "valkey"})
	var cache, fleet string
	for id, group := range *lab.FindResources(jsii.String("AWS::EC2::SecurityGroup"), nil) {
		switch dig(t, *group, "Properties", "GroupDescription") {
		case "Session cache: from the servers only":
			cache = id
			if inline, has := dig(t, *group, "Properties").(map[string]any)["SecurityGroupIngress"]; has {
				t.Errorf("the cache lets in %v", inline)
			}
		case "The web servers":
			fleet = id
		}
	}
	groupID := func(id string) map[string]any { return map[string]any{"Fn::GetAtt": []any{id, "GroupId"}} }
	rules := map[string]any{"GroupId": groupID(cache)}
	expect(t, func() {
		lab.ResourcePropertiesCountIs(jsii.String("AWS::EC2::SecurityGroupIngress"), rules, jsii.Number(1))
	})
	rules["SourceSecurityGroupId"], rules["FromPort"], rules["ToPort"] = groupID(fleet), 6379, 6379
	expectProperties(t, lab, "AWS::EC2::SecurityGroupIngress", rules)
}

// While the fleet rolls from one store to another, its old servers still use the old store.
func TestServersKeepTheOldStoreUntilTheyAreGone(t *testing.T) {
	policies := map[string]string{} // logical id to store
	for _, store := range []string{"dynamodb", "valkey"} {
		_, lab := synth(t, map[string]any{"store": store})
		for id, policy := range *lab.FindResources(jsii.String("AWS::IAM::Policy"), nil) {
			for _, statement := range permissions(t, *policy) {
				if !strings.Contains(statement, " dynamodb:") && !strings.Contains(statement, " elasticache:") {
					continue
				}
				if other := policies[id]; other != "" && other != store {
					t.Errorf("%s gives access to %s or to %s: an update would take the old access away first", id, other, store)
				}
				policies[id] = store
			}
		}
	}
	if len(policies) != 2 {
		t.Errorf("policies with access to a store: %v, want one a store", policies)
	}
}
