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

const valkeyPort = 6379

// A CacheEngine is an engine of ElastiCache that NewValkeyStore can run. Servers use both engines the same way.
type CacheEngine struct {
	name, version, majorVersion, clusterParameters string
}

// EngineValkey returns Valkey 8. It is a fifth cheaper than Redis OSS, and a third cheaper when serverless.
func EngineValkey() CacheEngine {
	return CacheEngine{"valkey", "8.2", "8", "default.valkey8.cluster.on"}
}

// EngineValkey9 returns Valkey 9, the first version that can be durable.
func EngineValkey9() CacheEngine {
	return CacheEngine{"valkey", "9.0", "9", "default.valkey9.cluster.on"}
}

// EngineRedis returns Redis OSS 7.1, its last version on ElastiCache.
func EngineRedis() CacheEngine { return CacheEngine{"redis", "7.1", "7", "default.redis7.cluster.on"} }

// ValkeyStoreProps are the inputs of NewValkeyStore and NewServerlessValkeyStore.
type ValkeyStoreProps struct {
	Vpc awsec2.IVpc
	// Subnets hold the cache. They need no route out of the VPC. The default is private subnets.
	Subnets *awsec2.SubnetSelection
	Engine  CacheEngine
	// Stage keeps daily snapshots for a week in production, and takes a final one when the stack or the store is deleted.
	Stage  Stage
	Config CacheConfig
}

// NewValkeyStore defines a replication group of Amazon ElastiCache for Valkey or Redis OSS, with its user, subnets and
// security group. It has one or more primaries, and replicas in other zones for failover. Sessions are in memory: without
// Durability, a failover loses writes that haven't reached a replica. Data is encrypted in transit, and at rest with a key that AWS owns. Servers
// authenticate with IAM, so there is no password to store or to rotate.
//
// The engine's default parameter group evicts the least recently used sessions when memory runs out. The alternative,
// refusing every write, would lock all visitors out instead of logging a few out.
func NewValkeyStore(scope constructs.Construct, id string, props *ValkeyStoreProps) Attachment {
	// IAM authentication requires that user id and user name are equal. Each store has its own user, so that two stores can
	// exist during a switch.
	userName := sessionsName(scope, id)
	scope = constructs.NewConstruct(scope, jsii.String(id))
	network := newStoreNetwork(scope, props.Vpc, props.Subnets, "Session cache")
	user, users := newCacheUsers(scope, props.Engine, userName)
	cache := awselasticache.NewCfnReplicationGroup(scope, jsii.String("ReplicationGroup"),
		&awselasticache.CfnReplicationGroupProps{
			ReplicationGroupId:          jsii.String(sessionsName(scope, id)),
			ReplicationGroupDescription: jsii.String("Sessions of stateless servers"),
			Engine:                      jsii.String(props.Engine.name),
			EngineVersion:               jsii.String(props.Engine.version),
			AutoMinorVersionUpgrade:     jsii.Bool(true),
			CacheNodeType:               jsii.String(props.Config.NodeType),
			MultiAzEnabled:              jsii.Bool(true),
			AutomaticFailoverEnabled:    jsii.Bool(true),
			Port:                        jsii.Number(valkeyPort),
			CacheSubnetGroupName:        network.subnetGroup(scope).Ref(),
			SecurityGroupIds:            &[]*string{network.securityGroup.SecurityGroupId()},
			TransitEncryptionEnabled:    jsii.Bool(true),
			TransitEncryptionMode:       jsii.String("required"),
			AtRestEncryptionEnabled:     jsii.Bool(true),
			UserGroupIds:                &[]*string{users.Ref()},
		})
	if props.Config.Shards > 0 {
		cache.SetCacheParameterGroupName(jsii.String(props.Engine.clusterParameters))
		cache.SetNumNodeGroups(jsii.Number(props.Config.Shards))
		cache.SetReplicasPerNodeGroup(jsii.Number(props.Config.Replicas))
		// Moves slots between shards while the cache serves. Otherwise a changed number of shards replaces the cache.
		cache.CfnOptions().SetUpdatePolicy(&awscdk.CfnUpdatePolicy{UseOnlineResharding: jsii.Bool(true)})
	} else {
		cache.SetNumCacheClusters(jsii.Number(1 + props.Config.Replicas))
	}
	if props.Config.durable() {
		cache.SetDurability(jsii.String(string(props.Config.Durability)))
	}
	suppress(cache, "AwsSolutions-AEC5", "The security group restricts access; a different port would not.")
	suppress(cache, "AwsSolutions-AEC6", "Servers authenticate with IAM by the user group, without a password.")
	if props.Stage == StageProduction {
		cache.SetSnapshotRetentionLimit(jsii.Number(7))
		cache.ApplyRemovalPolicy(awscdk.RemovalPolicy_SNAPSHOT, nil)
	}
	address := cache.AttrPrimaryEndPointAddress()
	if props.Config.Shards > 0 {
		address = cache.AttrConfigurationEndPointAddress()
	}
	arn := awscdk.Stack_Of(scope).FormatArn(&awscdk.ArnComponents{
		Service: jsii.String("elasticache"), Resource: jsii.String("replicationgroup"), ResourceName: cache.Ref(),
		ArnFormat: awscdk.ArnFormat_COLON_RESOURCE_NAME,
	})
	return func(servers *Servers) {
		servers.Environment.ValkeyAddress = fmt.Sprintf("%s:%d", *address, valkeyPort)
		servers.Environment.ValkeyCacheName = *cache.Ref()
		attachCache(servers, scope, network, user, userName, arn)
		servers.monitor(replicationGraphs(cache, props.Config), replicationAlarms(cache, props.Config))
		if props.Config.durable() {
			servers.monitor(durabilityGraphs(cache, props.Config), durabilityAlarms(cache, props.Config))
		}
	}
}

