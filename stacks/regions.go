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

// daxRegions have Amazon DynamoDB Accelerator (AWS SDKs' endpoints, botocore 1.43.106, service dax, November 2026).
func daxRegions() []string {
	return []string{"af-south-1", "ap-east-1", "ap-east-2", "ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1",
		"ap-south-2", "ap-southeast-1", "ap-southeast-2", "ap-southeast-3", "ap-southeast-4", "ap-southeast-5",
		"ap-southeast-6", "ap-southeast-7", "ca-central-1", "ca-west-1", "cn-north-1", "cn-northwest-1", "eu-central-1",
		"eu-central-2", "eu-north-1", "eu-south-1", "eu-south-2", "eu-west-1", "eu-west-2", "eu-west-3", "il-central-1",
		"mx-central-1", "sa-east-1", "us-east-1", "us-east-2", "us-gov-east-1", "us-gov-west-1", "us-west-1", "us-west-2"}
}

// CheckRegion tells what of the Config can't be deployed to a region, one line each. Nothing is known of the region "",
// which is that of a synthesis without credentials: CloudFormation checks the same at the deployment.
func (c Config) CheckRegion(region string) error {
	if region == "" {
		return nil
	}
	var problems []error
	if slices.Contains(c.DynamoDB.replicas(), region) {
		problems = append(problems, fmt.Errorf("context replicas=%q: %s", c.DynamoDB.Replicas, ownRegion(region)))
	}
	if c.DynamoDB.DAX && !slices.Contains(daxRegions(), region) {
		problems = append(problems, fmt.Errorf("context dax=\"true\": %s", noDAX(region)))
	}
	return errors.Join(problems...)
}

func ownRegion(region string) string {
	return "allowed are other regions than " + region + ", which the lab is deployed to"
}

func noDAX(region string) string {
	return "there is no DAX in " + region + "; allowed are " + strings.Join(daxRegions(), ", ")
}

// checkRegions are rules of the template, for the region that only CloudFormation knows. They fail a deployment before
// anything is made.
func (c Config) checkRegions(scope constructs.Construct) {
	rule := func(id, message string, assertion awscdk.ICfnRuleConditionExpression) {
		awscdk.NewCfnRule(scope, jsii.String(id), &awscdk.CfnRuleProps{Assertions: &[]*awscdk.CfnRuleAssertion{
			{Assert: assertion, AssertDescription: jsii.String(message)}}})
	}
	in := func(regions []string) awscdk.ICfnRuleConditionExpression {
		return awscdk.Fn_ConditionContains(jsii.Strings(regions...), awscdk.Aws_REGION())
	}
	if replicas := c.DynamoDB.replicas(); len(replicas) > 0 {
		rule("ReplicasAreElsewhere", "replicas="+c.DynamoDB.Replicas+": "+ownRegion("this one"),
			awscdk.Fn_ConditionNot(in(replicas)))
	}
	if c.DynamoDB.DAX {
		rule("DaxIsHere", "dax=true: "+noDAX("this region"), in(daxRegions()))
	}
}

// unknownRegions are those that AWS doesn't have, as far as the CDK knows.
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
