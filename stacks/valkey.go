package stacks

import (
	"fmt"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awselasticache"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"stateless-servers/app/config"
)

const (
	valkeyPort = 6379
	// A primary and a replica, each in a zone of its own: the least that fails over by itself.
	valkeyNodes = 2
	// 0.5 GiB, room for some 200,000 sessions of 1.5 KB. 9.34 USD a month and node in us-east-1.
	valkeyNodeType = "cache.t4g.micro"
	// The user that servers are. IAM authentication wants user id and user name to be the same.
	valkeyUser = "stateless-servers"
)

// ValkeyStoreProps are the inputs of NewValkeyStore.
type ValkeyStoreProps struct {
	Vpc awsec2.IVpc
	// Stage keeps daily snapshots for a week in production, and a last one when the stack or the store goes.
	Stage Stage
}

// ValkeyStore keeps sessions in Amazon ElastiCache for Valkey: a primary, and a replica in another zone that takes over.
// Sessions are in memory: a failover loses what hadn't reached the replica yet.
type ValkeyStore struct {
	scope         constructs.Construct
	cache         awselasticache.CfnReplicationGroup
	user          awselasticache.CfnUser
	securityGroup awsec2.SecurityGroup
}

var _ SessionStore = ValkeyStore{}

// NewValkeyStore defines the replication group with its user, its subnets and its security group. Traffic is encrypted,
// storage too, under a key that AWS owns. Servers log in with IAM: there is no password to keep or to rotate.
//
// The parameter group is Valkey's default, which under memory pressure evicts the sessions unused for longest. Refusing
// every write, the alternative, would shut out all visitors instead of logging out a few.
func NewValkeyStore(scope constructs.Construct, id string, props *ValkeyStoreProps) ValkeyStore {
	scope = constructs.NewConstruct(scope, jsii.String(id))
	securityGroup := awsec2.NewSecurityGroup(scope, jsii.String("SecurityGroup"), &awsec2.SecurityGroupProps{
		Vpc:              props.Vpc,
		Description:      jsii.String("Session cache: from the servers only"),
		AllowAllOutbound: jsii.Bool(false),
	})
	var subnetIDs []any
	for _, id := range *props.Vpc.SelectSubnets(&awsec2.SubnetSelection{
		SubnetGroupName: jsii.String(storeSubnets),
	}).SubnetIds {
		subnetIDs = append(subnetIDs, id)
	}
	subnets := awselasticache.NewCfnSubnetGroup(scope, jsii.String("Subnets"), &awselasticache.CfnSubnetGroupProps{
		Description: jsii.String("Session cache"),
		SubnetIds:   &subnetIDs,
	})
	user := awselasticache.NewCfnUser(scope, jsii.String("User"), &awselasticache.CfnUserProps{
		Engine:             jsii.String("valkey"),
		UserId:             jsii.String(valkeyUser),
		UserName:           jsii.String(valkeyUser),
		AuthenticationMode: &map[string]*string{"Type": jsii.String("iam")},
		// Everything that works on data; nothing that administers the cache or lists all keys.
		AccessString: jsii.String("on ~* +@all -@dangerous"),
	})
	users := awselasticache.NewCfnUserGroup(scope, jsii.String("Users"), &awselasticache.CfnUserGroupProps{
		Engine:      jsii.String("valkey"),
		UserGroupId: jsii.String(valkeyUser),
		UserIds:     &[]*string{user.Ref()},
	})
	cache := awselasticache.NewCfnReplicationGroup(scope, jsii.String("ReplicationGroup"),
		&awselasticache.CfnReplicationGroupProps{
			ReplicationGroupDescription: jsii.String("Sessions of stateless servers"),
			Engine:                      jsii.String("valkey"),
			EngineVersion:               jsii.String("8.2"),
			AutoMinorVersionUpgrade:     jsii.Bool(true),
			CacheNodeType:               jsii.String(valkeyNodeType),
			NumCacheClusters:            jsii.Number(valkeyNodes),
			MultiAzEnabled:              jsii.Bool(true),
			AutomaticFailoverEnabled:    jsii.Bool(true),
			Port:                        jsii.Number(valkeyPort),
			CacheSubnetGroupName:        subnets.Ref(),
			SecurityGroupIds:            &[]*string{securityGroup.SecurityGroupId()},
			TransitEncryptionEnabled:    jsii.Bool(true),
			TransitEncryptionMode:       jsii.String("required"),
			AtRestEncryptionEnabled:     jsii.Bool(true),
			UserGroupIds:                &[]*string{users.Ref()},
		})
	accept(cache, "AwsSolutions-AEC6", "Servers authenticate with IAM, by the user group; there is no password to share.")
	if props.Stage == StageProduction {
		cache.SetSnapshotRetentionLimit(jsii.Number(7))
		cache.ApplyRemovalPolicy(awscdk.RemovalPolicy_SNAPSHOT, nil)
	}
	return ValkeyStore{scope, cache, user, securityGroup}
}

