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
	"stateless-servers/session/sessiontest/must"
)

func TestValkeyStore(t *testing.T) {
	_, lab := synth(t, map[string]any{"store": "valkey"})
	expectProperties(t, lab, "AWS::ElastiCache::ReplicationGroup", map[string]any{
		"Engine": "valkey", "EngineVersion": assertions.Match_StringLikeRegexp(jsii.String(`^8\.`)),
		"NumCacheClusters": 2, "MultiAZEnabled": true, "AutomaticFailoverEnabled": true,
		"TransitEncryptionEnabled": true, "TransitEncryptionMode": "required", "AtRestEncryptionEnabled": true,
		"SnapshotRetentionLimit": assertions.Match_Absent(), "AuthToken": assertions.Match_Absent(),
	})
	expectProperties(t, lab, "AWS::ElastiCache::User", map[string]any{
		"Engine": "valkey", "UserId": "statelesslab-valkey", "UserName": "statelesslab-valkey", // IAM authentication requires equal values
		"AuthenticationMode": map[string]any{"Type": "iam"}, "Passwords": assertions.Match_Absent(),
	})
	expect(t, func() { lab.ResourceCountIs(jsii.String(table), jsii.Number(0)) })
}

func TestServerlessValkey(t *testing.T) {
	cacheName := func(lab assertions.Template) string {
		return dig(t, onlyResource(t, lab, "AWS::ElastiCache::ServerlessCache"), "Properties", "ServerlessCacheName").(string)
	}
	for _, engine := range []struct{ store, version, name string }{
		{"valkey", "8", "statelesslab-valkeyserverless"}, {"redis", "7", "statelesslab-redisserverless"},
	} {
		_, lab := synth(t, map[string]any{"store": engine.store, "serverless": "true", "cacheMaxGB": "3", "cacheMaxECPU": "4000"})
		var users string
		for id := range *lab.FindResources(jsii.String("AWS::ElastiCache::UserGroup"), nil) {
			users = id
		}
		expectProperties(t, lab, "AWS::ElastiCache::ServerlessCache", map[string]any{
			"Engine": engine.store, "MajorEngineVersion": engine.version,
			"UserGroupId": map[string]any{"Ref": users}, "CacheUsageLimits": map[string]any{
				"DataStorage": map[string]any{"Maximum": 3, "Unit": "GB"}, "ECPUPerSecond": map[string]any{"Maximum": 4000}},
			"SnapshotRetentionLimit": assertions.Match_Absent(),
		})
		expectProperties(t, lab, "AWS::ElastiCache::User", map[string]any{"UserId": engine.name, "UserName": engine.name,
			"AuthenticationMode": map[string]any{"Type": "iam"}, "AccessString": "on ~* +@all -@dangerous"})
		expect(t, func() { lab.ResourceCountIs(jsii.String("AWS::ElastiCache::ReplicationGroup"), jsii.Number(0)) })
		env := environmentFile(t, lab)
		for _, line := range []string{`VALKEY_TLS="true"`, `VALKEY_SERVERLESS="true"`, `VALKEY_USER="` + engine.name + `"`,
			`VALKEY_CACHE_NAME="` + cacheName(lab) + `"`} {
			if !strings.Contains(env, line+"\n") {
				t.Errorf("%s: the environment lacks %s: %s", engine.store, line, env)
			}
		}
	}
	_, lab := synth(t, variants["redis-serverless"])
	expectProperties(t, lab, "AWS::ElastiCache::ServerlessCache", map[string]any{
		"SnapshotRetentionLimit": 7, "FinalSnapshotName": cacheName(lab) + "-last"})
	_, lab = synth(t, variants["valkey"])
	if env := environmentFile(t, lab); strings.Contains(env, "VALKEY_SERVERLESS") {
		t.Errorf("the environment of a replication group has VALKEY_SERVERLESS: %s", env)
	}
}

