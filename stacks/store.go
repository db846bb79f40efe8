package stacks

import (
	"fmt"

	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"stateless-servers/app/config"
)

// A SessionStore is the infrastructure of a place where sessions live.
type SessionStore interface {
	// Configure writes into the server's environment how to reach the store. Values may be CDK tokens.
	Configure(server *Environment)
	// Admit lets servers use the store, with the fewest permissions, and returns what a server must wait for. The
	// permissions are a policy of the store's own: when one store replaces another, CloudFormation adds the new policy
	// before it rolls the fleet and takes the old one away after. In the role's policy it would take them away at once,
	// from servers that still serve.
	Admit(role awsiam.IRole, servers awsec2.IConnectable) constructs.IDependable
	// Graphs are the store's part of the dashboard, one row.
	Graphs() []awscloudwatch.IWidget
	// Alarms are the metrics that somebody should hear about, and when.
	Alarms() []Alarm
}

// An Environment is what a server reads: its Config, and what its boot adds from elsewhere. Values may be CDK tokens.
type Environment struct {
	config.Config
	// KeysSecret is the ARN of the secret that SessionKeys come from; empty if there are none.
	KeysSecret string
	// Certificates are the authorities that certificatesFile gets, in PEM; empty means no such file.
	Certificates string
}

// NewSessionStore defines the store that the Config names.
func NewSessionStore(scope constructs.Construct, vpc awsec2.IVpc, c Config) SessionStore {
	switch c.Store {
	case config.StoreDynamoDB:
		return NewDynamoDBStore(scope, "Sessions", &DynamoDBStoreProps{Vpc: vpc, Stage: c.Stage, Config: c.DynamoDB})
	case config.StoreValkey:
		return newCacheStore(scope, "Valkey", &ValkeyStoreProps{Vpc: vpc, Engine: EngineValkey(), Stage: c.Stage, Config: c.Cache})
	case StoreRedis:
		return newCacheStore(scope, "Redis", &ValkeyStoreProps{Vpc: vpc, Engine: EngineRedis(), Stage: c.Stage, Config: c.Cache})
	case config.StoreMemcached:
		props := &MemcachedStoreProps{Vpc: vpc, Config: c.Cache}
		if c.Cache.Serverless {
			return NewServerlessMemcachedStore(scope, "MemcachedServerless", props)
		}
		return NewMemcachedStore(scope, "Memcached", props)
	case config.StorePostgres:
		return NewPostgresStore(scope, "Postgres", &PostgresStoreProps{Vpc: vpc, Stage: c.Stage, Config: c.Postgres})
	case config.StoreCookie:
		return NewKeyStore(scope, "Cookie", &KeyStoreProps{Store: c.Store, Stage: c.Stage})
	case config.StoreToken:
		return NewKeyStore(scope, "Token", &KeyStoreProps{Store: c.Store, Stage: c.Stage})
	case config.StoreMemory:
		return MemoryStore{}
	}
	panic(fmt.Sprintf("stacks: store %q has no construct", c.Store))
}

// newCacheStore gives a serverless cache, and one with cluster mode, a name of its own: neither can change in place, and a
// new cache under a new name stands beside the old one until the servers have moved.
func newCacheStore(scope constructs.Construct, id string, props *ValkeyStoreProps) SessionStore {
	switch {
	case props.Config.Serverless:
		return NewServerlessValkeyStore(scope, id+"Serverless", props)
	case props.Config.Shards > 0:
		return NewValkeyStore(scope, id+"Cluster", props)
	default:
		return NewValkeyStore(scope, id, props)
	}
}

// MemoryStore is no store: each server keeps the sessions that it started, and the load balancer must send their
// visitors back to it.
type MemoryStore struct{}

var _ SessionStore = MemoryStore{}

// Configure implements SessionStore.
func (MemoryStore) Configure(server *Environment) { server.Store = config.StoreMemory }

// Admit implements SessionStore.
func (MemoryStore) Admit(awsiam.IRole, awsec2.IConnectable) constructs.IDependable {
	return constructs.NewDependencyGroup()
}

// Graphs implements SessionStore.
func (MemoryStore) Graphs() []awscloudwatch.IWidget { return nil }

// Alarms implements SessionStore.
func (MemoryStore) Alarms() []Alarm { return nil }

// allow is a statement of just these actions on just these resources.
func allow(resources []*string, actions ...string) awsiam.PolicyStatement {
	return awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Actions: jsii.Strings(actions...), Resources: &resources,
	})
}

// newStorePolicy gives the role access to the store that scope is.
func newStorePolicy(scope constructs.Construct, role awsiam.IRole, statements ...awsiam.PolicyStatement) awsiam.Policy {
	return awsiam.NewPolicy(scope, jsii.String("Access"), &awsiam.PolicyProps{
		Roles: &[]awsiam.IRole{role}, Statements: &statements,
	})
}
