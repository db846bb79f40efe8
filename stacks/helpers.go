package stacks

import (
	"time"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/jsii-runtime-go"
)

// vpcAddresses are those of the VPC. They are stated, so that a rule for them needs no token.
const vpcAddresses = "10.0.0.0/16"

// The subnet groups of the network.
const (
	balancerSubnets = "balancer" // public: the load balancer, and the NAT gateways
	fleetSubnets    = "fleet"    // private: the servers; the way out is Config.Egress
	storeSubnets    = "store"    // no route beyond the VPC: session stores that live in it
)

// encryptedVolume is the disk of an instance: what Amazon Linux 2023 asks for, encrypted.
func encryptedVolume() *[]*awsec2.BlockDevice {
	return &[]*awsec2.BlockDevice{{
		DeviceName: jsii.String("/dev/xvda"),
		Volume: awsec2.BlockDeviceVolume_Ebs(jsii.Number(8), &awsec2.EbsDeviceOptions{
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
