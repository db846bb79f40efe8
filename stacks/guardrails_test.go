package stacks

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"

	"stateless-servers/app/config"
	"stateless-servers/session/sessiontest/must"
)

// Every other test that synthesizes runs the guardrails too, and panics if they find a violation.
func TestGuardrailsFailASynthesis(t *testing.T) {
	app := defineStacks(t, nil)
	lab := app.Node().FindChild(jsii.String("StatelessLab"))
	targets := lab.Node().FindChild(jsii.String("Balancer")).Node().FindChild(jsii.String("TargetGroup"))
	targets.Node().DefaultChild().(awscdk.CfnResource).AddPropertyOverride(jsii.String("TargetGroupAttributes"),
		[]any{map[string]any{"Key": "stickiness.enabled", "Value": "true"}})
	failed := func() (failed any) {
		defer func() { failed = recover() }()
		app.Synth(nil)
		return nil
	}()
	if !strings.Contains(fmt.Sprint(failed), "Validation failed") {
		t.Fatalf("synthesis ends with %v, want a failed validation", failed)
	}
	report, err := os.ReadFile(filepath.Join(*app.Outdir(), "validation-report.json"))
	if err != nil || !strings.Contains(string(report), "any-server-any-request") {
		t.Errorf("%v\n%s", err, report)
	}
}

