package stacks

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// NetworkProps are the inputs of NewNetwork.
type NetworkProps struct {
	awscdk.StackProps
	Config Config
}

// Network is the stack of the VPC, which rarely changes.
type Network struct {
	awscdk.Stack
	Vpc awsec2.Vpc
}

// NewNetwork defines a VPC with three subnets per zone, free gateway endpoints for S3 and DynamoDB, and the egress that the
// Config selects.
func NewNetwork(scope constructs.Construct, id string, props *NetworkProps) Network {
	stackProps := props.StackProps
	stackProps.TerminationProtection = jsii.Bool(props.Config.Protect)
	stack := awscdk.NewStack(scope, jsii.String(id), &stackProps)

	subnets, gateways := awsec2.SubnetType_PRIVATE_WITH_EGRESS, 1
	switch {
	case props.Config.Egress == EgressEndpointsOnly:
		subnets, gateways = awsec2.SubnetType_PRIVATE_ISOLATED, 0
	case props.Config.Stage == StageProduction:
		gateways = props.Config.Zones // the outage of a zone doesn't affect the NAT of the others
	}
	var provider awsec2.NatProvider // nil means NAT gateways
	var instances awsec2.NatInstanceProviderV2
	if props.Config.Egress == EgressNATInstance {
		instances = newNATProvider(props.Config.NATInstanceType)
		provider = instances
	}
	vpc := awsec2.NewVpc(stack, jsii.String("Vpc"), &awsec2.VpcProps{
		IpAddresses:       awsec2.IpAddresses_Cidr(jsii.String(vpcAddresses)),
		AvailabilityZones: props.Config.zoneNames(),
		// Addresses are reserved for three zones, so that a third zone doesn't change the subnets of the others.
		ReservedAzs:        jsii.Number(3 - props.Config.Zones),
		NatGateways:        jsii.Number(gateways),
		NatGatewayProvider: provider,
		SubnetConfiguration: &[]*awsec2.SubnetConfiguration{
			{Name: jsii.String(balancerSubnets), SubnetType: awsec2.SubnetType_PUBLIC, CidrMask: jsii.Number(24),
				MapPublicIpOnLaunch: jsii.Bool(false)},
			{Name: jsii.String(fleetSubnets), SubnetType: subnets, CidrMask: jsii.Number(20)},
			{Name: jsii.String(storeSubnets), SubnetType: awsec2.SubnetType_PRIVATE_ISOLATED, CidrMask: jsii.Number(24)},
		},
		// Nothing uses the default security group. Removing its rules would need a custom resource with a Lambda function.
		RestrictDefaultSecurityGroup: jsii.Bool(false),
	})
	addS3Endpoint(stack, vpc)
	allowOwnAccount(vpc.AddGatewayEndpoint(jsii.String("DynamoDB"), &awsec2.GatewayVpcEndpointOptions{
		Service: awsec2.GatewayVpcEndpointAwsService_DYNAMODB(),
	}))
	addFlowLog(vpc, props.Config.Stage)
	if instances != nil {
		hardenNATInstances(stack, instances)
	}
	if props.Config.Egress == EgressEndpointsOnly {
		addInterfaceEndpoints(vpc)
	}
	exportSubnets(stack, vpc)
	return Network{stack, vpc}
}

// addS3Endpoint defines a gateway endpoint for S3. Its policy allows the buckets of this account only, against data
// exfiltration, and the packages of Amazon Linux. dnf downloads those without credentials, so the policy must not restrict
// the caller.
func addS3Endpoint(stack awscdk.Stack, vpc awsec2.Vpc) {
	endpoint := vpc.AddGatewayEndpoint(jsii.String("S3"), &awsec2.GatewayVpcEndpointOptions{
		Service: awsec2.GatewayVpcEndpointAwsService_S3(),
	})
	allowOwnAccount(endpoint)
	packages := "arn:" + *stack.Partition() + ":s3:::al2023-repos-" + *stack.Region() + "-de612dc2/*"
	endpoint.AddToPolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Principals: &[]awsiam.IPrincipal{awsiam.NewAnyPrincipal()}, Actions: jsii.Strings("s3:GetObject"),
		Resources: jsii.Strings(packages),
	}))
}

