package stacks

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2/assertions"
	"github.com/aws/jsii-runtime-go"
)

const table = "AWS::DynamoDB::GlobalTable"

func TestDynamoDBStore(t *testing.T) {
	_, lab := synth(t, map[string]any{"store": "dynamodb"})
	expectProperties(t, lab, table, map[string]any{
		"BillingMode":             "PAY_PER_REQUEST",
		"KeySchema":               []any{map[string]any{"AttributeName": "id", "KeyType": "HASH"}},
		"TimeToLiveSpecification": map[string]any{"AttributeName": "ttl", "Enabled": true},
		"SSESpecification":        map[string]any{"SSEEnabled": true, "SSEType": "KMS"},
		"StreamSpecification":     map[string]any{"StreamViewType": "NEW_AND_OLD_IMAGES"},
		"GlobalSecondaryIndexes": []any{map[string]any{
			"IndexName":  "owner",
			"Projection": map[string]any{"ProjectionType": "KEYS_ONLY"},
			"KeySchema": []any{map[string]any{"AttributeName": "owner", "KeyType": "HASH"},
				map[string]any{"AttributeName": "position", "KeyType": "RANGE"}},
		}},
		"AttributeDefinitions": []any{map[string]any{"AttributeName": "id", "AttributeType": "S"},
			map[string]any{"AttributeName": "owner", "AttributeType": "S"},
			map[string]any{"AttributeName": "position", "AttributeType": "N"}},
		"Replicas": []any{map[string]any{"Region": map[string]any{"Ref": "AWS::Region"},
			"PointInTimeRecoverySpecification": map[string]any{"PointInTimeRecoveryEnabled": false},
			"DeletionProtectionEnabled":        false, "SSESpecification": assertions.Match_Absent()}},
		"TableName": assertions.Match_Absent(), // CloudFormation can't replace a table with a name
	})
	expect(t, func() {
		lab.HasResource(jsii.String(table), map[string]any{"DeletionPolicy": "Delete"})
		lab.ResourceCountIs(jsii.String("AWS::ElastiCache::ReplicationGroup"), jsii.Number(0))
		lab.ResourceCountIs(jsii.String("AWS::DAX::Cluster"), jsii.Number(0))
	})
	if rules := rules(t, lab); len(rules) != 1 {
		t.Errorf("rules %v, want only the CDK's own", rules)
	}
}

// Adding and removing replicas must not replace the table: its logical id and all properties except Replicas stay the same.
func TestReplicasAreAddedInPlace(t *testing.T) {
	_, without := synth(t, map[string]any{"stage": "production"})
	_, with := synth(t, map[string]any{"stage": "production", "replicas": "eu-west-1,us-east-1"})
	before, after := resources(t, without), resources(t, with)
	for id, r := range before {
		if r.Type != table {
			continue
		}
		now, has := after[id]
		if !has {
			t.Fatalf("%s is removed when replicas are added", id)
		}
		list := now.objects("Replicas")
		if len(list) != 3 || list[1]["Region"] != "eu-west-1" || list[2]["Region"] != "us-east-1" {
			t.Fatalf("replicas %v", list)
		}
		for _, replica := range list {
			replica := cfnResource{Properties: replica}
			if replica.property("DeletionProtectionEnabled") != true ||
				replica.property("PointInTimeRecoverySpecification", "PointInTimeRecoveryEnabled") != true {
				t.Errorf("a replica is not protected: %v", replica)
			}
		}
		if len(r.objects("Replicas")) != 1 || !reflect.DeepEqual(r.objects("Replicas")[0], list[0]) {
			t.Errorf("the table of the own region changes from %v to %v", r.objects("Replicas"), list[0])
		}
		delete(r.Properties, "Replicas")
		delete(now.Properties, "Replicas")
		if !reflect.DeepEqual(r.Properties, now.Properties) {
			t.Errorf("adding replicas changes other properties: %v, %v", r.Properties, now.Properties)
		}
	}
	expect(t, func() {
		with.HasOutput(jsii.String("Table"), map[string]any{"Value": map[string]any{"Ref": assertions.Match_AnyValue()}})
	})
	if env := environmentFile(t, with); !strings.Contains(env, "DYNAMODB_REPLICATED=\"true\"\n") {
		t.Errorf("the environment lacks DYNAMODB_REPLICATED: %s", env)
	}
	if env := environmentFile(t, without); strings.Contains(env, "DYNAMODB_REPLICATED") {
		t.Errorf("the environment has DYNAMODB_REPLICATED without replicas: %s", env)
	}
	if rule := fmt.Sprint(rules(t, with)["ReplicasAreElsewhere"]); !strings.Contains(rule,
		"map[Fn::Not:[map[Fn::Contains:[[eu-west-1 us-east-1] map[Ref:AWS::Region]]]]]") ||
		!strings.Contains(rule, "replicas=eu-west-1,us-east-1: allowed are regions other than this one") {
		t.Errorf("the template lacks a rule for the region: %s", rule)
	}
}

// The lab of a second region defines no table and uses the replica.
func TestReplicaTable(t *testing.T) {
	_, lab := synth(t, variants["dynamodb-replica"])
	expect(t, func() { lab.ResourceCountIs(jsii.String(table), jsii.Number(0)) })
	env := environmentFile(t, lab)
	for _, line := range []string{"DYNAMODB_TABLE=\"StatelessLab-SessionsTable\"\n", "DYNAMODB_REPLICATED=\"true\"\n"} {
		if !strings.Contains(env, line) {
			t.Errorf("the environment lacks %s: %s", line, env)
		}
	}
}

