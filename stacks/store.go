package stacks

import (
	"fmt"

	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/constructs-go/constructs/v10"

	"stateless-servers/app/config"
)

// NewSessionStore defines the session store that the Config selects.
func NewSessionStore(scope constructs.Construct, vpc awsec2.IVpc, c Config) Attachment {
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
		keys := NewKeyStore(scope, "Token", &KeyStoreProps{Store: c.Store, Stage: c.Stage})
		return withRevocation(scope, vpc, c, keys)
	case config.StoreMemory: // each server keeps its own sessions in memory
		return func(servers *Servers) { servers.Environment.Store = config.StoreMemory }
	}
	panic(fmt.Sprintf("stacks: store %q has no construct", c.Store))
}

// newCacheStore defines a serverless cache, or nodes with or without cluster mode, each under a different id.
// CloudFormation can't convert one kind into another. With different ids it creates the new cache, replaces the servers,
// and then deletes the old cache.
func newCacheStore(scope constructs.Construct, id string, props *ValkeyStoreProps) Attachment {
	switch {
	case props.Config.Serverless:
		return NewServerlessValkeyStore(scope, id+"Serverless", props)
	case props.Config.Shards > 0:
		return NewValkeyStore(scope, id+"Cluster", props)
	default:
		return NewValkeyStore(scope, id, props)
	}
}
