package stacks

import (
	"fmt"

	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awselasticache"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// CacheConfig is what an operator chooses for the stores of Amazon ElastiCache.
type CacheConfig struct {
	// NodeType (cacheNodeType) is the size of a node. The default cache.t4g.micro has 0.5 GiB, room for some 200,000
	// sessions of 1.5 KB, and costs 9.34 USD a month with Valkey and 11.68 USD with Redis OSS or Memcached.
	NodeType string
	// Shards (shards) is how many parts a Valkey or Redis OSS cluster splits the sessions into, from 1 to 90. The default
	// is 0: cluster mode is off, and one primary has them all. Turning cluster mode on or off makes a new cache.
	Shards int
	// Replicas (replicas) is how many copies of each primary there are, each in another zone if there is one, from 1 to
	// 5. The default is 1, the least that fails over.
	Replicas int
	// Nodes (nodes) is the number of Memcached nodes, which split the sessions and have no copies: a node that is lost
	// logs out its part of the visitors. From 2, the default, to 40.
	Nodes int
	// Serverless (serverless) makes the cache one that ElastiCache scales, in all zones. A GB and hour costs 0.084 USD with
	// Valkey, at least 6 USD a month, and 0.125 USD with Redis OSS or Memcached, at least 91 USD a month; a million ECPU (a
	// small request is one) cost 0.0023 or 0.0034 USD. The default is false. Turning it on or off makes a new cache.
	Serverless bool
	// MaxGB (cacheMaxGB) and MaxECPU (cacheMaxECPU, a second) are where a serverless cache stops growing. The defaults are
	// 1 GB and 5000, which can't cost more than 61 and 30 USD a month with Valkey, 91 and 45 USD with the others. It evicts,
	// and throttles, beyond them.
	MaxGB, MaxECPU int
}

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

func (n storeNetwork) admit(servers awsec2.IConnectable, port int) {
	servers.Connections().AllowTo(n.securityGroup, awsec2.Port_Tcp(jsii.Number(port)), jsii.String("sessions"))
}

// cacheMetric is a metric of ElastiCache, by the minute.
func cacheMetric(name, statistic, label string, dimensions map[string]*string) awscloudwatch.IMetric {
	return metric("AWS/ElastiCache", name, statistic, label, dimensions)
}

// highest is the highest of several metrics at each moment.
func highest(label string, metrics []awscloudwatch.IMetric) awscloudwatch.IMetric {
	named := map[string]awscloudwatch.IMetric{}
	for i, m := range metrics {
		named[fmt.Sprintf("node%d", i+1)] = m
	}
	return awscloudwatch.NewMathExpression(&awscloudwatch.MathExpressionProps{
		Expression: jsii.String("MAX(METRICS())"), UsingMetrics: &named, Label: jsii.String(label), Period: minute(),
	})
}
