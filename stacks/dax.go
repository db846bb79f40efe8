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

// A daxCluster is Amazon DynamoDB Accelerator: a cache in front of the table, on nodes across the zones. It is encrypted,
// stored and on its way.
type daxCluster struct {
	awsdax.CfnCluster
	scope   constructs.Construct
	network storeNetwork
}

// newDAXCluster defines the cluster, and the role in which it reads and writes the table's items for those who may use it.
func newDAXCluster(scope constructs.Construct, vpc awsec2.IVpc, store DynamoDBStore, c DynamoDBConfig) *daxCluster {
	scope = constructs.NewConstruct(scope, jsii.String("Dax"))
	network := newStoreNetwork(scope, vpc, "Session accelerator")
	role := awsiam.NewRole(scope, jsii.String("Role"), &awsiam.RoleProps{
		AssumedBy:   awsiam.NewServicePrincipal(jsii.String("dax.amazonaws.com"), nil),
		Description: jsii.String("DAX in front of the sessions"),
	})
	statements := append(store.useKey(), allow([]*string{store.arn}, "dynamodb:DescribeTable", "dynamodb:GetItem",
		"dynamodb:BatchGetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"))
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
	return &daxCluster{cluster, scope, network}
}

// admit lets servers do by way of DAX what they may do with items. Consistent reads go by it too; queries don't, whose
// answers it would repeat.
func (d *daxCluster) admit(role awsiam.IRole, servers awsec2.IConnectable) constructs.IDependable {
	d.network.admit(servers, daxPort)
	policy := newStorePolicy(d.scope, role, allow([]*string{d.AttrArn()}, "dax:GetItem", "dax:BatchGetItem", "dax:PutItem",
		"dax:UpdateItem"))
	return constructs.NewDependencyGroup(policy, d.network.securityGroup, d.CfnCluster)
}

func (d *daxCluster) metric(name, statistic, label string) awscloudwatch.IMetric {
	return metric("AWS/DAX", name, statistic, label, map[string]*string{"ClusterId": d.Ref()})
}

func (d *daxCluster) graphs() []awscloudwatch.IWidget {
	return []awscloudwatch.IWidget{
		graph("DAX: items", d.metric("ItemCacheHits", "Sum", "hits"), d.metric("ItemCacheMisses", "Sum", "misses")),
		graph("DAX: CPU (%)", d.metric("CPUUtilization", "Maximum", "busiest node")),
		graph("DAX: memory (%)", d.metric("CacheMemoryUtilization", "Maximum", "fullest node")),
		graph("DAX: errors", d.metric("FaultRequestCount", "Sum", "faults"),
			d.metric("ThrottledRequestCount", "Sum", "throttled")),
	}
}

func (d *daxCluster) alarms() []Alarm {
	return []Alarm{
		{"AcceleratorBusy", "DAX is near the end of its processors.",
			d.metric("CPUUtilization", "Maximum", "CPUUtilization"), 80, 5},
		{"AcceleratorErrors", "DAX fails requests: visitors get 503.",
			d.metric("FaultRequestCount", "Sum", "FaultRequestCount"), 1, 3},
	}
}