func TestGuardrails(t *testing.T) {
	const (
		imds     = `"MetadataOptions": {"HttpTokens": "required"}`
		volume   = `"BlockDeviceMappings": [{"Ebs": {"Encrypted": true}}]`
		world    = `{"CidrIp": "0.0.0.0/0", "IpProtocol": "tcp", "FromPort": 80, "ToPort": 80}`
		balancer = `"B": {"Type": "AWS::ElasticLoadBalancingV2::LoadBalancer",
			"Properties": {"SecurityGroups": [{"Fn::GetAtt": ["G", "GroupId"]}]}}`
	)
	target := func(value string) string {
		return `"T": {"Type": "AWS::ElasticLoadBalancingV2::TargetGroup", "Properties": {"TargetGroupAttributes": [
			{"Key": "stickiness.enabled", "Value": "` + value + `"}]}}`
	}
	of := func(kind, properties string) string {
		return `"R": {"Type": "` + kind + `", "Properties": {` + properties + `}}`
	}
	tests := []struct {
		name      string
		store     config.StoreKind
		resources string
		want      string // rule, resource and property
	}{
		{"not sticky", config.StoreValkey, target("false"), ""},
		{"sticky", config.StoreValkey, target("true"), "any-server-any-request T Properties/TargetGroupAttributes/stickiness.enabled"},
		{"sticky for memory", config.StoreMemory, target("true"), ""},
		{"stickiness not stated", config.StoreCookie, of("AWS::ElasticLoadBalancingV2::TargetGroup", ""),
			"any-server-any-request R Properties/TargetGroupAttributes/stickiness.enabled"},
		{"a sticky listener", config.StoreDynamoDB, of("AWS::ElasticLoadBalancingV2::Listener",
			`"DefaultActions": [{"Type": "forward", "ForwardConfig": {"TargetGroupStickinessConfig": {"Enabled": true}}}]`),
			"any-server-any-request R Properties/DefaultActions/ForwardConfig/TargetGroupStickinessConfig"},
		{"a sticky rule", config.StoreDynamoDB, of("AWS::ElasticLoadBalancingV2::ListenerRule",
			`"Actions": [{"Type": "forward", "ForwardConfig": {"TargetGroupStickinessConfig": {"Enabled": true}}}]`),
			"any-server-any-request R Properties/Actions/ForwardConfig/TargetGroupStickinessConfig"},
		{"IMDSv2", "", of("AWS::EC2::LaunchTemplate", `"LaunchTemplateData": {`+imds+`, `+volume+`}`), ""},
		{"IMDSv1", "", of("AWS::EC2::LaunchTemplate", `"LaunchTemplateData": {`+volume+`}`),
			"imdsv2-only R Properties/LaunchTemplateData/MetadataOptions/HttpTokens"},
		{"IMDSv1 by a launch configuration", "", of("AWS::AutoScaling::LaunchConfiguration", ""),
			"imdsv2-only R Properties/MetadataOptions/HttpTokens"},
		{"an instance", "", of("AWS::EC2::Instance", imds+`, `+volume), ""},
		{"IMDSv1 of an instance", "", of("AWS::EC2::Instance", volume), "imdsv2-only R Properties/MetadataOptions/HttpTokens"},
		{"a volume of an instance in the clear", "", of("AWS::EC2::Instance", imds),
			"encrypted R Properties/BlockDeviceMappings"},
		{"a volume in the clear", "", of("AWS::EC2::LaunchTemplate",
			`"LaunchTemplateData": {`+imds+`, "BlockDeviceMappings": [{"Ebs": {"Encrypted": false}}]}`),
			"encrypted R Properties/LaunchTemplateData/BlockDeviceMappings"},
		{"the image's volume", "", of("AWS::EC2::LaunchTemplate", `"LaunchTemplateData": {`+imds+`}`),
			"encrypted R Properties/LaunchTemplateData/BlockDeviceMappings"},
		{"the balancer's group", "", balancer + `, "G": {"Type": "AWS::EC2::SecurityGroup", "Properties": {
			"SecurityGroupIngress": [` + world + `]}}`, ""},
		{"another group", "", balancer + `, "H": {"Type": "AWS::EC2::SecurityGroup", "Properties": {
			"SecurityGroupIngress": [` + world + `]}}`, "only-the-load-balancer-is-public H Properties/SecurityGroupIngress"},
		{"a rule of the balancer's group", "", balancer + `, ` + of("AWS::EC2::SecurityGroupIngress",
			`"CidrIp": "0.0.0.0/0", "GroupId": {"Fn::GetAtt": ["G", "GroupId"]}`), ""},
		{"a rule of another group, IPv6", "", balancer + `, ` + of("AWS::EC2::SecurityGroupIngress",
			`"CidrIpv6": "::/0", "GroupId": {"Fn::GetAtt": ["H", "GroupId"]}`),
			"only-the-load-balancer-is-public R Properties/CidrIp"},
		{"a table", "", of("AWS::DynamoDB::Table", ""), "encrypted R Properties/SSESpecification/SSEEnabled"},
		{"a global table", "", of("AWS::DynamoDB::GlobalTable", ""), "encrypted R Properties/SSESpecification/SSEEnabled"},
		{"DAX at rest", "", of("AWS::DAX::Cluster", `"ClusterEndpointEncryptionType": "TLS"`),
			"encrypted R Properties/SSESpecification/SSEEnabled"},
		{"DAX in transit", "", of("AWS::DAX::Cluster", `"SSESpecification": {"SSEEnabled": true}`),
			"encrypted R Properties/ClusterEndpointEncryptionType"},
		{"a cache at rest", "", of("AWS::ElastiCache::ReplicationGroup", `"TransitEncryptionEnabled": true`),
			"encrypted R Properties/AtRestEncryptionEnabled"},
		{"a cache in transit", "", of("AWS::ElastiCache::ReplicationGroup", `"AtRestEncryptionEnabled": true`),
			"encrypted R Properties/TransitEncryptionEnabled"},
		{"a Memcached cluster", "", of("AWS::ElastiCache::CacheCluster", ""), "encrypted R Properties/TransitEncryptionEnabled"},
		{"a database", "", of("AWS::RDS::DBCluster", `"StorageEncrypted": false`), "encrypted R Properties/StorageEncrypted"},
		{"a bucket", "", of("AWS::S3::Bucket", ""), "encrypted R Properties/BucketEncryption"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			text := `{"Resources": {` + test.resources + `}}`
			if !json.Valid([]byte(text)) {
				t.Fatal("not JSON: ", text)
			}
			file := filepath.Join(t.TempDir(), "template.json")
			must.Succeed(t, os.WriteFile(file, []byte(text), 0o644))
			violations := must.Get((&Guardrails{Store: test.store}).check(file))(t)
			var got []string
			for _, v := range violations {
				where := (*v.ViolatingResources)[0]
				got = append(got, *v.RuleName+" "+*where.ResourceLogicalId+" "+*(*where.Locations)[0])
			}
			if got := strings.Join(got, "\n"); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}
