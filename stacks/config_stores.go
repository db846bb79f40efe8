package stacks

import "strings"

// Billing selects the capacity mode of a table.
type Billing string

// The capacity modes. Prices apply to us-east-1.
const (
	// BillingOnDemand costs 0.625 USD per million writes of 1 KB and 0.125 USD per million reads of 4 KB, and nothing when
	// idle.
	BillingOnDemand Billing = "on-demand"
	// BillingProvisioned costs 0.47 USD per month for each write unit and 0.09 USD for each read unit, used or not; a unit
	// is one request per second. It is cheaper for a steady load above a seventh of the provisioned capacity. Scaling takes
	// minutes: a load that grows faster is throttled.
	BillingProvisioned Billing = "provisioned"
)

// DynamoDBConfig holds the options of the store dynamodb.
type DynamoDBConfig struct {
	// Billing (billing) is the capacity mode of the table: on-demand (the default) needs no forecast, provisioned is cheaper for
	// a steady load.
	Billing Billing
	// MinUnits (minUnits) and MaxUnits (maxUnits) bound the provisioned read units, and likewise the write units, of the
	// table and of its index. The defaults are 5 and 1000.
	MinUnits, MaxUnits int
	// MaxReads (maxReads) and MaxWrites (maxWrites) are the maximum read and write request units per second of a table with
	// on-demand capacity, and again of its index. Beyond them DynamoDB throttles, and visitors get 503, so strangers can exhaust
	// the table but not the account. The defaults 4000 and 1000 are enough for six servers at 500 requests per second each.
	// DynamoDB may exceed them for a short time. Each replica in another region has the same maximum of reads.
	MaxReads, MaxWrites int
	// CustomerKey (customerKey) encrypts the table with a customer managed key, for 1 USD per month and 0.03 USD per 10,000
	// uses of the key, which DynamoDB caches. The default is false: the AWS managed key.
	CustomerKey bool
	// Replicas (replicas) are other regions, separated by commas, that get a replica of the table. Every write costs the same
	// again in each. Between regions the last writer wins, which breaks the guarantees of the sessions (docs/sessions.md).
	// There is no default. CloudFormation can add or remove one replica per deployment.
	Replicas string
	// ReplicaTable (replicaTable) is the name of a replica in this region, which the lab of another region has created
	// (docs/two-regions.md). Sessions are stored in it, and no table is created. There is no default.
	ReplicaTable string
	// DAX (dax) puts a DynamoDB Accelerator cluster in front of the table. It serves reads from memory and may return an
	// older state of a session, usually for less than a second and never for more than a minute. The default is false.
	DAX bool
	// DAXNodeType (daxNodeType) is the type of a DAX node. The default dax.t3.small has 2 GiB and costs 29 USD per month.
	DAXNodeType string
	// DAXNodes (daxNodes) is the number of DAX nodes across the zones, all with the same content, from 2, the default, to
	// 11. AWS recommends three for production.
	DAXNodes int
}

func (c DynamoDBConfig) replicas() []string {
	return strings.FieldsFunc(c.Replicas, func(r rune) bool { return r == ',' })
}

// replicated reports whether other regions also write to the table.
func (c DynamoDBConfig) replicated() bool { return c.Replicas != "" || c.ReplicaTable != "" }

// CacheConfig holds the options of the stores on Amazon ElastiCache.
type CacheConfig struct {
	// NodeType (cacheNodeType) is the type of a node. The default cache.t4g.micro has 0.5 GiB, enough for about 200,000
	// sessions of 1.5 KB, and costs 9.34 USD per month with Valkey and 11.68 USD with Redis OSS or Memcached. Another type makes
	// a new Memcached cluster.
	NodeType string
	// Shards (shards) is the number of shards of a Valkey or Redis OSS cluster, from 1 to 90. The default is 0: cluster mode
	// is off, and one primary holds all sessions. Turning cluster mode on or off creates a new cache. Shards are added and
	// removed while the cache serves; change nothing else in the same deployment.
	Shards int
	// Replicas (replicas) is the number of replicas of each primary, in other zones as far as there are enough, from 1 to 5.
	// The default is 1, the minimum for a failover.
	Replicas int
	// Nodes (nodes) is the number of Memcached nodes, from 2, the default, to 40. The sessions are spread over the nodes
	// without copies. The loss of a node logs its share of the visitors out. An added node takes over a share of the sessions
	// of the other nodes, which are lost.
	Nodes int
	// Durability (durability) selects the log of writes that a durable Valkey keeps in several zones and replays after a
	// failover: none (the default), async, which loses at most the last 10 seconds, or sync, which loses no acknowledged write
	// and takes some milliseconds more per write. A log needs Valkey 9, shards of 1 or more, and nodes of the families r6g, r7g,
	// r8g, m6g, m7g, m8g, c7gn or c8gn. AWS charges nothing more for async. The price of sync is not known here. A change from
	// or to none creates a new cache and logs everyone out. A change between async and sync doesn't.
	Durability Durability
	// Serverless (serverless) selects ElastiCache Serverless, which scales by itself and spans all zones. A GB-hour costs
	// 0.084 USD with Valkey, at least 6 USD per month, and 0.125 USD with Redis OSS or Memcached, at least 91 USD per month;
	// a million ECPU (a small request needs one) cost 0.0023 or 0.0034 USD. The default is false. Turning it on or off creates
	// a new cache.
	Serverless bool
	// MaxGB (cacheMaxGB) and MaxECPU (cacheMaxECPU) are the limits of a serverless cache, in GB and in ECPU per second. Beyond
	// them it evicts sessions or throttles requests. The defaults are 1 and 5000, which cost at most 61 and 30 USD per month
	// with Valkey, and 91 and 45 USD with the others.
	MaxGB, MaxECPU int
}

// Durability selects what survives a failure of a Valkey cluster.
type Durability string

// The kinds of durability. DurabilityAsync and DurabilitySync are values of AWS::ElastiCache::ReplicationGroup.Durability.
const (
	DurabilityNone  Durability = "none"
	DurabilityAsync Durability = "async"
	DurabilitySync  Durability = "sync"
)

func (c CacheConfig) durable() bool {
	return c.Durability == DurabilityAsync || c.Durability == DurabilitySync
}

// PostgresConfig holds the options of the store postgres.
type PostgresConfig struct {
	// MinACU (minACU) and MaxACU (maxACU) bound the capacity of each of the two instances, in Aurora capacity units of about
	// 2 GiB, in steps of 0.5 from 0.5 to 256. The defaults are 0.5 and 4. A unit costs 0.12 USD per hour: an idle database
	// costs 88 USD per month, plus storage, I/O and backups.
	MinACU, MaxACU float64
}
