package stacks

import (
	"fmt"

	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/constructs-go/constructs/v10"

	"stateless-servers/app/config"
)

// NewSessionStore defines the session store that the Config selects, and during a migration also the other one. A store in
// the VPC is in the given subnets, by default in private ones.
func NewSessionStore(scope constructs.Construct, vpc awsec2.IVpc, subnets *awsec2.SubnetSelection, c Config) Attachment {
	if c.otherStore() != "" {
		return newMigratingStore(scope, vpc, subnets, c)
	}
	switch c.Store {
	case config.StoreDynamoDB:
		return NewDynamoDBStore(scope, "Sessions", &DynamoDBStoreProps{Vpc: vpc, Subnets: subnets, Stage: c.Stage, Protect: c.Protect, Config: c.DynamoDB})
	case config.StoreValkey:
		return newCacheStore(scope, "Valkey", &ValkeyStoreProps{Vpc: vpc, Subnets: subnets, Engine: EngineValkey(), Stage: c.Stage, Config: c.Cache})
	case StoreRedis:
		return newCacheStore(scope, "Redis", &ValkeyStoreProps{Vpc: vpc, Subnets: subnets, Engine: EngineRedis(), Stage: c.Stage, Config: c.Cache})
	case config.StoreMemcached:
		props := &MemcachedStoreProps{Vpc: vpc, Subnets: subnets, Config: c.Cache}
		if c.Cache.Serverless {
			return NewServerlessMemcachedStore(scope, "MemcachedServerless", props)
		}
		return NewMemcachedStore(scope, "Memcached", props)
	case config.StorePostgres:
		return NewPostgresStore(scope, "Postgres", &PostgresStoreProps{Vpc: vpc, Subnets: subnets, Stage: c.Stage, Protect: c.Protect, Config: c.Postgres})
	case config.StoreCookie:
		return NewKeyStore(scope, "Cookie", &KeyStoreProps{Store: c.Store, Stage: c.Stage})
	case config.StoreToken:
		keys := NewKeyStore(scope, "Token", &KeyStoreProps{Store: c.Store, Stage: c.Stage})
		return withRevocation(scope, vpc, subnets, c, keys)
	case config.StoreMemory: // each server keeps its own sessions in memory
		return func(servers *Servers) { servers.Environment.Store = config.StoreMemory }
	}
	panic(fmt.Sprintf("stacks: store %q has no construct", c.Store))
}

// newCacheStore defines a serverless cache, or nodes with or without cluster mode, or durable nodes, each under a different id.
// CloudFormation can't convert one kind into another. (ElastiCache can make a cache durable since October 2026, but its
// CloudFormation type in the pinned CDK still refuses that.) With different ids it creates the new cache, replaces the servers,
// and then deletes the old cache.
func newCacheStore(scope constructs.Construct, id string, props *ValkeyStoreProps) Attachment {
	switch {
	case props.Config.Serverless:
		return NewServerlessValkeyStore(scope, id+"Serverless", props)
	case props.Config.durable():
		props.Engine = EngineValkey9()
		return NewValkeyStore(scope, id+"Durable", props)
	case props.Config.Shards > 0:
		return NewValkeyStore(scope, id+"Cluster", props)
	default:
		return NewValkeyStore(scope, id, props)
	}
}
