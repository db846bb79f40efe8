package stacks

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// removalPolicy keeps what production stored, except when the deployment that created it fails.
func removalPolicy(stage Stage) awscdk.RemovalPolicy {
	if stage == StageProduction {
		return awscdk.RemovalPolicy_RETAIN_ON_UPDATE_OR_DELETE
	}
	return awscdk.RemovalPolicy_DESTROY
}

// retention is how long logs of any kind are kept.
func retention(stage Stage) awslogs.RetentionDays {
	if stage == StageProduction {
		return awslogs.RetentionDays_ONE_YEAR
	}
	return awslogs.RetentionDays_ONE_MONTH
}

// allow is a statement of just these actions on just these resources.
func allow(resources []*string, actions ...string) awsiam.PolicyStatement {
	return awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Actions: jsii.Strings(actions...), Resources: &resources,
	})
}

// newFunctionRole is for a Lambda function, which may write to its log only.
func newFunctionRole(scope constructs.Construct, id string, log awslogs.LogGroup) awsiam.Role {
	role := awsiam.NewRole(scope, jsii.String(id), &awsiam.RoleProps{
		AssumedBy: awsiam.NewServicePrincipal(jsii.String("lambda.amazonaws.com"), nil),
	})
	role.AddToPolicy(allow([]*string{log.LogGroupArn()}, "logs:CreateLogStream", "logs:PutLogEvents"))
	return role
}

// admitSessionManager lets Session Manager reach the instances of the role, and the role do what else knows no resources
// (Service Authorization Reference). For Session Manager it is the whole list: the managed policy
// AmazonSSMManagedInstanceCore may read every parameter of the account besides.
func admitSessionManager(role awsiam.Role, more ...string) {
	role.AddToPrincipalPolicy(allow([]*string{jsii.String("*")}, append(more, "ssm:UpdateInstanceInformation",
		"ssmmessages:CreateControlChannel", "ssmmessages:CreateDataChannel",
		"ssmmessages:OpenControlChannel", "ssmmessages:OpenDataChannel")...))
	accept(role.Node().FindChild(jsii.String("DefaultPolicy")), "AwsSolutions-IAM5",
		"None of the statement's actions can be limited to a resource (Service Authorization Reference).", "Resource::*")
}

// accept excuses a resource from a rule of cdk-nag, for a reason that stands in the template where reviewers and their
// tools find it. Of a rule with findings it excuses those named, or else all.
func accept(construct constructs.IConstruct, rule, reason string, findings ...string) {
	resource, ok := construct.(awscdk.CfnResource)
	if !ok {
		resource = construct.Node().DefaultChild().(awscdk.CfnResource)
	}
	exception := map[string]any{"id": rule, "reason": reason}
	if len(findings) > 0 {
		exception["applies_to"] = findings
	}
	accepted, _ := resource.GetMetadata(jsii.String("cdk_nag")).(map[string]any)
	exceptions, _ := accepted["rules_to_suppress"].([]any)
	resource.AddMetadata(jsii.String("cdk_nag"), map[string]any{"rules_to_suppress": append(exceptions, exception)})
}
