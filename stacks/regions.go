package stacks

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/regioninfo"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// daxRegions returns the regions where DAX is available (AWS SDKs' endpoints, botocore 1.43.106, service dax, November
// 2026).
func daxRegions() []string {
	return []string{"af-south-1", "ap-east-1", "ap-east-2", "ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1",
		"ap-south-2", "ap-southeast-1", "ap-southeast-2", "ap-southeast-3", "ap-southeast-4", "ap-southeast-5",
		"ap-southeast-6", "ap-southeast-7", "ca-central-1", "ca-west-1", "cn-north-1", "cn-northwest-1", "eu-central-1",
		"eu-central-2", "eu-north-1", "eu-south-1", "eu-south-2", "eu-west-1", "eu-west-2", "eu-west-3", "il-central-1",
		"mx-central-1", "sa-east-1", "us-east-1", "us-east-2", "us-gov-east-1", "us-gov-west-1", "us-west-1", "us-west-2"}
}

// cloudFrontRegions returns the regions that accounts don't have to opt in to. CloudFront can't write its standard logs
// (legacy) to a bucket in any other region. Standard logs (v2) can go there, but CloudFormation creates their delivery in
// us-east-1 only, in a stack of its own. AWS adds no regions to this list: new ones need an opt-in.
func cloudFrontRegions() []string {
	return []string{"ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1", "ap-southeast-1", "ap-southeast-2",
		"ca-central-1", "eu-central-1", "eu-north-1", "eu-west-1", "eu-west-2", "eu-west-3", "sa-east-1", "us-east-1",
		"us-east-2", "us-west-1", "us-west-2"}
}

// budgetRegions returns the regions where CloudFormation has AWS::Budgets::Budget, with accounts that pay in USD
// (CloudFormation's resource schemas by region in cfn-lint 1.51.0). A budget counts the costs of all regions.
func budgetRegions() []string {
	return []string{"ap-northeast-1", "ap-northeast-2", "ap-south-1", "ap-southeast-1", "ap-southeast-2", "ca-central-1",
		"eu-central-1", "eu-west-1", "eu-west-2", "eu-west-3", "sa-east-1", "us-east-1", "us-east-2", "us-west-1", "us-west-2"}
}

// CheckRegion returns an error with a line for each setting that can't be deployed to the region. It returns nil for the
// region "", because a synthesis without credentials doesn't know its region; CloudFormation then makes the same checks at
// the deployment (see addRegionRules).
func (c Config) CheckRegion(region string) error {
	if region == "" {
		return nil
	}
	var problems []error
	if slices.Contains(c.DynamoDB.replicas(), region) {
		problems = append(problems, fmt.Errorf("context replicas=%q: %s", c.DynamoDB.Replicas, ownRegionMessage(region)))
	}
	if c.DynamoDB.DAX && !slices.Contains(daxRegions(), region) {
		problems = append(problems, fmt.Errorf("context dax=\"true\": %s", noDAXMessage(region)))
	}
	if c.CloudFront && !slices.Contains(cloudFrontRegions(), region) {
		problems = append(problems, fmt.Errorf("context cloudfront=\"true\": %s", noCloudFrontMessage(region)))
	}
	if in := c.certificateRegion(); in != "" && in != region {
		problems = append(problems, fmt.Errorf("context certificateArn=%q: %s", c.CertificateARN, otherCertificateMessage(in, region)))
	}
	if zones := fields(c.AvailabilityZones); len(zones) > 0 && regionOf(zones[0]) != region {
		problems = append(problems, fmt.Errorf("context availabilityZones=%q: %s", c.AvailabilityZones, otherZonesMessage(region)))
	}
	if c.Spending.Budget > 0 && !slices.Contains(budgetRegions(), region) {
		problems = append(problems, fmt.Errorf("context budget=\"%d\": %s", c.Spending.Budget, noBudgetsMessage(region)))
	}
	return errors.Join(problems...)
}

// certificateRegion returns the region of the certificate, or "" without one.
func (c Config) certificateRegion() string {
	if c.CertificateARN == "" {
		return ""
	}
	return strings.Split(c.CertificateARN, ":")[3] // arn:aws:acm:REGION:…
}

func noCloudFrontMessage(region string) string {
	return "CloudFront can't write its logs to " + region + "; allowed are " + strings.Join(cloudFrontRegions(), ", ")
}

func otherCertificateMessage(in, region string) string {
	return "the certificate is in " + in + ", and the lab in " + region + ", where the load balancer can't use it"
}

func otherZonesMessage(region string) string {
	return "allowed are zones of " + region + ", which the lab is deployed to"
}

func ownRegionMessage(region string) string {
	return "allowed are regions other than " + region + ", which the lab is deployed to"
}

func noBudgetsMessage(region string) string {
	return "CloudFormation has no budgets in " + region + "; allowed are " + strings.Join(budgetRegions(), ", ")
}

func noDAXMessage(region string) string {
	return "DAX is not available in " + region + "; allowed are " + strings.Join(daxRegions(), ", ")
}

// addRegionRules adds the checks of CheckRegion to the template as rules, which CloudFormation evaluates when it knows the
// region. A rule that isn't met fails the deployment before it creates anything.
func (c Config) addRegionRules(scope constructs.Construct) {
	rule := func(id, message string, assertion awscdk.ICfnRuleConditionExpression) {
		awscdk.NewCfnRule(scope, jsii.String(id), &awscdk.CfnRuleProps{Assertions: &[]*awscdk.CfnRuleAssertion{
			{Assert: assertion, AssertDescription: jsii.String(message)}}})
	}
	in := func(regions []string) awscdk.ICfnRuleConditionExpression {
		return awscdk.Fn_ConditionContains(jsii.Strings(regions...), awscdk.Aws_REGION())
	}
	if replicas := c.DynamoDB.replicas(); len(replicas) > 0 {
		rule("ReplicasAreElsewhere", "replicas="+c.DynamoDB.Replicas+": "+ownRegionMessage("this one"),
			awscdk.Fn_ConditionNot(in(replicas)))
	}
	if c.DynamoDB.DAX {
		rule("DaxIsHere", "dax=true: "+noDAXMessage("this region"), in(daxRegions()))
	}
	if c.CloudFront {
		rule("CloudFrontLogsHere", "cloudfront=true: "+noCloudFrontMessage("this region"), in(cloudFrontRegions()))
	}
	if region := c.certificateRegion(); region != "" {
		rule("CertificateIsHere", "certificateArn="+c.CertificateARN+": "+otherCertificateMessage(region, "another region"),
			in([]string{region}))
	}
	if zones := fields(c.AvailabilityZones); len(zones) > 0 {
		rule("ZonesAreHere", "availabilityZones="+c.AvailabilityZones+": "+otherZonesMessage("this region"),
			in([]string{regionOf(zones[0])}))
	}
	if c.Spending.Budget > 0 {
		rule("BudgetsAreHere", fmt.Sprintf("budget=%d: %s", c.Spending.Budget, noBudgetsMessage("this region")), in(budgetRegions()))
	}
}

// unknownRegions returns the regions that the CDK doesn't know.
func unknownRegions(regions []string) (unknown []string) {
	if len(regions) == 0 {
		return nil
	}
	known := map[string]bool{}
	for _, info := range *regioninfo.RegionInfo_Regions() {
		known[*info.Name()] = true
	}
	for _, region := range regions {
		if !known[region] {
			unknown = append(unknown, region)
		}
	}
	return unknown
}
