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
	// RateLimit is the number of requests that an address may send in five minutes.
	RateLimit int
	// VisitorHeader is the header in which CloudFront sends the visitor's address. Empty means the address that connects.
	VisitorHeader string
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

// NewFirewall defines AWS WAF rules for the load balancer, and a log of the requests that they block, and
// limits the rate of each address. The rules block requests without a User-Agent header.
func NewFirewall(scope constructs.Construct, id string, props *FirewallProps) {
	scope = constructs.NewConstruct(scope, jsii.String(id))
	var rules []any
	for i, name := range firewallRules(props.VisitorHeader != "") {
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
	rules = append(rules, rateRule(len(rules), props)) // the last: requests that the other rules block don't count
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

// rateRule returns the rule that responds with 429 to an address that sends more requests than the limit.
func rateRule(priority int, props *FirewallProps) *awswafv2.CfnWebACL_RuleProperty {
	const name = "RateOfAnAddress"
	rate := &awswafv2.CfnWebACL_RateBasedStatementProperty{
		AggregateKeyType: jsii.String("IP"), Limit: jsii.Number(props.RateLimit), EvaluationWindowSec: jsii.Number(rateWindowSeconds),
	}
	if props.VisitorHeader != "" {
		rate.AggregateKeyType = jsii.String("FORWARDED_IP")
		rate.ForwardedIpConfig = &awswafv2.CfnWebACL_ForwardedIPConfigurationProperty{
			HeaderName: jsii.String(props.VisitorHeader), FallbackBehavior: jsii.String("MATCH"),
		}
	}
	return &awswafv2.CfnWebACL_RuleProperty{
		Name: jsii.String(name), Priority: jsii.Number(priority), VisibilityConfig: visibility(name),
		Statement: &awswafv2.CfnWebACL_StatementProperty{RateBasedStatement: rate},
		Action: &awswafv2.CfnWebACL_RuleActionProperty{Block: &awswafv2.CfnWebACL_BlockActionProperty{
			CustomResponse: &awswafv2.CfnWebACL_CustomResponseProperty{ResponseCode: jsii.Number(429)},
		}},
	}
}

func visibility(name string) *awswafv2.CfnWebACL_VisibilityConfigProperty {
	return &awswafv2.CfnWebACL_VisibilityConfigProperty{
		MetricName: jsii.String(name), CloudWatchMetricsEnabled: jsii.Bool(true), SampledRequestsEnabled: jsii.Bool(true),
	}
}