// rules returns the section Rules of a template.
func rules(t *testing.T, lab assertions.Template) map[string]any {
	t.Helper()
	found, _ := (*lab.ToJSON())["Rules"].(map[string]any)
	return found
}

func TestDAX(t *testing.T) {
	_, lab := synth(t, map[string]any{"dax": "true", "daxNodeType": "dax.r7i.large", "daxNodes": "3"})
	expectProperties(t, lab, "AWS::DAX::Cluster", map[string]any{
		"NodeType": "dax.r7i.large", "ReplicationFactor": 3, "ClusterEndpointEncryptionType": "TLS",
		"SSESpecification":   map[string]any{"SSEEnabled": true},
		"IAMRoleARN":         assertions.Match_AnyValue(),
		"SubnetGroupName":    assertions.Match_AnyValue(),
		"ParameterGroupName": assertions.Match_AnyValue(),
		"SecurityGroupIds":   []any{assertions.Match_AnyValue()},
		"ClusterName":        assertions.Match_Absent(), // a generated name would exceed 20 characters
	})
	expectProperties(t, lab, "AWS::DAX::ParameterGroup", map[string]any{
		"ParameterNameValues": map[string]any{"record-ttl-millis": "60000", "query-ttl-millis": "60000"}})
	expectProperties(t, lab, "AWS::EC2::SecurityGroupIngress", map[string]any{"FromPort": 9111, "ToPort": 9111,
		"SourceSecurityGroupId": assertions.Match_AnyValue(), "CidrIp": assertions.Match_Absent()})
	expectProperties(t, lab, "AWS::IAM::Role", map[string]any{"AssumeRolePolicyDocument": map[string]any{
		"Statement": []any{map[string]any{"Principal": map[string]any{"Service": "dax.amazonaws.com"}}}}})
	text, err := json.Marshal(onlyResource(t, lab, "AWS::EC2::LaunchTemplate"))
	if err != nil || !strings.Contains(string(text), `DYNAMODB_DAX=`) ||
		!strings.Contains(string(text), `"ClusterDiscoveryEndpointURL"`) {
		t.Errorf("the environment lacks the DAX endpoint: %v", err)
	}
	if rule := fmt.Sprint(rules(t, lab)["DaxIsHere"]); !strings.Contains(rule, "map[Fn::Contains:[[af-south-1 ") ||
		!strings.Contains(rule, "dax=true: DAX is not available in this region") {
		t.Errorf("the template lacks a rule for the region: %s", rule)
	}
	needs := fmt.Sprint(onlyResource(t, lab, scalingGroup)["DependsOn"])
	for id := range *lab.FindResources(jsii.String("AWS::DAX::Cluster"), nil) {
		if !strings.Contains(needs, id) {
			t.Error("the servers don't depend on the DAX cluster")
		}
	}
}

// Adding DAX must not change the table and the policies that servers without it still use.
func TestDAXIsAddedInPlace(t *testing.T) {
	_, without := synth(t, nil)
	_, with := synth(t, map[string]any{"dax": "true"})
	before, after := resources(t, without), resources(t, with)
	for id, r := range before {
		now, has := after[id]
		if !has {
			t.Errorf("%s is removed when DAX is added", id)
		} else if r.Type == table || r.Type == "AWS::IAM::Policy" {
			if !reflect.DeepEqual(r.Properties, now.Properties) {
				t.Errorf("%s changes when DAX is added", id)
			}
		}
	}
}

func TestDynamoDBProvisioned(t *testing.T) {
	_, lab := synth(t, map[string]any{"billing": "provisioned", "minUnits": "7", "maxUnits": "70", "customerKey": "true"})
	units := map[string]any{"MinCapacity": 7, "MaxCapacity": 70, "SeedCapacity": 7,
		"TargetTrackingScalingPolicyConfiguration": map[string]any{"TargetValue": 70}}
	writes := map[string]any{"WriteCapacityAutoScalingSettings": units}
	reads := map[string]any{"ReadCapacityAutoScalingSettings": units}
	expectProperties(t, lab, table, map[string]any{
		"BillingMode": "PROVISIONED", "WriteProvisionedThroughputSettings": writes,
		"GlobalSecondaryIndexes": []any{map[string]any{"WriteProvisionedThroughputSettings": writes}},
		"Replicas": []any{map[string]any{"ReadProvisionedThroughputSettings": reads,
			"GlobalSecondaryIndexes": []any{map[string]any{"IndexName": "owner", "ReadProvisionedThroughputSettings": reads}},
			"SSESpecification":       map[string]any{"KMSMasterKeyId": assertions.Match_AnyValue()}}},
	})
	expect(t, func() {
		lab.HasResourceProperties(jsii.String("AWS::KMS::Key"), map[string]any{"EnableKeyRotation": true})
	})
	_, lab = synth(t, variants["dynamodb-replicas"])
	for _, replica := range dig(t, onlyResource(t, lab, table), "Properties", "Replicas").([]any) {
		if dig(t, replica, "ReadProvisionedThroughputSettings", "ReadCapacityAutoScalingSettings", "MaxCapacity") != 1000.0 {
			t.Errorf("the reads of a replica don't scale: %v", replica)
		}
	}
}