func TestOnlyServersReachTheCache(t *testing.T) {
	_, lab := synth(t, map[string]any{"store": "valkey"})
	var cache, fleet string
	for id, group := range *lab.FindResources(jsii.String("AWS::EC2::SecurityGroup"), nil) {
		switch dig(t, *group, "Properties", "GroupDescription") {
		case "Session cache: from the servers only":
			cache = id
			if inline, has := dig(t, *group, "Properties").(map[string]any)["SecurityGroupIngress"]; has {
				t.Errorf("the cache allows incoming %v", inline)
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

// During a switch of stores the old servers still use the old store. So both stores must be able to exist at the same time:
// they share no logical id, no name and no policy.
func TestStoresCanExistSideBySide(t *testing.T) {
	owners := map[string]string{} // logical id or name to the variant that has it
	_, plain := synth(t, variants["memory"])
	shared := resources(t, plain)
	for _, variant := range []string{"dynamodb", "valkey", "valkey-cluster", "valkey-durable", "valkey-serverless", "redis",
		"redis-serverless", "memcached", "memcached-serverless", "postgres", "cookie", "token"} {
		_, lab := synth(t, variants[variant])
		for id, r := range resources(t, lab) {
			if _, has := shared[id]; has {
				if text := fmt.Sprint(r); strings.Contains(text, "dynamodb:") || strings.Contains(text, "elasticache:") ||
					strings.Contains(text, "rds-db:") || strings.Contains(text, "secretsmanager:") {
					t.Errorf("%s: %s is shared by all stores, and grants access to one of them", variant, id)
				}
				continue
			}
			if r.Type == "AWS::CloudWatch::Alarm" { // part of the dashboard, which is updated in place
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
					t.Errorf("%s is in both %s and %s", name, other, variant)
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
	must.Succeed(t, err)
	return parsed.Resources
}

func TestCluster(t *testing.T) {
	_, lab := synth(t, variants["valkey-cluster"])
	expectProperties(t, lab, "AWS::ElastiCache::ReplicationGroup", map[string]any{
		"Engine": "valkey", "NumNodeGroups": 2, "ReplicasPerNodeGroup": 2, "AutomaticFailoverEnabled": true,
		"CacheParameterGroupName": "default.valkey8.cluster.on", "NumCacheClusters": assertions.Match_Absent(),
	})
	text, err := json.Marshal(onlyResource(t, lab, "AWS::EC2::LaunchTemplate"))
	if err != nil || !strings.Contains(string(text), `"ConfigurationEndPoint.Address"`) {
		t.Errorf("the environment lacks the configuration endpoint: %v", err)
	}
}

func TestRedisStore(t *testing.T) {
	_, lab := synth(t, variants["redis"])
	expectProperties(t, lab, "AWS::ElastiCache::ReplicationGroup", map[string]any{
		"Engine": "redis", "EngineVersion": "7.1", "TransitEncryptionEnabled": true, "AtRestEncryptionEnabled": true,
		"MultiAZEnabled": true, "UserGroupIds": assertions.Match_AnyValue(),
	})
	// Redis OSS requires a user named default, which must have no permissions.
	expectProperties(t, lab, "AWS::ElastiCache::User", map[string]any{"UserName": "default", "AccessString": "off -@all"})
	expectProperties(t, lab, "AWS::ElastiCache::User", map[string]any{"UserName": "statelesslab-redis",
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

func TestRDSCertificates(t *testing.T) {
	regions := *rdsAuthorities()
	if len(regions) < 25 {
		t.Errorf("%d regions, want at least 25", len(regions))
	}
	for region, values := range regions {
		block, rest := pem.Decode([]byte((*values)["pem"].(string)))
		if block == nil || len(rest) != 0 {
			t.Fatalf("%s: want exactly one certificate", region)
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(region, err)
		}
		if want := "Amazon RDS " + region + " Root CA RSA2048 G1"; certificate.Subject.CommonName != want {
			t.Errorf("%s has the certificate of %s", region, certificate.Subject.CommonName)
		}
		if err := certificate.CheckSignatureFrom(certificate); err != nil || !certificate.IsCA {
			t.Errorf("%s: not a self-signed certificate authority: %v", region, err)
		}
	}
}

func TestMemoryIsSticky(t *testing.T) {
	_, lab := synth(t, variants["memory"])
	targets := onlyResource(t, lab, targetGroup)
	for key, want := range map[string]string{"stickiness.enabled": "true", "stickiness.type": "lb_cookie",
		"stickiness.lb_cookie.duration_seconds": "86400"} {
		if got := attribute(t, targets, "TargetGroupAttributes", key); got != want {
			t.Errorf("%s is %s, want %s", key, got, want)
		}
	}
	var warnings strings.Builder
	Config{Store: config.StoreMemory}.Warn(&warnings)
	if strings.Count(warnings.String(), "\n") != 1 || !strings.HasPrefix(warnings.String(), "warning: store=memory") {
		t.Errorf("got %q", warnings.String())
	}
	warnings.Reset()
	Config{Store: config.StoreDynamoDB}.Warn(&warnings)
	if warnings.Len() != 0 {
		t.Errorf("got %q", warnings.String())
	}
}