// Configure implements SessionStore.
func (s ValkeyStore) Configure(server *config.Config) {
	server.Store = config.StoreValkey
	server.ValkeyAddress = fmt.Sprintf("%s:%d", *s.cache.AttrPrimaryEndPointAddress(), valkeyPort)
	server.ValkeyTLS = true
	server.ValkeyUser = valkeyUser
	server.ValkeyCacheName = *s.cache.Ref()
}

// Admit implements SessionStore.
func (s ValkeyStore) Admit(role awsiam.IRole, servers awsec2.IConnectable) constructs.IDependable {
	servers.Connections().AllowTo(s.securityGroup, awsec2.Port_Tcp(jsii.Number(valkeyPort)), jsii.String("sessions"))
	cache := awscdk.Stack_Of(s.cache).FormatArn(&awscdk.ArnComponents{
		Service: jsii.String("elasticache"), Resource: jsii.String("replicationgroup"), ResourceName: s.cache.Ref(),
		ArnFormat: awscdk.ArnFormat_COLON_RESOURCE_NAME,
	})
	policy := newStorePolicy(s.scope, role, allow([]*string{cache, s.user.AttrArn()}, "elasticache:Connect"))
	return constructs.NewDependencyGroup(policy, s.securityGroup)
}

// Graphs implements SessionStore.
func (s ValkeyStore) Graphs() []awscloudwatch.IWidget {
	return []awscloudwatch.IWidget{
		graph("Valkey: CPU of the engine (%)", s.metrics("EngineCPUUtilization", "Average")...),
		graph("Valkey: memory (%)", s.metrics("DatabaseMemoryUsagePercentage", "Average")...),
		graph("Valkey: evictions", s.metrics("Evictions", "Sum")...),
		graph("Valkey: connections", s.metrics("CurrConnections", "Average")...),
	}
}

// Alarms implements SessionStore. Each is about the busier of the nodes.
func (s ValkeyStore) Alarms() []Alarm {
	return []Alarm{
		{"StoreBusy", "The engine of the session cache is near the end of its one core.",
			s.highest("EngineCPUUtilization", "Average"), 80, 5},
		{"StoreFull", "The session cache is running out of memory; then it evicts sessions.",
			s.highest("DatabaseMemoryUsagePercentage", "Average"), 80, 5},
		{"StoreEvicts", "The session cache evicts sessions: visitors are logged out.",
			s.highest("Evictions", "Sum"), 1, 1},
	}
}

// metrics has one metric for each node. ElastiCache names the nodes of a replication group after it: NAME-001, NAME-002.
func (s ValkeyStore) metrics(name, statistic string) []awscloudwatch.IMetric {
	var metrics []awscloudwatch.IMetric
	for node := range valkeyNodes {
		suffix := fmt.Sprintf("-%03d", node+1)
		metrics = append(metrics, awscloudwatch.NewMetric(&awscloudwatch.MetricProps{
			Namespace: jsii.String("AWS/ElastiCache"), MetricName: jsii.String(name),
			DimensionsMap: &map[string]*string{"CacheClusterId": jsii.String(*s.cache.Ref() + suffix)},
			Statistic:     jsii.String(statistic), Label: jsii.String("node " + suffix[1:]), Period: minute(),
		}))
	}
	return metrics
}

func (s ValkeyStore) highest(name, statistic string) awscloudwatch.IMetric {
	nodes := map[string]awscloudwatch.IMetric{}
	for i, metric := range s.metrics(name, statistic) {
		nodes[fmt.Sprintf("node%d", i+1)] = metric
	}
	return awscloudwatch.NewMathExpression(&awscloudwatch.MathExpressionProps{
		Expression: jsii.String("MAX(METRICS())"), UsingMetrics: &nodes, Label: jsii.String(name), Period: minute(),
	})
}
