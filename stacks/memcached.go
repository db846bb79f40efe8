package stacks

import (
	"fmt"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awselasticache"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"stateless-servers/app/config"
)

const memcachedPort = 11211

// MemcachedStoreProps are the inputs of NewMemcachedStore and NewServerlessMemcachedStore.
type MemcachedStoreProps struct {
	Vpc awsec2.IVpc
	// Subnets hold the cache. They need no route out of the VPC. The default is private subnets.
	Subnets *awsec2.SubnetSelection
	Config  CacheConfig
}

// NewMemcachedStore defines an Amazon ElastiCache for Memcached cluster with nodes across the zones, over TLS. Memcached has
// no authentication: its security group allows only the servers to connect. It has no replicas and no snapshots.
//
// With the zone of each node in the template, nodes are added and removed in place. Another node type would empty the nodes
// one after the other, and other zones would move some, so either of them makes a new cluster under another id.
func NewMemcachedStore(scope constructs.Construct, id string, props *MemcachedStoreProps) Attachment {
	scope = constructs.NewConstruct(scope, jsii.String(id))
	network := newStoreNetwork(scope, props.Vpc, props.Subnets, "Session cache")
	content := []any{props.Config.NodeType, network.zones}
	cluster := awselasticache.NewCfnCacheCluster(scope, jsii.String("Cluster"+contentHash(scope, content...)), &awselasticache.CfnCacheClusterProps{
		ClusterName:                jsii.String(sessionsName(scope, id, content...)),
		Engine:                     jsii.String("memcached"),
		EngineVersion:              jsii.String("1.6.22"),
		AutoMinorVersionUpgrade:    jsii.Bool(true),
		CacheNodeType:              jsii.String(props.Config.NodeType),
		NumCacheNodes:              jsii.Number(props.Config.Nodes),
		AzMode:                     jsii.String("cross-az"),
		PreferredAvailabilityZones: nodeZones(network.zones, props.Config.Nodes),
		Port:                       jsii.Number(memcachedPort),
		CacheSubnetGroupName:       network.subnetGroup(scope).Ref(),
		VpcSecurityGroupIds:        &[]*string{network.securityGroup.SecurityGroupId()},
		TransitEncryptionEnabled:   jsii.Bool(true),
	})
	suppress(cluster, "AwsSolutions-AEC5", "The security group restricts access; a different port would not.")
	perNode := func(name, statistic string) []awscloudwatch.IMetric {
		return nodeMetrics(cluster, props.Config.Nodes, name, statistic)
	}
	whole := func(name string) awscloudwatch.IMetric {
		return cacheMetric(name, "Maximum", name, map[string]*string{"CacheClusterId": cluster.Ref()})
	}
	addresses := nodeAddresses(cluster.AttrConfigurationEndpointAddress(), props.Config.Nodes)
	return attachMemcached(network, addresses, []awscloudwatch.IWidget{
		graph("Cache: CPU (%)", perNode("CPUUtilization", "Average")...),
		graph("Cache: free memory (bytes)", perNode("UnusedMemory", "Average")...),
		graph("Cache: evictions", perNode("Evictions", "Sum")...),
		graph("Cache: connections", perNode("CurrConnections", "Average")...),
	}, []Alarm{
		{"StoreBusy", "The CPU usage of a session cache node is 80 % or more.", whole("CPUUtilization"), 80, 5},
		{"StoreEvicts", "The session cache evicts sessions: visitors are logged out.", whole("Evictions"), 1, 1},
	})
}

// nodeZones returns the zone of each node, in turn.
func nodeZones(zones []*string, nodes int) *[]*string {
	var list []*string
	for node := range nodes {
		list = append(list, zones[node%len(zones)])
	}
	return &list
}

// nodeAddresses returns the addresses of the nodes of a cluster. CloudFormation provides the configuration endpoint only,
// which is the name of a node with cfg instead of its number: name.abc.cfg.use1.cache.amazonaws.com,
// name.abc.0001.use1.cache.amazonaws.com.
func nodeAddresses(configurationEndpoint *string, nodes int) []string {
	parts := awscdk.Fn_Split(jsii.String(".cfg."), configurationEndpoint, jsii.Number(2))
	var addresses []string
	for node := range nodes {
		addresses = append(addresses, fmt.Sprintf("%s.%04d.%s:%d", *awscdk.Fn_Select(jsii.Number(0), parts), node+1,
			*awscdk.Fn_Select(jsii.Number(1), parts), memcachedPort))
	}
	return addresses
}

func nodeMetrics(cluster awselasticache.CfnCacheCluster, nodes int, name, statistic string) []awscloudwatch.IMetric {
	var metrics []awscloudwatch.IMetric
	for i := range nodes {
		node := fmt.Sprintf("%04d", i+1)
		metrics = append(metrics, cacheMetric(name, statistic, "node "+node,
			map[string]*string{"CacheClusterId": cluster.Ref(), "CacheNodeId": jsii.String(node)}))
	}
	return metrics
}

// NewServerlessMemcachedStore defines a cache without nodes, within the limits of the Config.
func NewServerlessMemcachedStore(scope constructs.Construct, id string, props *MemcachedStoreProps) Attachment {
	scope = constructs.NewConstruct(scope, jsii.String(id))
	network := newStoreNetwork(scope, props.Vpc, props.Subnets, "Session cache")
	cache := newServerlessCache(scope, sessionsName(scope, id, network.subnetIDs), "memcached", "1.6", network, props.Config)
	return attachMemcached(network, []string{cache.address()}, cache.graphs(), cache.alarms())
}

func attachMemcached(network storeNetwork, addresses []string, graphs []awscloudwatch.IWidget, alarms []Alarm) Attachment {
	return func(servers *Servers) {
		servers.Environment.Store = config.StoreMemcached
		servers.Environment.MemcachedAddresses = addresses
		servers.Environment.MemcachedTLS = true
		network.allowServers(servers, memcachedPort)
		servers.monitor(graphs, alarms)
	}
}
