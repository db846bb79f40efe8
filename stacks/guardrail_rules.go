package stacks

import (
	"slices"
	"strings"

	"stateless-servers/app/config"
)

// A cfnTemplate is the part of a CloudFormation template that the guardrails read.
type cfnTemplate struct {
	Resources map[string]cfnResource
}

type cfnResource struct {
	Type       string
	Properties map[string]any
}

// property returns the value at a path of keys in the properties, or nil.
func (r cfnResource) property(keys ...string) any {
	var value any = r.Properties
	for _, key := range keys {
		object, _ := value.(map[string]any)
		value = object[key]
	}
	return value
}

// objects returns the elements of a list in the properties that are objects.
func (r cfnResource) objects(key string) []map[string]any {
	list, _ := r.property(key).([]any)
	var objects []map[string]any
	for _, element := range list {
		if object, ok := element.(map[string]any); ok {
			objects = append(objects, object)
		}
	}
	return objects
}

// findStickiness finds a target group that doesn't turn stickiness off, and a listener that turns it on.
func findStickiness(_ string, r cfnResource, _ cfnTemplate, store config.StoreKind) string {
	if store == config.StoreMemory {
		return ""
	}
	switch r.Type {
	case "AWS::ElasticLoadBalancingV2::TargetGroup":
		off := func(a map[string]any) bool { return a["Key"] == "stickiness.enabled" && a["Value"] == "false" }
		if !slices.ContainsFunc(r.objects("TargetGroupAttributes"), off) {
			return "TargetGroupAttributes/stickiness.enabled"
		}
	case "AWS::ElasticLoadBalancingV2::Listener", "AWS::ElasticLoadBalancingV2::ListenerRule":
		for _, list := range []string{"DefaultActions", "Actions"} {
			for _, action := range r.objects(list) {
				config := cfnResource{Properties: action}.property("ForwardConfig", "TargetGroupStickinessConfig", "Enabled")
				if config != nil && config != false {
					return list + "/ForwardConfig/TargetGroupStickinessConfig"
				}
			}
		}
	}
	return ""
}

// findIMDSv1 finds an instance, launch template or launch configuration that doesn't require IMDSv2.
func findIMDSv1(_ string, r cfnResource, _ cfnTemplate, _ config.StoreKind) string {
	switch r.Type {
	case "AWS::EC2::LaunchTemplate":
		if r.property("LaunchTemplateData", "MetadataOptions", "HttpTokens") != "required" {
			return "LaunchTemplateData/MetadataOptions/HttpTokens"
		}
	case "AWS::AutoScaling::LaunchConfiguration":
		if r.property("MetadataOptions", "HttpTokens") != "required" {
			return "MetadataOptions/HttpTokens"
		}
	case "AWS::EC2::Instance":
		if r.property("LaunchTemplate") == nil && r.property("MetadataOptions", "HttpTokens") != "required" {
			return "MetadataOptions/HttpTokens"
		}
	}
	return ""
}

// findPublicIngress finds a security group, other than a load balancer's, that accepts connections from any address.
func findPublicIngress(id string, r cfnResource, t cfnTemplate, _ config.StoreKind) string {
	switch r.Type {
	case "AWS::EC2::SecurityGroup":
		if slices.ContainsFunc(r.objects("SecurityGroupIngress"), isPublic) && !t.belongsToLoadBalancer(id) {
			return "SecurityGroupIngress"
		}
	case "AWS::EC2::SecurityGroupIngress":
		if isPublic(r.Properties) && !t.belongsToLoadBalancer(groupID(r.property("GroupId"))) {
			return "CidrIp"
		}
	}
	return ""
}

func isPublic(rule map[string]any) bool {
	return rule["CidrIp"] == "0.0.0.0/0" || rule["CidrIpv6"] == "::/0"
}

// groupID returns the logical id of the security group in a reference {"Fn::GetAtt": [id, "GroupId"]}.
func groupID(reference any) string {
	object, _ := reference.(map[string]any)
	path, _ := object["Fn::GetAtt"].([]any)
	if len(path) == 0 {
		return ""
	}
	id, _ := path[0].(string)
	return id
}

// belongsToLoadBalancer reports whether a load balancer uses a security group.
func (t cfnTemplate) belongsToLoadBalancer(group string) bool {
	for _, r := range t.Resources {
		groups, _ := r.property("SecurityGroups").([]any)
		if r.Type == "AWS::ElasticLoadBalancingV2::LoadBalancer" &&
			slices.ContainsFunc(groups, func(reference any) bool { return groupID(reference) == group }) {
			return true
		}
	}
	return false
}

// findUnencrypted finds stores, buckets and volumes without encryption at rest or in transit. Serverless caches and secrets
// are always encrypted, and Memcached never at rest.
func findUnencrypted(_ string, r cfnResource, _ cfnTemplate, _ config.StoreKind) string {
	for _, path := range map[string][][]string{
		"AWS::DynamoDB::Table":               {{"SSESpecification", "SSEEnabled"}},
		"AWS::DynamoDB::GlobalTable":         {{"SSESpecification", "SSEEnabled"}},
		"AWS::ElastiCache::ReplicationGroup": {{"AtRestEncryptionEnabled"}, {"TransitEncryptionEnabled"}},
		"AWS::ElastiCache::CacheCluster":     {{"TransitEncryptionEnabled"}},
		"AWS::DAX::Cluster":                  {{"SSESpecification", "SSEEnabled"}},
		"AWS::RDS::DBCluster":                {{"StorageEncrypted"}},
	}[r.Type] {
		if r.property(path...) != true {
			return strings.Join(path, "/")
		}
	}
	switch r.Type {
	case "AWS::DAX::Cluster":
		if r.property("ClusterEndpointEncryptionType") != "TLS" {
			return "ClusterEndpointEncryptionType"
		}
	case "AWS::S3::Bucket":
		if r.property("BucketEncryption") == nil {
			return "BucketEncryption"
		}
	case "AWS::EC2::LaunchTemplate":
		data, _ := r.property("LaunchTemplateData").(map[string]any)
		if hasUnencryptedVolume(cfnResource{Properties: data}) {
			return "LaunchTemplateData/BlockDeviceMappings"
		}
	case "AWS::EC2::Instance":
		if r.property("LaunchTemplate") == nil && hasUnencryptedVolume(r) {
			return "BlockDeviceMappings"
		}
	}
	return ""
}

// hasUnencryptedVolume reports whether a machine has a volume without encryption, or the default volume of its image, which
// may be unencrypted.
func hasUnencryptedVolume(machine cfnResource) bool {
	volumes := machine.objects("BlockDeviceMappings")
	return len(volumes) == 0 || slices.ContainsFunc(volumes, func(v map[string]any) bool {
		return cfnResource{Properties: v}.property("Ebs", "Encrypted") != true
	})
}
