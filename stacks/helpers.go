package stacks

import (
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/jsii-runtime-go"
)

// vpcAddresses is the address range of the VPC. It is a constant, so that rules need no token for it.
const vpcAddresses = "10.0.0.0/16"

// The subnet groups of the network.
const (
	balancerSubnets = "balancer" // public: the load balancer, and NAT
	fleetSubnets    = "fleet"    // private: the servers; Config.Egress selects their route to the internet
	storeSubnets    = "store"    // no route out of the VPC: session stores
)

// encryptedVolume returns the root volume of an instance, with encryption. The default of Amazon Linux 2023 is 8 GiB.
func encryptedVolume(gib int) *[]*awsec2.BlockDevice {
	return &[]*awsec2.BlockDevice{{
		DeviceName: jsii.String("/dev/xvda"),
		Volume: awsec2.BlockDeviceVolume_Ebs(jsii.Number(gib), &awsec2.EbsDeviceOptions{
			VolumeType: awsec2.EbsDeviceVolumeType_GP3, Encrypted: jsii.Bool(true),
		}),
	}}
}

func output(stack awscdk.Stack, id, description, value string) {
	awscdk.NewCfnOutput(stack, jsii.String(id), &awscdk.CfnOutputProps{
		Description: jsii.String(description), Value: jsii.String(value),
	})
}

func duration(d time.Duration) awscdk.Duration {
	return awscdk.Duration_Millis(jsii.Number(d.Milliseconds()))
}
