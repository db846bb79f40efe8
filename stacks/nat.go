package stacks

import (
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/jsii-runtime-go"
)

// natReadyTimeout bounds how long CloudFormation waits for a NAT instance to forward traffic. It takes about a minute, and five
// if the installation of its package must be repeated twice.
const natReadyTimeout = 8 * time.Minute

// natPorts returns the ports that NAT instances forward: those of the AWS APIs, and for loaders those of the load balancer.
func natPorts() []awsec2.Port { return []awsec2.Port{awsec2.Port_HTTPS(), awsec2.Port_HTTP()} }

// newNATProvider makes a Vpc define NAT instances, which hardenNATInstances configures. Each deployment uses the newest
// Amazon Linux 2023. The instances have no SSH key, and accept no connections except those that they forward.
func newNATProvider(instanceType string) awsec2.NatInstanceProviderV2 {
	return awsec2.NatProvider_InstanceV2(&awsec2.NatInstanceProps{
		InstanceType: awsec2.NewInstanceType(jsii.String(instanceType)),
		MachineImage: awsec2.MachineImage_LatestAmazonLinux2023(&awsec2.AmazonLinux2023ImageSsmParameterProps{
			CpuType: awsec2.AmazonLinuxCpuType_ARM_64,
		}),
		AssociatePublicIpAddress: jsii.Bool(true),
		DefaultAllowedTraffic:    awsec2.NatTrafficDirection_NONE,
		UserData:                 awsec2.UserData_ForLinux(nil), // hardenNATInstances fills it in
	})
}

// hardenNATInstances gives the instances of the provider their security group rules, IMDSv2 and encrypted volumes, and makes
// a deployment wait until each of them forwards traffic. When a newer image replaces an instance, the new one is ready
// before the routes change. Connections through the old one break.
func hardenNATInstances(stack awscdk.Stack, provider awsec2.NatInstanceProviderV2) {
	group := provider.SecurityGroup().(awsec2.SecurityGroup)
	for _, port := range natPorts() {
		group.AddIngressRule(awsec2.Peer_Ipv4(jsii.String(vpcAddresses)), port, jsii.String("the VPC"), nil)
		group.AddEgressRule(awsec2.Peer_AnyIpv4(), port, jsii.String("on behalf of the VPC"), nil)
	}
	for _, instance := range *provider.GatewayInstances() {
		resource := instance.Node().DefaultChild().(awsec2.CfnInstance)
		resource.SetMetadataOptions(&awsec2.CfnInstance_MetadataOptionsProperty{
			HttpTokens: jsii.String("required"), HttpPutResponseHopLimit: jsii.Number(1),
		})
		resource.SetBlockDeviceMappings(&[]any{&awsec2.CfnInstance_BlockDeviceMappingProperty{
			DeviceName: jsii.String("/dev/xvda"), Ebs: &awsec2.CfnInstance_EbsProperty{
				VolumeType: jsii.String("gp3"), VolumeSize: jsii.Number(8), Encrypted: jsii.Bool(true),
			},
		}})
		resource.CfnOptions().SetCreationPolicy(&awscdk.CfnCreationPolicy{ResourceSignal: &awscdk.CfnResourceSignal{
			Count: jsii.Number(1), Timeout: duration(natReadyTimeout).ToIsoString(),
		}})
		suppress(instance, "AwsSolutions-EC28", "Detailed monitoring would cost as much as the instance. The status checks that "+
			"let EC2 recover it run every minute anyway.")
		suppress(instance, "AwsSolutions-EC29", "It stores no data, and termination protection would make cdk destroy and every "+
			"replacement fail.")
		instance.UserData().AddCommands(jsii.String(render("nat.sh", struct{ Region, Stack, Instance, Addresses string }{
			*stack.Region(), *stack.StackId(), *stack.GetLogicalId(resource), vpcAddresses,
		})))
		role := instance.Role().(awsiam.Role)
		role.AddToPrincipalPolicy(allow([]*string{stack.StackId()}, "cloudformation:SignalResource"))
		allowSessionManager(role)
		resource.Node().AddDependency(role)
	}
}