// NewServerlessValkeyStore defines a cache of ElastiCache Serverless within the limits of the Config. Servers use it like a
// cluster. When memory runs out it evicts the least recently used sessions.
func NewServerlessValkeyStore(scope constructs.Construct, id string, props *ValkeyStoreProps) Attachment {
	name := sessionsName(scope, id)
	scope = constructs.NewConstruct(scope, jsii.String(id))
	network := newStoreNetwork(scope, props.Vpc, props.Subnets, "Session cache")
	user, users := newCacheUsers(scope, props.Engine, name)
	cache := newServerlessCache(scope, sessionsName(scope, id, network.subnetIDs), props.Engine.name, props.Engine.majorVersion, network, props.Config)
	cache.SetUserGroupId(users.Ref())
	if props.Stage == StageProduction {
		cache.SetSnapshotRetentionLimit(jsii.Number(7))
		cache.SetFinalSnapshotName(jsii.String(cache.name + "-last"))
	}
	return func(servers *Servers) {
		servers.Environment.ValkeyAddress = cache.address()
		servers.Environment.ValkeyCacheName = cache.name
		servers.Environment.ValkeyServerless = true
		attachCache(servers, scope, network, user, name, cache.AttrArn())
		servers.monitor(cache.graphs(), cache.alarms())
	}
}

