package stacks

import (
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudfront"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudfrontorigins"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/aws-cdk-go/awscdk/v2/customresources"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// DistributionProps are the inputs of NewDistribution.
type DistributionProps struct {
	// Balancer must be Private.
	Balancer Balancer
	Stage    Stage
	// VisitorHeader is the header in which CloudFront sends the visitor's address to the load balancer. Empty means none.
	VisitorHeader string
}

// NewDistribution defines an Amazon CloudFront distribution in front of the load balancer and returns its URL. It serves
// HTTPS under CloudFront's own name and certificate. It reaches the load balancer inside the VPC by a VPC origin, and is
// the only client that can. It caches nothing, because every response belongs to one visitor, and forwards all headers,
// cookies and query strings. Requests between CloudFront and the load balancer are plain HTTP on AWS's network.
func NewDistribution(scope constructs.Construct, id string, props *DistributionProps) (url string) {
	scope = constructs.NewConstruct(scope, jsii.String(id))
	props.Balancer.LoadBalancer.Connections().AllowFrom(cloudFrontAddresses(scope, props.Stage),
		awsec2.Port_HTTP(), jsii.String("CloudFront"))
	origin := awscloudfrontorigins.VpcOrigin_WithApplicationLoadBalancer(props.Balancer.LoadBalancer,
		&awscloudfrontorigins.VpcOriginWithEndpointProps{
			ProtocolPolicy:   awscloudfront.OriginProtocolPolicy_HTTP_ONLY,
			KeepaliveTimeout: duration(idleTimeout / 2), // CloudFront closes an idle connection before the load balancer does
			ReadTimeout:      duration(30 * time.Second),
		})
	logs := newLogBucket(scope, props.Stage, awss3.ObjectOwnership_BUCKET_OWNER_PREFERRED) // CloudFront writes with ACLs
	distribution := awscloudfront.NewDistribution(scope, jsii.String("Distribution"), &awscloudfront.DistributionProps{
		Comment: jsii.String("Stateless servers"),
		DefaultBehavior: &awscloudfront.BehaviorOptions{
			Origin:               origin,
			AllowedMethods:       awscloudfront.AllowedMethods_ALLOW_ALL(),
			ViewerProtocolPolicy: awscloudfront.ViewerProtocolPolicy_REDIRECT_TO_HTTPS,
			CachePolicy:          awscloudfront.CachePolicy_CACHING_DISABLED(),
			OriginRequestPolicy:  awscloudfront.OriginRequestPolicy_ALL_VIEWER(),
			FunctionAssociations: visitorAddress(scope, props.VisitorHeader),
		},
		HttpVersion: awscloudfront.HttpVersion_HTTP2_AND_3,
		PriceClass:  awscloudfront.PriceClass_PRICE_CLASS_100,
		LogBucket:   logs,
	})
	suppress(distribution, "AwsSolutions-CFR1", "Visitors of all countries are allowed.")
	suppress(distribution, "AwsSolutions-CFR2", "AWS WAF is optional (-c waf=true), and is attached to the load balancer.")
	suppress(distribution, "AwsSolutions-CFR4", "With CloudFront's own certificate, which needs no domain, the TLS versions "+
		"can't be chosen.")
	return "https://" + *distribution.DomainName()
}

// visitorAddress defines a function that sets the header to the visitor's address, whatever the visitor has sent in it. Neither
// header of CloudFront's own will do: WAF reads the first address of X-Forwarded-For, which visitors can choose, and can't read
// CloudFront-Viewer-Address, which contains a port. Two million calls per month are free; a million more cost 0.10 USD.
func visitorAddress(scope constructs.Construct, header string) *[]*awscloudfront.FunctionAssociation {
	if header == "" {
		return nil
	}
	function := awscloudfront.NewFunction(scope, jsii.String("VisitorAddress"), &awscloudfront.FunctionProps{
		Comment: jsii.String("Sends the visitor's address to the firewall"),
		Runtime: awscloudfront.FunctionRuntime_JS_2_0(),
		Code: awscloudfront.FunctionCode_FromInline(jsii.String("function handler(event) {\n  event.request.headers['" + header +
			"'] = {value: event.viewer.ip};\n  return event.request;\n}\n")),
	})
	return &[]*awscloudfront.FunctionAssociation{
		{EventType: awscloudfront.FunctionEventType_VIEWER_REQUEST, Function: function}}
}

// cloudFrontAddresses returns the addresses from which CloudFront connects to origins: a prefix list that AWS maintains. Its
// id differs between regions, so a custom resource looks it up by name.
func cloudFrontAddresses(scope constructs.Construct, stage Stage) awsec2.IPeer {
	log := awslogs.NewLogGroup(scope, jsii.String("LookupLog"), &awslogs.LogGroupProps{
		Retention: logRetention(stage), RemovalPolicy: awscdk.RemovalPolicy_DESTROY,
	})
	role := newFunctionRole(scope, "LookupRole", log)
	role.AddToPolicy(allow([]*string{jsii.String("*")}, "ec2:DescribeManagedPrefixLists"))
	suppress(role.Node().FindChild(jsii.String("DefaultPolicy")), "AwsSolutions-IAM5",
		"ec2:DescribeManagedPrefixLists can't be limited to a resource.", "Resource::*")
	lookup := customresources.NewAwsCustomResource(scope, jsii.String("CloudFrontAddresses"),
		&customresources.AwsCustomResourceProps{
			ResourceType: jsii.String("Custom::PrefixList"),
			OnUpdate: &customresources.AwsSdkCall{
				Service: jsii.String("EC2"), Action: jsii.String("DescribeManagedPrefixLists"),
				Parameters: map[string]any{"Filters": []any{map[string]any{
					"Name": "prefix-list-name", "Values": []any{"com.amazonaws.global.cloudfront.origin-facing"},
				}}},
				PhysicalResourceId: customresources.PhysicalResourceId_Of(jsii.String("cloudfront-origin-facing")),
				OutputPaths:        jsii.Strings("PrefixLists.0.PrefixListId"),
			},
			Role: role, LogGroup: log, InstallLatestAwsSdk: jsii.Bool(false),
		})
	lookup.Node().AddDependency(role) // with its policy
	return awsec2.Peer_PrefixList(lookup.GetResponseField(jsii.String("PrefixLists.0.PrefixListId")))
}
