package stacks

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2/assertions"
	"github.com/aws/jsii-runtime-go"

	"stateless-servers/app/config"
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
		"Engine": "valkey", "UserId": "stateless-valkey", "UserName": "stateless-valkey", // IAM wants them to be the same
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

// While the fleet rolls from one store to another, its old servers still use the old store, so that both must be able to
// stand side by side: no logical id, no name, and no policy in common.
func TestServersKeepTheOldStoreUntilTheyAreGone(t *testing.T) {
	owners := map[string]string{} // what a store has to the variant that has it
	_, plain := synth(t, variants["memory"])
	shared := resources(t, plain)
	for _, variant := range []string{"dynamodb", "valkey", "valkey-cluster", "redis", "memcached", "memcached-serverless",
		"postgres", "cookie", "token"} {
		_, lab := synth(t, variants[variant])
		for id, r := range resources(t, lab) {
			if _, has := shared[id]; has {
				if text := fmt.Sprint(r); strings.Contains(text, "dynamodb:") || strings.Contains(text, "elasticache:") ||
					strings.Contains(text, "rds-db:") || strings.Contains(text, "secretsmanager:") {
					t.Errorf("%s: %s stays, and has access to a store that doesn't", variant, id)
				}
				continue
			}
			if r.Type == "AWS::CloudWatch::Alarm" { // of the dashboard, which is updated in place
				continue
			}
			names := []string{id}
			for _, property := range []string{"UserId", "UserGroupId", "ServerlessCacheName", "ReplicationGroupId"} {
				if name, ok := r.Properties[property].(string); ok {
					names = append(names, property+" "+name)
				}
			}
			for _, name := range names {
				if other := owners[name]; other != "" {
					t.Errorf("%s is of %s and of %s", name, other, variant)
				}
				owners[name] = variant
			}
		}
	}
}

func resources(t *testing.T, lab assertions.Template) map[string]cfnResource {
	t.Helper()
	text, err := json.Marshal(lab.ToJSON())
	var parsed cfnTemplate
	if err == nil {
		err = json.Unmarshal(text, &parsed)
	}
	if err != nil {
		t.Fatal(err)
	}
	return parsed.Resources
}

func TestCluster(t *testing.T) {
	_, lab := synth(t, variants["valkey-cluster"])
	expectProperties(t, lab, "AWS::ElastiCache::ReplicationGroup", map[string]any{
		"Engine": "valkey", "NumNodeGroups": 2, "ReplicasPerNodeGroup": 2, "AutomaticFailoverEnabled": true,
		"CacheParameterGroupName": "default.valkey8.cluster.on", "NumCacheClusters": assertions.Match_Absent(),
	})
	text, err := json.Marshal(only(t, lab, "AWS::EC2::LaunchTemplate"))
	if err != nil || !strings.Contains(string(text), `"ConfigurationEndPoint.Address"`) {
		t.Errorf("servers don't get the configuration endpoint: %v", err)
	}
}

func TestRedisStore(t *testing.T) {
	_, lab := synth(t, variants["redis"])
	expectProperties(t, lab, "AWS::ElastiCache::ReplicationGroup", map[string]any{
		"Engine": "redis", "EngineVersion": "7.1", "TransitEncryptionEnabled": true, "AtRestEncryptionEnabled": true,
		"MultiAZEnabled": true, "UserGroupIds": assertions.Match_AnyValue(),
	})
	// Redis OSS insists on a user named default, who must not be able to do anything.
	expectProperties(t, lab, "AWS::ElastiCache::User", map[string]any{"UserName": "default", "AccessString": "off -@all"})
	expectProperties(t, lab, "AWS::ElastiCache::User", map[string]any{"UserName": "stateless-redis",
		"AuthenticationMode": map[string]any{"Type": "iam"}})
	expectProperties(t, lab, "AWS::ElastiCache::UserGroup", map[string]any{
		"UserIds": []any{assertions.Match_AnyValue(), assertions.Match_AnyValue()}})
}

func TestMemcachedStore(t *testing.T) {
	_, lab := synth(t, map[string]any{"store": "memcached", "nodes": "3"})
	expectProperties(t, lab, "AWS::ElastiCache::CacheCluster", map[string]any{
		"Engine": "memcached", "NumCacheNodes": 3, "AZMode": "cross-az", "TransitEncryptionEnabled": true,
	})
	_, lab = synth(t, map[string]any{"store": "memcached", "serverless": "true", "cacheMaxGB": "2", "cacheMaxECPU": "9000"})
	expectProperties(t, lab, "AWS::ElastiCache::ServerlessCache", map[string]any{
		"Engine": "memcached", "CacheUsageLimits": map[string]any{
			"DataStorage": map[string]any{"Maximum": 2, "Unit": "GB"}, "ECPUPerSecond": map[string]any{"Maximum": 9000}},
	})
}

