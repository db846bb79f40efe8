package stacks

import "strings"

// Billing says how a table is paid for.
type Billing string

// The ways to pay. Prices are of us-east-1.
const (
	// BillingOnDemand costs 0.625 USD a million writes of 1 KB and 0.125 USD a million reads of 4 KB, nothing at rest.
	BillingOnDemand Billing = "on-demand"
	// BillingProvisioned costs 0.47 USD a month for each write unit and 0.09 USD for each read unit, used or not; a unit
	// is one a second. It is the cheaper one for a steady load above a seventh of what is provisioned, and throttles a
	// load that grows faster than scaling follows, which takes minutes.
	BillingProvisioned Billing = "provisioned"
)

// DynamoDBConfig is what an operator chooses for the store dynamodb.
type DynamoDBConfig struct {
	// Billing (billing) is on-demand, the default because it needs no forecast, or provisioned.
	Billing Billing
	// MinUnits (minUnits) and MaxUnits (maxUnits) bound what scaling provisions, of reads and of writes each, for the
	// table and for its index. The defaults are 5 and 1000.
	MinUnits, MaxUnits int
	// CustomerKey (customerKey) encrypts under a key of the account's own, for 1 USD a month and 0.03 USD for 10,000 uses
	// of it; DynamoDB caches it. The default is false: the AWS managed key.
	CustomerKey bool
	// Replicas (replicas) are other regions, separated by commas, that get a replica of the table: every write costs as much
	// again in each. Between regions the last writer wins, which the promises of the sessions don't survive
	// (docs/sessions.md). There is no default. CloudFormation adds or removes one a deployment.
	Replicas string
	// ReplicaTable (replicaTable) is the name of the replica that the lab of another region, by its replicas, has made in
	// this one: sessions live there, and no table is made. There is no default.
	ReplicaTable string
	// DAX (dax) puts a cluster of DynamoDB Accelerator in front of the table, which serves reads from memory and may show a
	// session as it was, usually for less than a second and never longer than a minute. The default is false.
	DAX bool
	// DAXNodeType (daxNodeType) is the size of a node. The default dax.t3.small has 2 GiB and costs 29 USD a month.
	DAXNodeType string
	// DAXNodes (daxNodes) is the number of nodes across the zones, all with the same content, from 2, the default, to 11. AWS
	// recommends three for production.
	DAXNodes int
}

func (c DynamoDBConfig) replicas() []string {
	return strings.FieldsFunc(c.Replicas, func(r rune) bool { return r == ',' })
}

// replicated reports whether other regions write to the table too.
func (c DynamoDBConfig) replicated() bool { return c.Replicas != "" || c.ReplicaTable != "" }

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

// PostgresConfig is what an operator chooses for the store postgres.
type PostgresConfig struct {
	// MinACU (minACU) and MaxACU (maxACU) are what each of the two instances scales between, in Aurora capacity units of
	// about 2 GiB, steps of 0.5 from 0.5 to 256. The defaults are 0.5 and 4. A unit costs 0.12 USD an hour: the quiet
	// database 88 USD a month, and storage, I/O and backups on top.
	MinACU, MaxACU float64
}