// allowOwnAccount limits an endpoint to the resources of this account, so that code on a server can't send data to another.
// The permissions of the caller limit the actions.
func allowOwnAccount(endpoint interface {
	AddToPolicy(awsiam.PolicyStatement)
}) {
	endpoint.AddToPolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Principals: &[]awsiam.IPrincipal{awsiam.NewAnyPrincipal()}, Actions: jsii.Strings("*"), Resources: jsii.Strings("*"),
		Conditions: &map[string]any{"StringEquals": map[string]any{"aws:ResourceAccount": awscdk.Aws_ACCOUNT_ID()}},
	}))
}

// addFlowLog records accepted and rejected connections of the VPC, aggregated over ten minutes.
func addFlowLog(vpc awsec2.Vpc, stage Stage) {
	log := awslogs.NewLogGroup(vpc, jsii.String("FlowLogs"), &awslogs.LogGroupProps{
		Retention: logRetention(stage), RemovalPolicy: awscdk.RemovalPolicy_DESTROY,
	})
	vpc.AddFlowLog(jsii.String("FlowLog"), &awsec2.FlowLogOptions{
		Destination: awsec2.FlowLogDestination_ToCloudWatchLogs(log, nil),
	})
}

// exportSubnets exports all subnets, whether or not the lab imports them now. By default the CDK removes the export of the
// store's subnets when the lab no longer needs them, but it deploys the network first, while the lab still imports them, and
// CloudFormation refuses that.
func exportSubnets(stack awscdk.Stack, vpc awsec2.Vpc) {
	for _, group := range []string{balancerSubnets, fleetSubnets, storeSubnets} {
		for _, id := range *vpc.SelectSubnets(&awsec2.SubnetSelection{SubnetGroupName: jsii.String(group)}).SubnetIds {
			stack.ExportValue(id, nil)
		}
	}
}

// addInterfaceEndpoints defines VPC endpoints for the AWS APIs that a server calls: those of its boot script (boot/boot.sh),
// its log and Session Manager.
func addInterfaceEndpoints(vpc awsec2.Vpc) {
	inside := awsec2.NewSecurityGroup(vpc, jsii.String("EndpointSecurityGroup"), &awsec2.SecurityGroupProps{
		Vpc: vpc, Description: jsii.String("Interface endpoints"), AllowAllOutbound: jsii.Bool(false),
	})
	inside.AddIngressRule(awsec2.Peer_Ipv4(jsii.String(vpcAddresses)), awsec2.Port_HTTPS(), jsii.String("the VPC"), nil)
	for _, endpoint := range []struct {
		id      string
		service awsec2.InterfaceVpcEndpointAwsService
	}{
		{"CloudFormation", awsec2.InterfaceVpcEndpointAwsService_CLOUDFORMATION()},
		{"ElasticLoadBalancing", awsec2.InterfaceVpcEndpointAwsService_ELASTIC_LOAD_BALANCING()},
		{"SecretsManager", awsec2.InterfaceVpcEndpointAwsService_SECRETS_MANAGER()},
		{"Logs", awsec2.InterfaceVpcEndpointAwsService_CLOUDWATCH_LOGS()},
		{"Ssm", awsec2.InterfaceVpcEndpointAwsService_SSM()},
		{"SsmMessages", awsec2.InterfaceVpcEndpointAwsService_SSM_MESSAGES()},
	} {
		allowOwnAccount(vpc.AddInterfaceEndpoint(jsii.String(endpoint.id), &awsec2.InterfaceVpcEndpointOptions{
			Service: endpoint.service, SecurityGroups: &[]awsec2.ISecurityGroup{inside}, Open: jsii.Bool(false),
			Subnets: &awsec2.SubnetSelection{SubnetGroupName: jsii.String(fleetSubnets)},
		}))
	}
}

// zoneNames returns the chosen availability zones, or the first ones of the region that the stack is deployed to. (By
// default an environment-agnostic stack has two at most.)
func (c Config) zoneNames() *[]*string {
	if c.AvailabilityZones != "" {
		return jsii.Strings(fields(c.AvailabilityZones)...)
	}
	names := make([]*string, c.Zones)
	for i := range names {
		names[i] = awscdk.Fn_Select(jsii.Number(i), awscdk.Fn_GetAzs(nil))
	}
	return &names
}