func TestPostgresStore(t *testing.T) {
	_, lab := synth(t, map[string]any{"store": "postgres", "minACU": "1", "maxACU": "8.5"})
	expect(t, func() {
		lab.HasResource(jsii.String("AWS::RDS::DBCluster"), map[string]any{
			"DeletionPolicy": "Delete",
			"Properties": map[string]any{
				"Engine": "aurora-postgresql", "StorageEncrypted": true, "EnableIAMDatabaseAuthentication": true,
				"MasterUserAuthenticationType": "iam-db-auth", "MasterUserPassword": assertions.Match_Absent(),
				"ServerlessV2ScalingConfiguration": map[string]any{"MinCapacity": 1, "MaxCapacity": 8.5},
			}})
		lab.ResourcePropertiesCountIs(jsii.String("AWS::RDS::DBInstance"), map[string]any{
			"DBInstanceClass": "db.serverless", "PubliclyAccessible": false, "CACertificateIdentifier": "rds-ca-rsa2048-g1",
		}, jsii.Number(2))
	})
	_, lab = synth(t, variants["postgres-production"])
	expect(t, func() {
		lab.HasResource(jsii.String("AWS::RDS::DBCluster"), map[string]any{
			"DeletionPolicy": "Snapshot", "UpdateReplacePolicy": "Snapshot",
			"Properties": map[string]any{"DeletionProtection": true, "BackupRetentionPeriod": 35},
		})
	})
}

func TestAuthoritiesOfRDS(t *testing.T) {
	regions := *rdsAuthorities()
	if len(regions) < 25 {
		t.Errorf("%d regions", len(regions))
	}
	for region, values := range regions {
		block, rest := pem.Decode([]byte((*values)["pem"].(string)))
		if block == nil || len(rest) != 0 {
			t.Fatalf("%s: not one certificate", region)
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(region, err)
		}
		if want := "Amazon RDS " + region + " Root CA RSA2048 G1"; certificate.Subject.CommonName != want {
			t.Errorf("%s has the certificate of %s", region, certificate.Subject.CommonName)
		}
		if err := certificate.CheckSignatureFrom(certificate); err != nil || !certificate.IsCA {
			t.Errorf("%s: no authority: %v", region, err)
		}
	}
}

func TestDynamoDBProvisioned(t *testing.T) {
	_, lab := synth(t, map[string]any{"billing": "provisioned", "minUnits": "7", "maxUnits": "70", "customerKey": "true"})
	units := map[string]any{"ReadCapacityUnits": 7, "WriteCapacityUnits": 7}
	expectProperties(t, lab, "AWS::DynamoDB::Table", map[string]any{
		"ProvisionedThroughput": units, "GlobalSecondaryIndexes": []any{map[string]any{"ProvisionedThroughput": units}},
		"SSESpecification": map[string]any{"SSEEnabled": true, "SSEType": "KMS", "KMSMasterKeyId": assertions.Match_AnyValue()},
	})
	expect(t, func() {
		lab.ResourcePropertiesCountIs(jsii.String("AWS::ApplicationAutoScaling::ScalableTarget"),
			map[string]any{"MinCapacity": 7, "MaxCapacity": 70}, jsii.Number(4))
		lab.ResourcePropertiesCountIs(jsii.String("AWS::ApplicationAutoScaling::ScalingPolicy"), map[string]any{
			"TargetTrackingScalingPolicyConfiguration": map[string]any{"TargetValue": 70}}, jsii.Number(4))
		lab.HasResourceProperties(jsii.String("AWS::KMS::Key"), map[string]any{"EnableKeyRotation": true})
	})
}

func TestMemoryIsSticky(t *testing.T) {
	_, lab := synth(t, variants["memory"])
	targets := only(t, lab, targetGroup)
	for key, want := range map[string]string{"stickiness.enabled": "true", "stickiness.type": "lb_cookie",
		"stickiness.lb_cookie.duration_seconds": "86400"} {
		if got := attribute(t, targets, "TargetGroupAttributes", key); got != want {
			t.Errorf("%s is %s, want %s", key, got, want)
		}
	}
	var said strings.Builder
	Config{Store: config.StoreMemory}.Warn(&said)
	if strings.Count(said.String(), "\n") != 1 || !strings.HasPrefix(said.String(), "warning: store=memory") {
		t.Errorf("got %q", said.String())
	}
	said.Reset()
	Config{Store: config.StoreDynamoDB}.Warn(&said)
	if said.Len() != 0 {
		t.Errorf("got %q", said.String())
	}
}
