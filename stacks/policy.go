package stacks

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// removalPolicy keeps stored data in production, unless the deployment that created its resource fails, and deletes it
// otherwise.
func removalPolicy(stage Stage) awscdk.RemovalPolicy {
	if stage == StageProduction {
		return awscdk.RemovalPolicy_RETAIN_ON_UPDATE_OR_DELETE
	}
	return awscdk.RemovalPolicy_DESTROY
}

// logRetention returns how long logs are kept.
func logRetention(stage Stage) awslogs.RetentionDays {
	if stage == StageProduction {
		return awslogs.RetentionDays_ONE_YEAR
	}
	return awslogs.RetentionDays_ONE_MONTH
}

// allow returns a policy statement that allows the actions on the resources.
func allow(resources []*string, actions ...string) awsiam.PolicyStatement {
	return awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Actions: jsii.Strings(actions...), Resources: &resources,
	})
}

// newFunctionRole defines the role of a Lambda function, which may write to its log only.
func newFunctionRole(scope constructs.Construct, id string, log awslogs.LogGroup) awsiam.Role {
	role := awsiam.NewRole(scope, jsii.String(id), &awsiam.RoleProps{
		AssumedBy: awsiam.NewServicePrincipal(jsii.String("lambda.amazonaws.com"), nil),
	})
	role.AddToPolicy(allow([]*string{log.LogGroupArn()}, "logs:CreateLogStream", "logs:PutLogEvents"))
	return role
}

// allowSessionManager allows Session Manager to reach the instances of the role, and allows the role the actions in more.
// None of these actions supports resources (Service Authorization Reference). The list replaces the managed policy
// AmazonSSMManagedInstanceCore, which also allows reading every parameter of the account.
func allowSessionManager(role awsiam.Role, more ...string) {
	role.AddToPrincipalPolicy(allow([]*string{jsii.String("*")}, append(more, "ssm:UpdateInstanceInformation",
		"ssmmessages:CreateControlChannel", "ssmmessages:CreateDataChannel",
		"ssmmessages:OpenControlChannel", "ssmmessages:OpenDataChannel")...))
	suppress(role.Node().FindChild(jsii.String("DefaultPolicy")), "AwsSolutions-IAM5",
		"None of the statement's actions can be limited to a resource (Service Authorization Reference).", "Resource::*")
}

// suppress suppresses a rule of cdk-nag for a resource and records the reason in the template's metadata, where reviewers
// and their tools find it. It suppresses the named findings of the rule, or without names all of them.
func suppress(construct constructs.IConstruct, rule, reason string, findings ...string) {
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
