package stacks

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2/assertions"
	"github.com/aws/jsii-runtime-go"

	"stateless-servers/app/config"
	"stateless-servers/session/sessiontest/must"
)

const (
	loadBalancer = "AWS::ElasticLoadBalancingV2::LoadBalancer"
	listener     = "AWS::ElasticLoadBalancingV2::Listener"
	targetGroup  = "AWS::ElasticLoadBalancingV2::TargetGroup"
	scalingGroup = "AWS::AutoScaling::AutoScalingGroup"
)

func TestBalancer(t *testing.T) {
	_, lab := synth(t, nil)
	targets := onlyResource(t, lab, targetGroup)
	if got := attribute(t, targets, "TargetGroupAttributes", "stickiness.enabled"); got != "false" {
		t.Errorf("stickiness.enabled is %s, want false", got)
	}
	for path, want := range map[string]any{"HealthCheckPath": "/healthz", "Port": 8080.0, "Protocol": "HTTP"} {
		if got := dig(t, targets, "Properties", path); got != want {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
	balancer := onlyResource(t, lab, loadBalancer)
	for key, want := range map[string]string{
		"idle_timeout.timeout_seconds":                    "60",
		"routing.http.drop_invalid_header_fields.enabled": "true",
		"access_logs.s3.enabled":                          "true",
		"deletion_protection.enabled":                     "false",
	} {
		if got := attribute(t, balancer, "LoadBalancerAttributes", key); got != want {
			t.Errorf("%s is %s, want %s", key, got, want)
		}
	}
	expectProperties(t, lab, "AWS::S3::Bucket", map[string]any{
		"PublicAccessBlockConfiguration": map[string]any{"BlockPublicAcls": true, "BlockPublicPolicy": true,
			"IgnorePublicAcls": true, "RestrictPublicBuckets": true},
	})
}

func TestFleet(t *testing.T) {
	_, lab := synth(t, map[string]any{"minServers": "3", "maxServers": "7", "instanceType": "c7g.large"})
	expectProperties(t, lab, "AWS::EC2::LaunchTemplate", map[string]any{"LaunchTemplateData": map[string]any{
		"InstanceType":    "c7g.large",
		"MetadataOptions": map[string]any{"HttpTokens": "required", "HttpPutResponseHopLimit": 1},
		"KeyName":         assertions.Match_Absent(),
		"BlockDeviceMappings": []any{map[string]any{"DeviceName": "/dev/xvda",
			"Ebs": map[string]any{"Encrypted": true, "VolumeType": "gp3"}}},
	}})
	expect(t, func() {
		lab.HasParameter(jsii.String("*"), map[string]any{
			"Default": "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-6.1-arm64"})
		lab.HasResource(jsii.String(scalingGroup), map[string]any{
			"CreationPolicy": map[string]any{
				"ResourceSignal":            map[string]any{"Count": 3, "Timeout": "PT8M"},
				"AutoScalingCreationPolicy": map[string]any{"MinSuccessfulInstancesPercent": 100}},
			"UpdatePolicy": map[string]any{
				"AutoScalingRollingUpdate": map[string]any{"MinInstancesInService": 6, "MaxBatchSize": 1,
					"MinSuccessfulInstancesPercent": 100, "WaitOnResourceSignals": true, "PauseTime": "PT8M",
					"SuspendProcesses": []any{"AlarmNotification", "AZRebalance", "HealthCheck", "ReplaceUnhealthy",
						"ScheduledActions"}},
				"AutoScalingScheduledAction": map[string]any{"IgnoreUnmodifiedGroupSizeProperties": true}},
		})
	})
	expectProperties(t, lab, scalingGroup, map[string]any{"MinSize": "3", "MaxSize": "7", "HealthCheckType": "ELB",
		"HealthCheckGracePeriod": 300,
		"DesiredCapacity":        assertions.Match_Absent()}) // a deployment must not undo scaling
	for _, metric := range []string{"ALBRequestCountPerTarget", "ASGAverageCPUUtilization"} {
		expectProperties(t, lab, "AWS::AutoScaling::ScalingPolicy", map[string]any{
			"TargetTrackingConfiguration": map[string]any{
				"PredefinedMetricSpecification": map[string]any{"PredefinedMetricType": metric}}})
	}
}

func TestSpot(t *testing.T) {
	_, lab := synth(t, variants["spot"])
	expectProperties(t, lab, scalingGroup, map[string]any{"CapacityRebalance": true,
		"MixedInstancesPolicy": map[string]any{
			"InstancesDistribution": map[string]any{"OnDemandBaseCapacity": 0, "OnDemandPercentageAboveBaseCapacity": 40,
				"SpotAllocationStrategy": "price-capacity-optimized"},
			"LaunchTemplate": map[string]any{"Overrides": []any{map[string]any{"InstanceType": "t4g.small"},
				map[string]any{"InstanceType": "c7g.medium"}}}}})
	_, lab = synth(t, nil)
	expectProperties(t, lab, scalingGroup, map[string]any{"MixedInstancesPolicy": assertions.Match_Absent(),
		"InstanceMaintenancePolicy": map[string]any{"MinHealthyPercentage": 100, "MaxHealthyPercentage": 200}})
}

// A target group without a listener reports no server healthy, so the servers must be created after the listener.
func TestFleetDependsOnListenerAndPolicies(t *testing.T) {
	_, lab := synth(t, nil)
	needs := fmt.Sprint(onlyResource(t, lab, scalingGroup)["DependsOn"])
	for _, kind := range []string{listener, "AWS::IAM::Policy"} {
		for id := range *lab.FindResources(jsii.String(kind), nil) {
			if !strings.Contains(needs, id) {
				t.Errorf("the Auto Scaling group doesn't depend on %s", id)
			}
		}
	}
}

func TestDashboardShowsTheStore(t *testing.T) {
	for variant, words := range map[string][]string{
		"dynamodb":       {"DynamoDB: throttled", "DynamoDB: latency (ms)"},
		"dynamodb-dax":   {"DynamoDB: throttled", "DAX: items", "ItemCacheHits"},
		"valkey":         {"Cache: evictions", "Cache: memory (%)"},
		"valkey-cluster": {"node 0002-003"}, "redis": {"node 002"}, "memcached": {"Cache: evictions", "node 0002"},
		"memcached-serverless": {"ElastiCacheProcessingUnits"}, "valkey-serverless": {"ElastiCacheProcessingUnits"},
		"postgres": {"ServerlessDatabaseCapacity"},
		"cookie":   {"Keys: rotations"}, "memory": nil,
		"cognito": {"DynamoDB: throttled", "Keys: rotations"}, "cognito-production": {"Keys: rotations"},
	} {
		_, lab := synth(t, variants[variant])
		body := must.Get(json.Marshal(dig(t, onlyResource(t, lab, "AWS::CloudWatch::Dashboard"), "Properties", "DashboardBody")))(t)
		for _, word := range append(append(words, "Alarms", "5xx a minute"), config.Metrics()...) {
			if !strings.Contains(string(body), word) {
				t.Errorf("%s: the dashboard lacks %q", variant, word)
			}
		}
		for id := range *lab.FindResources(jsii.String("AWS::CloudWatch::Alarm"), nil) {
			if !strings.Contains(string(body), id) {
				t.Errorf("%s: the dashboard lacks the alarm %s", variant, id)
			}
		}
	}
}

func TestAlarmsNotify(t *testing.T) {
	_, lab := synth(t, variants["edge"])
	expectProperties(t, lab, "AWS::SNS::Subscription", map[string]any{"Protocol": "email", "Endpoint": "ops@example.com"})
	expectProperties(t, lab, "AWS::SNS::TopicPolicy", map[string]any{"PolicyDocument": map[string]any{
		"Statement": assertions.Match_ArrayWith(&[]any{assertions.Match_ObjectLike(&map[string]any{
			"Effect": "Allow", "Action": "sns:Publish", "Principal": map[string]any{"Service": "cloudwatch.amazonaws.com"},
			"Condition": map[string]any{"StringEquals": map[string]any{
				"aws:SourceAccount": map[string]any{"Ref": "AWS::AccountId"}}}})})}})
	var topic string
	for id := range *lab.FindResources(jsii.String("AWS::SNS::Topic"), nil) {
		topic = id
	}
	for id, alarm := range *lab.FindResources(jsii.String("AWS::CloudWatch::Alarm"), nil) {
		for _, list := range []string{"AlarmActions", "OKActions"} {
			if to := dig(t, *alarm, "Properties", list, 0, "Ref"); to != topic {
				t.Errorf("%s: %s notify %v, want %s", id, list, to, topic)
			}
		}
	}
	_, lab = synth(t, nil)
	expect(t, func() { lab.ResourceCountIs(jsii.String("AWS::SNS::Topic"), jsii.Number(0)) })
}

func TestProductionIsProtected(t *testing.T) {
	keys := func(store string) map[string]any { return map[string]any{"store": store, "stage": "production"} }
	_, lab := synth(t, keys("dynamodb"))
	balancer := onlyResource(t, lab, loadBalancer)
	if got := attribute(t, balancer, "LoadBalancerAttributes", "deletion_protection.enabled"); got != "true" {
		t.Errorf("deletion protection of the load balancer is %s, want true", got)
	}
	expect(t, func() {
		lab.HasResource(jsii.String(table), map[string]any{
			"DeletionPolicy": "RetainExceptOnCreate", "UpdateReplacePolicy": "Retain",
			"Properties": map[string]any{"Replicas": []any{map[string]any{"DeletionProtectionEnabled": true,
				"PointInTimeRecoverySpecification": map[string]any{"PointInTimeRecoveryEnabled": true}}}},
		})
	})
	_, lab = synth(t, keys("valkey"))
	expect(t, func() {
		lab.HasResource(jsii.String("AWS::ElastiCache::ReplicationGroup"), map[string]any{
			"DeletionPolicy": "Snapshot", "UpdateReplacePolicy": "Snapshot",
			"Properties": map[string]any{"SnapshotRetentionLimit": 7},
		})
	})
}
