package stacks

import (
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awselasticache"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// A storeNetwork is where a store in the VPC stands, and who reaches it.
type storeNetwork struct {
	subnetIDs     []*string
	securityGroup awsec2.SecurityGroup
}

// newStoreNetwork places something in the subnets without a route beyond the VPC. Nobody reaches it until admitted.
func newStoreNetwork(scope constructs.Construct, vpc awsec2.IVpc, description string) storeNetwork {
	subnets := vpc.SelectSubnets(&awsec2.SubnetSelection{SubnetGroupName: jsii.String(storeSubnets)})
	return storeNetwork{*subnets.SubnetIds, awsec2.NewSecurityGroup(scope, jsii.String("SecurityGroup"),
		&awsec2.SecurityGroupProps{
			Vpc:              vpc,
			Description:      jsii.String(description + ": from the servers only"),
			AllowAllOutbound: jsii.Bool(false),
		})}
}

// subnets are the subnets as ElastiCache and RDS want them.
func (n storeNetwork) subnets() *[]any {
	var ids []any
	for _, id := range n.subnetIDs {
		ids = append(ids, id)
	}
	return &ids
}

// subnetGroup is what nodes of ElastiCache need.
func (n storeNetwork) subnetGroup(scope constructs.Construct) awselasticache.CfnSubnetGroup {
	return awselasticache.NewCfnSubnetGroup(scope, jsii.String("Subnets"), &awselasticache.CfnSubnetGroupProps{
		Description: jsii.String("Session cache"), SubnetIds: n.subnets(),
	})
}

// admit lets the servers in, which wait for that.
func (n storeNetwork) admit(servers *Servers, port int) {
	servers.Connections.Connections().AllowTo(n.securityGroup, awsec2.Port_Tcp(jsii.Number(port)), jsii.String("sessions"))
	servers.Needs = append(servers.Needs, n.securityGroup)
}

// cacheMetric is a metric of ElastiCache, by the minute.
func cacheMetric(name, statistic, label string, dimensions map[string]*string) awscloudwatch.IMetric {
	return metric("AWS/ElastiCache", name, statistic, label, dimensions)
}
