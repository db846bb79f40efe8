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
	// daxMilliseconds is how long DAX may show what it has read, and so how long it shows an old state when a node misses a
	// change, which the nodes otherwise tell each other within a second.
	daxMilliseconds = "60000"
)

// newDAX defines a cluster of Amazon DynamoDB Accelerator: a cache in front of the table, on nodes across the zones,
// encrypted, stored and on its way. It reads and writes the table's items for those who may use it, in a role of its own with
// these statements.
func newDAX(scope constructs.Construct, vpc awsec2.IVpc, c DynamoDBConfig, statements ...awsiam.PolicyStatement) Attachment {
	scope = constructs.NewConstruct(scope, jsii.String("Dax"))
	network := newStoreNetwork(scope, vpc, "Session accelerator")
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
			ParameterNameValues: map[string]string{"record-ttl-millis": daxMilliseconds, "query-ttl-millis": daxMilliseconds},
		}).Ref(),
	})
	cluster.Node().AddDependency(policy)
	return func(servers *Servers) {
		servers.Environment.DynamoDBDAX = *cluster.AttrClusterDiscoveryEndpointUrl()
		network.admit(servers, daxPort)
		// What they may do with items they may do by way of DAX. Consistent reads go by it too; queries don't, whose answers it
		// would repeat.
		servers.allow(scope, allow([]*string{cluster.AttrArn()}, "dax:GetItem", "dax:BatchGetItem", "dax:PutItem",
			"dax:UpdateItem"))
		servers.Needs = append(servers.Needs, cluster)
		servers.show(daxGraphs(cluster))
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
			{"AcceleratorBusy", "DAX is near the end of its processors.",
				of("CPUUtilization", "Maximum", "CPUUtilization"), 80, 5},
			{"AcceleratorErrors", "DAX fails requests: visitors get 503.",
				of("FaultRequestCount", "Sum", "FaultRequestCount"), 1, 3},
		}
}
