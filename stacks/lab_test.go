package stacks

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2/assertions"
	"github.com/aws/jsii-runtime-go"

	"stateless-servers/app/config"
)

const (
	loadBalancer = "AWS::ElasticLoadBalancingV2::LoadBalancer"
	listener     = "AWS::ElasticLoadBalancingV2::Listener"
	targetGroup  = "AWS::ElasticLoadBalancingV2::TargetGroup"
	scalingGroup = "AWS::AutoScaling::AutoScalingGroup"
)

func TestBalancer(t *testing.T) {
	_, lab := synth(t, nil)
	targets := only(t, lab, targetGroup)
	if got := attribute(t, targets, "TargetGroupAttributes", "stickiness.enabled"); got != "false" {
		t.Errorf("stickiness.enabled is %s", got)
	}
	for path, want := range map[string]any{"HealthCheckPath": "/healthz", "Port": 8080.0, "Protocol": "HTTP"} {
		if got := dig(t, targets, "Properties", path); got != want {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
	balancer := only(t, lab, loadBalancer)
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

func TestTransport(t *testing.T) {
	t.Run("without a certificate", func(t *testing.T) {
		_, lab := synth(t, nil)
		expectProperties(t, lab, listener, map[string]any{"Port": 80, "Protocol": "HTTP",
			"DefaultActions": []any{map[string]any{"Type": "forward"}}})
		expect(t, func() {
			lab.ResourceCountIs(jsii.String(listener), jsii.Number(1))
			lab.HasOutput(jsii.String("Warning"), map[string]any{
				"Value": assertions.Match_StringLikeRegexp(jsii.String("^Plain HTTP")),
			})
		})
		if environment := environment(t, lab); !strings.Contains(environment, "PLAIN_HTTP=\"true\"\n") {
			t.Errorf("the server isn't told: %s", environment)
		}
	})
	t.Run("with a certificate", func(t *testing.T) {
		_, lab := synth(t, map[string]any{"certificateArn": certificate})
		expectProperties(t, lab, listener, map[string]any{"Port": 443, "Protocol": "HTTPS",
			"SslPolicy":      assertions.Match_StringLikeRegexp(jsii.String("^ELBSecurityPolicy-TLS13-1-2-")),
			"Certificates":   []any{map[string]any{"CertificateArn": certificate}},
			"DefaultActions": []any{map[string]any{"Type": "forward"}}})
		expectProperties(t, lab, listener, map[string]any{"Port": 80, "Protocol": "HTTP",
			"DefaultActions": []any{map[string]any{"Type": "redirect", "RedirectConfig": map[string]any{
				"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}}}})
		expect(t, func() {
			lab.ResourceCountIs(jsii.String(listener), jsii.Number(2))
			if found := *lab.FindOutputs(jsii.String("Warning"), nil); len(found) != 0 {
				t.Error("a warning of plain HTTP")
			}
		})
		if environment := environment(t, lab); strings.Contains(environment, "PLAIN_HTTP") {
			t.Errorf("the server is told of plain HTTP: %s", environment)
		}
	})
}

func TestDomain(t *testing.T) {
	_, lab := synth(t, variants["edge"])
	expectProperties(t, lab, "AWS::Route53::RecordSet", map[string]any{"Name": "lab.example.com.", "Type": "A",
		"HostedZoneId": "Z0123456789ABCDEFGHIJ", "AliasTarget": map[string]any{"DNSName": assertions.Match_AnyValue()}})
	expectProperties(t, lab, "AWS::CertificateManager::Certificate", map[string]any{"DomainName": "lab.example.com",
		"ValidationMethod": "DNS", "DomainValidationOptions": []any{map[string]any{
			"DomainName": "lab.example.com", "HostedZoneId": "Z0123456789ABCDEFGHIJ"}}})
	expectProperties(t, lab, listener, map[string]any{"Port": 443, "Protocol": "HTTPS"})
	expect(t, func() {
		lab.HasOutput(jsii.String("URL"), map[string]any{"Value": "https://lab.example.com"})
		if found := *lab.FindOutputs(jsii.String("Warning"), nil); len(found) != 0 {
			t.Error("a warning of plain HTTP")
		}
	})
}

func TestCloudFront(t *testing.T) {
	_, lab := synth(t, variants["cloudfront"])
	expectProperties(t, lab, loadBalancer, map[string]any{"Scheme": "internal"})
	expectProperties(t, lab, "AWS::CloudFront::VpcOrigin", map[string]any{"VpcOriginEndpointConfig": map[string]any{
		"Arn": map[string]any{"Ref": assertions.Match_AnyValue()}, "OriginProtocolPolicy": "http-only"}})
	expectProperties(t, lab, "AWS::CloudFront::Distribution", map[string]any{"DistributionConfig": map[string]any{
		"Logging": map[string]any{"Bucket": assertions.Match_AnyValue()},
		"DefaultCacheBehavior": map[string]any{
			"ViewerProtocolPolicy":  "redirect-to-https",
			"CachePolicyId":         "4135ea2d-6df8-44a3-9df3-4b5a84be39ad", // CachingDisabled
			"OriginRequestPolicyId": "216adef6-5c7f-47e4-b989-5492eafa07d3", // AllViewer
			"AllowedMethods":        []any{"GET", "HEAD", "OPTIONS", "PUT", "PATCH", "POST", "DELETE"},
		}}})
	for id, group := range *lab.FindResources(jsii.String("AWS::EC2::SecurityGroup"), nil) {
		if inline, has := dig(t, *group, "Properties").(map[string]any)["SecurityGroupIngress"]; has {
			t.Errorf("%s lets in %v", id, inline)
		}
	}
	expectProperties(t, lab, "AWS::EC2::SecurityGroupIngress", map[string]any{"FromPort": 80, "ToPort": 80,
		"SourcePrefixListId": assertions.Match_AnyValue(), "CidrIp": assertions.Match_Absent()})
	if environment := environment(t, lab); strings.Contains(environment, "PLAIN_HTTP") {
		t.Errorf("the server is told of plain HTTP: %s", environment)
	}
	expect(t, func() {
		if found := *lab.FindOutputs(jsii.String("Warning"), nil); len(found) != 0 {
			t.Error("a warning of plain HTTP")
		}
	})
	// Neither balancer nor target group may carry on as the other kind: CloudFormation couldn't replace them in place.
	_, public := synth(t, nil)
	private := resources(t, lab)
	for id, r := range resources(t, public) {
		if _, has := private[id]; has && strings.HasPrefix(r.Type, "AWS::ElasticLoadBalancingV2::") {
			t.Errorf("%s is of both", id)
		}
	}
}

func TestFirewall(t *testing.T) {
	_, lab := synth(t, variants["edge"])
	acl := only(t, lab, "AWS::WAFv2::WebACL")
	for i, want := range firewallRules() {
		rule := dig(t, acl, "Properties", "Rules", i)
		if got := dig(t, rule, "Statement", "ManagedRuleGroupStatement", "Name"); got != want {
			t.Errorf("rule %d is %v, want %s", i, got, want)
		}
		if action := fmt.Sprint(dig(t, rule, "OverrideAction")); action != "map[None:map[]]" {
			t.Errorf("%s is overridden: %s", want, action)
		}
	}
	expectProperties(t, lab, "AWS::WAFv2::WebACLAssociation", map[string]any{
		"ResourceArn": map[string]any{"Ref": assertions.Match_AnyValue()}})
	expectProperties(t, lab, "AWS::WAFv2::LoggingConfiguration", map[string]any{
		"RedactedFields": []any{map[string]any{"SingleHeader": map[string]any{"Name": "cookie"}}}})
	_, lab = synth(t, nil)
	expect(t, func() { lab.ResourceCountIs(jsii.String("AWS::WAFv2::WebACL"), jsii.Number(0)) })
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
		"DesiredCapacity":        assertions.Match_Absent()}) // a redeploy must not undo what scaling did
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

// A target group that no listener uses calls no server healthy: a group that starts first would wait for ever.
func TestFleetWaitsForWhatItNeeds(t *testing.T) {
	_, lab := synth(t, nil)
	needs := fmt.Sprint(only(t, lab, scalingGroup)["DependsOn"])
	for _, kind := range []string{listener, "AWS::IAM::Policy"} {
		for id := range *lab.FindResources(jsii.String(kind), nil) {
			if !strings.Contains(needs, id) {
				t.Errorf("the group doesn't wait for %s", id)
			}
		}
	}
}

func TestServersHaveTheFewestPermissions(t *testing.T) {
	boot := []string{
		`"*": elasticloadbalancing:DescribeTargetHealth, ssm:UpdateInstanceInformation, ` +
			`ssmmessages:CreateControlChannel, ssmmessages:CreateDataChannel, ` +
			`ssmmessages:OpenControlChannel, ssmmessages:OpenDataChannel`,
		`the binary: s3:GetObject`,
		`{"Fn::GetAtt":["FleetLog","Arn"]}: logs:CreateLogStream, logs:DescribeLogStreams, logs:PutLogEvents`,
		`{"Ref":"AWS::StackId"}: cloudformation:SignalResource`,
	}
	connect := func(id string) string {
		return `[{"Fn::GetAtt":["` + id + `User","Arn"]},{"Fn::Join":["",["arn:",{"Ref":"AWS::Partition"},":elasticache:",` +
			`{"Ref":"AWS::Region"},":",{"Ref":"AWS::AccountId"},":replicationgroup:",` +
			`{"Ref":"` + id + `ReplicationGroup"}]]}]: elasticache:Connect`
	}
	serverless := func(id string) string {
		return `[{"Fn::GetAtt":["` + id + `Cache","ARN"]},{"Fn::GetAtt":["` + id + `User","Arn"]}]: elasticache:Connect`
	}
	items := []string{
		`{"Fn::GetAtt":["SessionsTable","Arn"]}: ` +
			`dynamodb:DeleteItem, dynamodb:GetItem, dynamodb:PutItem, dynamodb:UpdateItem`,
		`{"Fn::Join":["",[{"Fn::GetAtt":["SessionsTable","Arn"]},"/index/owner"]]}: dynamodb:Query`,
	}
	key := `{"Fn::GetAtt":["SessionsKey","Arn"]}: kms:Decrypt, kms:DescribeKey, kms:Encrypt, ` +
		`kms:GenerateDataKey, kms:ReEncryptFrom, kms:ReEncryptTo`
	replica := `"arn:",{"Ref":"AWS::Partition"},":dynamodb:",{"Ref":"AWS::Region"},":",{"Ref":"AWS::AccountId"},` +
		`":table/StatelessLab-SessionsTable`
	tests := map[string][]string{
		"dynamodb":             items,
		"dynamodb-replicas":    items,
		"dynamodb-provisioned": append(slices.Clone(items), key),
		"dynamodb-replica": {
			`{"Fn::Join":["",[` + replica + `"]]}: ` +
				`dynamodb:DeleteItem, dynamodb:GetItem, dynamodb:PutItem, dynamodb:UpdateItem`,
			`{"Fn::Join":["",[` + replica + `/index/owner"]]}: dynamodb:Query`,
		},
		"dynamodb-dax": append(slices.Clone(items), key, key, // the second is DAX's own, as is the second of these
			`{"Fn::GetAtt":["SessionsDaxCluster","Arn"]}: dax:GetItem, dax:PutItem, dax:UpdateItem`,
			`{"Fn::GetAtt":["SessionsTable","Arn"]}: `+
				`dynamodb:DescribeTable, dynamodb:GetItem, dynamodb:PutItem, dynamodb:UpdateItem`),
		"valkey-serverless": {serverless("ValkeyServerless")},
		"redis-serverless":  {serverless("RedisServerless")},
		"valkey":            {connect("Valkey")},
		"valkey-cluster":    {connect("ValkeyCluster")},
		"redis":             {connect("Redis")},
		"memcached":         nil,
		"postgres": {
			`{"Fn::Join":["",["arn:",{"Ref":"AWS::Partition"},":rds-db:",{"Ref":"AWS::Region"},":",` +
				`{"Ref":"AWS::AccountId"},":dbuser:",{"Fn::GetAtt":["PostgresCluster","DBClusterResourceId"]},` +
				`"/stateless"]]}: rds-db:connect`,
		},
		"cookie":  {`{"Ref":"CookieKeys"}: secretsmanager:GetSecretValue`},
		"token":   {`{"Ref":"TokenKeys"}: secretsmanager:GetSecretValue`},
		"cognito": append(slices.Clone(items), `{"Ref":"LoginKeys"}: secretsmanager:GetSecretValue`),
		"memory":  nil,
	}
	for variant, more := range tests {
		t.Run(variant, func(t *testing.T) {
			_, lab := synth(t, variants[variant])
			for id, role := range *lab.FindResources(jsii.String("AWS::IAM::Role"), nil) {
				if managed, has := dig(t, *role, "Properties").(map[string]any)["ManagedPolicyArns"]; has {
					t.Errorf("managed policies of %s: %v", id, managed)
				}
			}
			var got []string
			for id, policy := range *lab.FindResources(jsii.String("AWS::IAM::Policy"), nil) {
				if !strings.Contains(id, "Rotation") {
					got = append(got, permissions(t, *policy)...)
				}
			}
			slices.Sort(got)
			want := slices.Sorted(slices.Values(append(more, boot...)))
			if !slices.Equal(got, want) {
				t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

// hash is what the CDK appends to the names of a store's resources.
var hash = regexp.MustCompile(`"((?:FleetLog|Login|Cookie|Token|Postgres|Valkey|Redis|Sessions)[A-Za-z]*?)[0-9A-F]{8}"`)

// permissions renders each statement of a policy as "resource: actions". The binary's key is a hash.
func permissions(t *testing.T, policy map[string]any) []string {
	t.Helper()
	var list []string
	for _, statement := range dig(t, policy, "Properties", "PolicyDocument", "Statement").([]any) {
		if effect := dig(t, statement, "Effect"); effect != "Allow" {
			t.Errorf("effect %v", effect)
		}
		var actions []string
		switch action := dig(t, statement, "Action").(type) {
		case string:
			actions = []string{action}
		case []any:
			for _, a := range action {
				actions = append(actions, a.(string))
			}
		}
		resource, err := json.Marshal(dig(t, statement, "Resource"))
		if err != nil {
			t.Fatal(err)
		}
		name := string(resource)
		if strings.Contains(name, ":s3:::") && strings.Contains(name, ".bin") && !strings.Contains(name, "*") {
			name = "the binary"
		}
		name = hash.ReplaceAllString(name, `"$1"`)
		list = append(list, name+": "+strings.Join(actions, ", "))
	}
	return list
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
		body, err := json.Marshal(dig(t, only(t, lab, "AWS::CloudWatch::Dashboard"), "Properties", "DashboardBody"))
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range append(append(words, "Alarms", "5xx a minute"), config.Metrics()...) {
			if !strings.Contains(string(body), word) {
				t.Errorf("%s: no %q on the dashboard", variant, word)
			}
		}
		for id := range *lab.FindResources(jsii.String("AWS::CloudWatch::Alarm"), nil) {
			if !strings.Contains(string(body), id) {
				t.Errorf("%s: the alarm %s is not on the dashboard", variant, id)
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
				t.Errorf("%s: %s go to %v", id, list, to)
			}
		}
	}
	_, lab = synth(t, nil)
	expect(t, func() { lab.ResourceCountIs(jsii.String("AWS::SNS::Topic"), jsii.Number(0)) })
}

func TestProductionIsProtected(t *testing.T) {
	keys := func(store string) map[string]any { return map[string]any{"store": store, "stage": "production"} }
	_, lab := synth(t, keys("dynamodb"))
	balancer := only(t, lab, loadBalancer)
	if got := attribute(t, balancer, "LoadBalancerAttributes", "deletion_protection.enabled"); got != "true" {
		t.Errorf("deletion protection of the load balancer: %s", got)
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
