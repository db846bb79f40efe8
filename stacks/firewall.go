package stacks

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	elb "github.com/aws/aws-cdk-go/awscdk/v2/awselasticloadbalancingv2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awswafv2"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// FirewallProps are the inputs of NewFirewall.
type FirewallProps struct {
	LoadBalancer elb.ApplicationLoadBalancer
	Stage        Stage
	// BehindCloudFront leaves out the rules about the addresses of visitors: the load balancer sees CloudFront's.
	BehindCloudFront bool
}

// firewallRules returns the names of rule groups that AWS maintains, the cheapest to evaluate first. The list of addresses
// with a bad reputation checks the address that a connection comes from, not the header X-Forwarded-For. It has no use
// behind CloudFront, and could block one of CloudFront's addresses with all visitors behind it.
func firewallRules(behindCloudFront bool) []string {
	contents := []string{"AWSManagedRulesKnownBadInputsRuleSet", "AWSManagedRulesCommonRuleSet"}
	if behindCloudFront {
		return contents
	}
	return append([]string{"AWSManagedRulesAmazonIpReputationList"}, contents...)
}

// NewFirewall defines AWS WAF rules for the load balancer, and a log of the requests that they block. It doesn't limit
// request rates, because a load test comes from one address. The rules block requests without a User-Agent header.
func NewFirewall(scope constructs.Construct, id string, props *FirewallProps) {
	scope = constructs.NewConstruct(scope, jsii.String(id))
	var rules []any
	for i, name := range firewallRules(props.BehindCloudFront) {
		rules = append(rules, &awswafv2.CfnWebACL_RuleProperty{
			Name: jsii.String(name), Priority: jsii.Number(i), VisibilityConfig: visibility(name),
			OverrideAction: &awswafv2.CfnWebACL_OverrideActionProperty{None: map[string]any{}}, // keep the actions of the group
			Statement: &awswafv2.CfnWebACL_StatementProperty{
				ManagedRuleGroupStatement: &awswafv2.CfnWebACL_ManagedRuleGroupStatementProperty{
					VendorName: jsii.String("AWS"), Name: jsii.String(name),
				},
			},
		})
	}
	acl := awswafv2.NewCfnWebACL(scope, jsii.String("Rules"), &awswafv2.CfnWebACLProps{
		Description:      jsii.String("Stateless servers"),
		Scope:            jsii.String("REGIONAL"),
		DefaultAction:    &awswafv2.CfnWebACL_DefaultActionProperty{Allow: map[string]any{}},
		VisibilityConfig: visibility("StatelessServers"),
		Rules:            &rules,
	})
	awswafv2.NewCfnWebACLAssociation(scope, jsii.String("Association"), &awswafv2.CfnWebACLAssociationProps{
		ResourceArn: props.LoadBalancer.LoadBalancerArn(), WebAclArn: acl.AttrArn(),
	})
	// WAF requires this prefix of the log group's name. The stack's name makes it unique.
	log := awslogs.NewLogGroup(scope, jsii.String("Log"), &awslogs.LogGroupProps{
		LogGroupName: jsii.String("aws-waf-logs-" + *awscdk.Aws_STACK_NAME()),
		Retention:    logRetention(props.Stage), RemovalPolicy: awscdk.RemovalPolicy_DESTROY,
	})
	logARN := awscdk.Stack_Of(scope).FormatArn(&awscdk.ArnComponents{
		Service: jsii.String("logs"), Resource: jsii.String("log-group"), ResourceName: log.LogGroupName(),
		ArnFormat: awscdk.ArnFormat_COLON_RESOURCE_NAME,
	})
	awswafv2.NewCfnLoggingConfiguration(scope, jsii.String("Logging"), &awswafv2.CfnLoggingConfigurationProps{
		ResourceArn: acl.AttrArn(), LogDestinationConfigs: &[]any{logARN},
		LoggingFilter: map[string]any{"DefaultBehavior": "DROP", "Filters": []any{map[string]any{
			"Behavior": "KEEP", "Requirement": "MEETS_ANY",
			"Conditions": []any{map[string]any{"ActionCondition": map[string]any{"Action": "BLOCK"}}},
		}}},
		// Readers of the log must not be able to take over a session.
		RedactedFields: &[]any{&awswafv2.CfnLoggingConfiguration_FieldToMatchProperty{
			SingleHeader: map[string]any{"Name": "cookie"},
		}},
	})
}

func visibility(name string) *awswafv2.CfnWebACL_VisibilityConfigProperty {
	return &awswafv2.CfnWebACL_VisibilityConfigProperty{
		MetricName: jsii.String(name), CloudWatchMetricsEnabled: jsii.Bool(true), SampledRequestsEnabled: jsii.Bool(true),
	}
}
