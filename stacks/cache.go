package stacks

import (
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awselasticache"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// A storeNetwork holds the subnets and the security group of a session store in the VPC.
type storeNetwork struct {
	subnetIDs     []*string
	zones         []*string // of the subnets
	securityGroup awsec2.SecurityGroup
}

// newStoreNetwork selects the subnets of the store, and defines a security group that accepts nothing until allowServers.
func newStoreNetwork(scope constructs.Construct, vpc awsec2.IVpc, subnets *awsec2.SubnetSelection, description string) storeNetwork {
	if subnets == nil {
		subnets = &awsec2.SubnetSelection{} // private subnets
	}
	selected := vpc.SelectSubnets(subnets)
	return storeNetwork{*selected.SubnetIds, *selected.AvailabilityZones, awsec2.NewSecurityGroup(scope, jsii.String("SecurityGroup"),
		&awsec2.SecurityGroupProps{
			Vpc:              vpc,
			Description:      jsii.String(description + ": from the servers only"),
			AllowAllOutbound: jsii.Bool(false),
		})}
}

// subnets returns the subnet ids in the type that the CDK wants for ElastiCache and RDS.
func (n storeNetwork) subnets() *[]any {
	var ids []any
	for _, id := range n.subnetIDs {
		ids = append(ids, id)
	}
	return &ids
}

// subnetGroup defines the subnet group that ElastiCache nodes need.
func (n storeNetwork) subnetGroup(scope constructs.Construct) awselasticache.CfnSubnetGroup {
	return awselasticache.NewCfnSubnetGroup(scope, jsii.String("Subnets"), &awselasticache.CfnSubnetGroupProps{
		Description: jsii.String("Session cache"), SubnetIds: n.subnets(),
	})
}

// allowServers lets the servers connect to the port. They boot after the rule exists.
func (n storeNetwork) allowServers(servers *Servers, port int) {
	servers.Connections.Connections().AllowTo(n.securityGroup, awsec2.Port_Tcp(jsii.Number(port)), jsii.String("sessions"))
	servers.Dependencies = append(servers.Dependencies, n.securityGroup)
}

// cacheMetric returns a metric of ElastiCache with a period of a minute.
func cacheMetric(name, statistic, label string, dimensions map[string]*string) awscloudwatch.IMetric {
	return metric("AWS/ElastiCache", name, statistic, label, dimensions)
}
