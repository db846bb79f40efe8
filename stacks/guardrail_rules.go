package stacks

import (
	"slices"
	"strings"

	"stateless-servers/app/config"
)

// A cfnTemplate is what the guardrails look at in one of CloudFormation.
type cfnTemplate struct {
	Resources map[string]cfnResource
}

type cfnResource struct {
	Type       string
	Properties map[string]any
}

// at follows keys into the properties and returns what is there, or nil.
func (r cfnResource) at(keys ...string) any {
	var value any = r.Properties
	for _, key := range keys {
		object, _ := value.(map[string]any)
		value = object[key]
	}
	return value
}

// objects are the elements of a list of the properties.
func (r cfnResource) objects(key string) []map[string]any {
	list, _ := r.at(key).([]any)
	var objects []map[string]any
	for _, element := range list {
		if object, ok := element.(map[string]any); ok {
			objects = append(objects, object)
		}
	}
	return objects
}

// sticky finds a target group that doesn't state that it isn't sticky, and a listener that makes one so.
func sticky(_ string, r cfnResource, _ cfnTemplate, store config.StoreKind) string {
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
				config := cfnResource{Properties: action}.at("ForwardConfig", "TargetGroupStickinessConfig", "Enabled")
				if config != nil && config != false {
					return list + "/ForwardConfig/TargetGroupStickinessConfig"
				}
			}
		}
	}
	return ""
}

func allowsIMDSv1(_ string, r cfnResource, _ cfnTemplate, _ config.StoreKind) string {
	switch r.Type {
	case "AWS::EC2::LaunchTemplate":
		if r.at("LaunchTemplateData", "MetadataOptions", "HttpTokens") != "required" {
			return "LaunchTemplateData/MetadataOptions/HttpTokens"
		}
	case "AWS::AutoScaling::LaunchConfiguration":
		if r.at("MetadataOptions", "HttpTokens") != "required" {
			return "MetadataOptions/HttpTokens"
		}
	case "AWS::EC2::Instance":
		if r.at("LaunchTemplate") == nil && r.at("MetadataOptions", "HttpTokens") != "required" {
			return "MetadataOptions/HttpTokens"
		}
	}
	return ""
}

func opensToTheWorld(id string, r cfnResource, t cfnTemplate, _ config.StoreKind) string {
	switch r.Type {
	case "AWS::EC2::SecurityGroup":
		if slices.ContainsFunc(r.objects("SecurityGroupIngress"), fromTheWorld) && !t.isBalancers(id) {
			return "SecurityGroupIngress"
		}
	case "AWS::EC2::SecurityGroupIngress":
		if fromTheWorld(r.Properties) && !t.isBalancers(groupID(r.at("GroupId"))) {
			return "CidrIp"
		}
	}
	return ""
}

func fromTheWorld(rule map[string]any) bool {
	return rule["CidrIp"] == "0.0.0.0/0" || rule["CidrIpv6"] == "::/0"
}

// groupID is the logical id of the security group that a reference {"Fn::GetAtt": [id, "GroupId"]} means.
func groupID(reference any) string {
	object, _ := reference.(map[string]any)
	path, _ := object["Fn::GetAtt"].([]any)
	if len(path) == 0 {
		return ""
	}
	id, _ := path[0].(string)
	return id
}

// isBalancers reports whether a security group is that of a load balancer.
func (t cfnTemplate) isBalancers(group string) bool {
	for _, r := range t.Resources {
		groups, _ := r.at("SecurityGroups").([]any)
		if r.Type == "AWS::ElasticLoadBalancingV2::LoadBalancer" &&
			slices.ContainsFunc(groups, func(reference any) bool { return groupID(reference) == group }) {
			return true
		}
	}
	return false
}

// unencrypted finds stores, buckets and volumes that keep or send data in the clear. Serverless caches and secrets have
// no such choice, nor has Memcached one about what it keeps.
func unencrypted(_ string, r cfnResource, _ cfnTemplate, _ config.StoreKind) string {
	for _, path := range map[string][][]string{
		"AWS::DynamoDB::Table":               {{"SSESpecification", "SSEEnabled"}},
		"AWS::DynamoDB::GlobalTable":         {{"SSESpecification", "SSEEnabled"}},
		"AWS::ElastiCache::ReplicationGroup": {{"AtRestEncryptionEnabled"}, {"TransitEncryptionEnabled"}},
		"AWS::ElastiCache::CacheCluster":     {{"TransitEncryptionEnabled"}},
		"AWS::DAX::Cluster":                  {{"SSESpecification", "SSEEnabled"}},
		"AWS::RDS::DBCluster":                {{"StorageEncrypted"}},
	}[r.Type] {
		if r.at(path...) != true {
			return strings.Join(path, "/")
		}
	}
	switch r.Type {
	case "AWS::DAX::Cluster":
		if r.at("ClusterEndpointEncryptionType") != "TLS" {
			return "ClusterEndpointEncryptionType"
		}
	case "AWS::S3::Bucket":
		if r.at("BucketEncryption") == nil {
			return "BucketEncryption"
		}
	case "AWS::EC2::LaunchTemplate":
		data, _ := r.at("LaunchTemplateData").(map[string]any)
		if hasPlainVolume(cfnResource{Properties: data}) {
			return "LaunchTemplateData/BlockDeviceMappings"
		}
	case "AWS::EC2::Instance":
		if r.at("LaunchTemplate") == nil && hasPlainVolume(r) {
			return "BlockDeviceMappings"
		}
	}
	return ""
}

// hasPlainVolume reports whether a machine has a volume that isn't encrypted, or that of its image, which may not be.
func hasPlainVolume(machine cfnResource) bool {
	volumes := machine.objects("BlockDeviceMappings")
	return len(volumes) == 0 || slices.ContainsFunc(volumes, func(v map[string]any) bool {
		return cfnResource{Properties: v}.at("Ebs", "Encrypted") != true
	})
}
