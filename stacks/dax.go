package stacks

import (
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdax"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

const (
	daxPort = 9111 // with TLS
	// daxCacheMillis is the time to live of cached items, in milliseconds. It bounds how long a node returns an old state
	// if it misses a change. Nodes usually replicate changes within a second.
	daxCacheMillis = "60000"
)

// newDAX defines a cluster of Amazon DynamoDB Accelerator (DAX): a cache in front of the table, on nodes across the zones,
// with encryption at rest and in transit. DAX reads and writes the table in a role of its own, which the statements allow.
func newDAX(scope constructs.Construct, vpc awsec2.IVpc, subnets *awsec2.SubnetSelection, c DynamoDBConfig,
	statements ...awsiam.PolicyStatement) Attachment {
	scope = constructs.NewConstruct(scope, jsii.String("Dax"))
	network := newStoreNetwork(scope, vpc, subnets, "Session accelerator")
	role := awsiam.NewRole(scope, jsii.String("Role"), &awsiam.RoleProps{
		AssumedBy:   awsiam.NewServicePrincipal(jsii.String("dax.amazonaws.com"), nil),
		Description: jsii.String("DAX in front of the sessions"),
	})
	policy := awsiam.NewPolicy(scope, jsii.String("Table"), &awsiam.PolicyProps{
		Roles: &[]awsiam.IRole{role}, Statements: &statements,
	})
	cluster := awsdax.NewCfnCluster(scope, jsii.String("Cluster"), &awsdax.CfnClusterProps{
		Description:                   jsii.String("Sessions of stateless servers"),
		IamRoleArn:                    role.RoleArn(),
		NodeType:                      jsii.String(c.DAXNodeType),
		ReplicationFactor:             jsii.Number(c.DAXNodes),
		ClusterEndpointEncryptionType: jsii.String("TLS"),
		SseSpecification:              &awsdax.CfnCluster_SSESpecificationProperty{SseEnabled: jsii.Bool(true)},
		SecurityGroupIds:              &[]*string{network.securityGroup.SecurityGroupId()},
		SubnetGroupName: awsdax.NewCfnSubnetGroup(scope, jsii.String("Subnets"), &awsdax.CfnSubnetGroupProps{
			Description: jsii.String("Session accelerator"), SubnetIds: &network.subnetIDs,
		}).Ref(),
		ParameterGroupName: awsdax.NewCfnParameterGroup(scope, jsii.String("Parameters"), &awsdax.CfnParameterGroupProps{
			Description:         jsii.String("Session accelerator"),
			ParameterNameValues: map[string]string{"record-ttl-millis": daxCacheMillis, "query-ttl-millis": daxCacheMillis},
		}).Ref(),
	})
	cluster.Node().AddDependency(policy)
	return func(servers *Servers) {
		servers.Environment.DynamoDBDAX = *cluster.AttrClusterDiscoveryEndpointUrl()
		network.allowServers(servers, daxPort)
		// The servers use DAX for all calls on items, consistent reads too. Queries bypass it, because DAX would cache their
		// results.
		servers.grant(scope, allow([]*string{cluster.AttrArn()}, "dax:GetItem", "dax:BatchGetItem", "dax:PutItem",
			"dax:UpdateItem"))
		servers.Dependencies = append(servers.Dependencies, cluster)
		servers.monitor(daxGraphs(cluster))
	}
}

func daxGraphs(cluster awsdax.CfnCluster) ([]awscloudwatch.IWidget, []Alarm) {
	of := func(name, statistic, label string) awscloudwatch.IMetric {
		return metric("AWS/DAX", name, statistic, label, map[string]*string{"ClusterId": cluster.Ref()})
	}
	return []awscloudwatch.IWidget{
			graph("DAX: items", of("ItemCacheHits", "Sum", "hits"), of("ItemCacheMisses", "Sum", "misses")),
			graph("DAX: CPU (%)", of("CPUUtilization", "Maximum", "busiest node")),
			graph("DAX: memory (%)", of("CacheMemoryUtilization", "Maximum", "fullest node")),
			graph("DAX: errors", of("FaultRequestCount", "Sum", "faults"),
				of("ThrottledRequestCount", "Sum", "throttled")),
		}, []Alarm{
			{"AcceleratorBusy", "The CPU usage of a DAX node is 80 % or more.",
				of("CPUUtilization", "Maximum", "CPUUtilization"), 80, 5},
			{"AcceleratorErrors", "DAX fails requests: visitors get 503.",
				of("FaultRequestCount", "Sum", "FaultRequestCount"), 1, 3},
		}
}