// newCacheUsers defines the user of the servers and its user group. Redis OSS requires a user named default in every group;
// it gets no permissions.
func newCacheUsers(scope constructs.Construct, engine CacheEngine, name string) (
	awselasticache.CfnUser, awselasticache.CfnUserGroup) {
	user := awselasticache.NewCfnUser(scope, jsii.String("User"), &awselasticache.CfnUserProps{
		Engine:             jsii.String(engine.name),
		UserId:             jsii.String(name),
		UserName:           jsii.String(name),
		AuthenticationMode: &map[string]*string{"Type": jsii.String("iam")},
		// All commands except those that administer the cache or list all keys.
		AccessString: jsii.String("on ~* +@all -@dangerous"),
	})
	ids := []*string{user.Ref()}
	if engine == EngineRedis() {
		disabled := awselasticache.NewCfnUser(scope, jsii.String("DefaultUser"), &awselasticache.CfnUserProps{
			Engine:             jsii.String(engine.name),
			UserId:             jsii.String(name + "-default"),
			UserName:           jsii.String("default"),
			AuthenticationMode: &map[string]*string{"Type": jsii.String("no-password-required")},
			AccessString:       jsii.String("off -@all"),
		})
		ids = append(ids, disabled.Ref())
	}
	return user, awselasticache.NewCfnUserGroup(scope, jsii.String("Users"), &awselasticache.CfnUserGroupProps{
		Engine: jsii.String(engine.name), UserGroupId: jsii.String(name), UserIds: &ids,
	})
}

// attachCache gives the servers access to the cache as the user, over TLS.
func attachCache(servers *Servers, scope constructs.Construct, network storeNetwork, user awselasticache.CfnUser,
	userName string, cacheARN *string) {
	servers.Environment.Store = config.StoreValkey
	servers.Environment.ValkeyTLS = true
	servers.Environment.ValkeyUser = userName
	network.allowServers(servers, valkeyPort)
	servers.grant(scope, allow([]*string{cacheARN, user.AttrArn()}, "elasticache:Connect"))
}

func replicationGraphs(cache awselasticache.CfnReplicationGroup, c CacheConfig) []awscloudwatch.IWidget {
	return []awscloudwatch.IWidget{
		graph("Cache: CPU of the engine (%)", replicationMetrics(cache, c, "EngineCPUUtilization", "Average")...),
		graph("Cache: memory (%)", replicationMetrics(cache, c, "DatabaseMemoryUsagePercentage", "Average")...),
		graph("Cache: evictions", replicationMetrics(cache, c, "Evictions", "Sum")...),
		graph("Cache: connections", replicationMetrics(cache, c, "CurrConnections", "Average")...),
	}
}

// replicationAlarms returns alarms on the maximum over the nodes. An alarm can have at most ten metrics, so it watches the
// first ten nodes only.
func replicationAlarms(cache awselasticache.CfnReplicationGroup, c CacheConfig) []Alarm {
	busiest := func(name, statistic string) awscloudwatch.IMetric {
		metrics := replicationMetrics(cache, c, name, statistic)
		return maxOf(name, metrics[:min(len(metrics), 10)])
	}
	return []Alarm{
		{"StoreBusy", "The engine of the session cache, which uses one core, is at 80 % CPU or more.",
			busiest("EngineCPUUtilization", "Average"), 80, 5},
		{"StoreFull", "The session cache uses 80 % or more of its memory. When memory runs out it evicts sessions.",
			busiest("DatabaseMemoryUsagePercentage", "Average"), 80, 5},
		{"StoreEvicts", "The session cache evicts sessions: visitors are logged out.",
			busiest("Evictions", "Sum"), 1, 1},
	}
}

// replicationMetrics returns one metric for each node. ElastiCache derives the names of the nodes from that of the
// replication group: NAME-001, NAME-002, and in cluster mode NAME-0001-001, NAME-0001-002 and so on.
func replicationMetrics(cache awselasticache.CfnReplicationGroup, c CacheConfig,
	name, statistic string) []awscloudwatch.IMetric {
	var metrics []awscloudwatch.IMetric
	add := func(node string) {
		metrics = append(metrics, cacheMetric(name, statistic, "node "+node,
			map[string]*string{"CacheClusterId": jsii.String(*cache.Ref() + "-" + node)}))
	}
	for node := range 1 + c.Replicas {
		for shard := range c.Shards {
			add(fmt.Sprintf("%04d-%03d", shard+1, node+1))
		}
		if c.Shards == 0 {
			add(fmt.Sprintf("%03d", node+1))
		}
	}
	return metrics
}
