package stacks

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2/assertions"
	"github.com/aws/jsii-runtime-go"
)

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
		if environment := environmentFile(t, lab); !strings.Contains(environment, "PLAIN_HTTP=\"true\"\n") {
			t.Errorf("the environment lacks PLAIN_HTTP: %s", environment)
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
				t.Error("the stack warns about plain HTTP")
			}
		})
		if environment := environmentFile(t, lab); strings.Contains(environment, "PLAIN_HTTP") {
			t.Errorf("the environment has PLAIN_HTTP: %s", environment)
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
			t.Errorf("%s allows incoming %v", id, inline)
		}
	}
	expectProperties(t, lab, "AWS::EC2::SecurityGroupIngress", map[string]any{"FromPort": 80, "ToPort": 80,
		"SourcePrefixListId": assertions.Match_AnyValue(), "CidrIp": assertions.Match_Absent()})
	if environment := environmentFile(t, lab); strings.Contains(environment, "PLAIN_HTTP") {
		t.Errorf("the server's environment has PLAIN_HTTP, want none: %s", environment)
	}
	expect(t, func() {
		if found := *lab.FindOutputs(jsii.String("Warning"), nil); len(found) != 0 {
			t.Error("a warning of plain HTTP")
		}
	})
	// A public and a private load balancer need different logical ids, and so do their target groups, because
	// CloudFormation can't convert them in place.
	_, public := synth(t, nil)
	private := resources(t, lab)
	for id, r := range resources(t, public) {
		if _, has := private[id]; has && strings.HasPrefix(r.Type, "AWS::ElasticLoadBalancingV2::") {
			t.Errorf("%s belongs to both the public and the private load balancer", id)
		}
	}
}

func TestFirewall(t *testing.T) {
	_, lab := synth(t, variants["edge"])
	acl := onlyResource(t, lab, "AWS::WAFv2::WebACL")
	for i, want := range firewallRules(false) {
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

// Behind CloudFront the load balancer sees CloudFront's addresses: no rule about addresses may judge them.
func TestFirewallBehindCloudFront(t *testing.T) {
	_, lab := synth(t, variants["cloudfront"])
	var got []string
	for _, rule := range dig(t, onlyResource(t, lab, "AWS::WAFv2::WebACL"), "Properties", "Rules").([]any) {
		got = append(got, dig(t, rule, "Name").(string))
	}
	if want := "AWSManagedRulesKnownBadInputsRuleSet AWSManagedRulesCommonRuleSet RateOfAnAddress"; strings.Join(got, " ") != want {
		t.Errorf("got the rules %v, want %s", got, want)
	}
}
