package cost

import (
	"fmt"
	"math"
	"strings"
)

// itemOverhead is what DynamoDB adds to each item when it bills storage (Amazon DynamoDB Developer Guide, "Best practices
// for storing large items and attributes" and the pricing page).
const itemOverhead = 100

// targetUse is the share of the provisioned capacity that autoscaling aims at where its template says nothing.
const targetUse = 0.7

// table is a global table of DynamoDB, which writes every replica.
func table(w *work, r Resource) {
	reads, writes := w.Counts.units(w.traffic)
	replicas := math.Max(1, float64(len(r.list("Replicas"))))
	if r.text("BillingMode") == "PAY_PER_REQUEST" {
		w.million(r, "write request units", "dynamodb:write-request", writes*replicas)
		w.million(r, "read request units", "dynamodb:read-request", reads)
	} else {
		capacity(w, r, "Write", writes, replicas)
		capacity(w, r, "Read", reads, 1)
	}
	stored := w.traffic.Sessions * (w.Counts["dynamodb"][Read].item(w.traffic) + itemOverhead) / bytesPerGB
	w.add(r, "storage", "dynamodb:storage", stored*replicas)
	on := false
	for _, replica := range objects(r, r.Properties["Replicas"]) {
		replicated, _ := replica.value("PointInTimeRecoverySpecification", "PointInTimeRecoveryEnabled").(bool)
		on = on || replicated
	}
	if on {
		w.add(r, "continuous backup", "dynamodb:backup", stored*replicas)
	}
}

// capacity adds the provisioned capacity of reads or writes (kind is Read or Write) to the bill. Capacity that scales is billed
// as it is used. A replica has a read capacity of its own.
func capacity(w *work, r Resource, kind string, used, replicas float64) {
	amount := 0.0
	for _, of := range append(objects(r, r.Properties["Replicas"]), r) {
		bounds := object(r, of.value(kind+"ProvisionedThroughputSettings", kind+"CapacityAutoScalingSettings"))
		if high := bounds.number("MaxCapacity"); high > 0 {
			amount = provisioned(used, targetUse, bounds.number("MinCapacity"), high)
		}
	}
	if used > amount {
		w.limit("The table's %s capacity ends at %.0f units, and the traffic needs %.0f: requests would be throttled.",
			strings.ToLower(kind), amount, math.Ceil(used))
	}
	kind = strings.ToLower(kind)
	w.hours(r, "provisioned capacity, "+kind+"s", "dynamodb:"+kind+"-capacity", amount*replicas)
}

func dax(w *work, r Resource) {
	kind, nodes := r.text("NodeType"), r.number("ReplicationFactor")
	w.hours(r, fmt.Sprintf("DAX, %.0f × %s", nodes, kind), "dax:"+kind, nodes)
	w.note("DAX answers reads that it has in memory, which are billed here as if it had none.")
}

// nodeGB is the memory of cache nodes, in GB of 1,000,000,000 bytes (Amazon ElastiCache User Guide, "Supported node types").
var nodeGB = map[string]float64{
	"cache.t4g.micro": 0.54, "cache.t4g.small": 1.47, "cache.t4g.medium": 3.32, "cache.m7g.large": 6.85, "cache.r7g.large": 14.04,
}

// fits notes when the sessions need more than three quarters of the memory of the nodes that share them: ElastiCache
// keeps a quarter for itself by default.
func (w *work) fits(kind string, nodes float64) {
	memory, known := nodeGB[kind]
	if need := w.traffic.Sessions * w.Counts.stored(w.store, w.traffic) / bytesPerGB; known && need > 0.75*memory*nodes {
		w.limit("The sessions take %.2g GB, more than the %.2g GB that %.0f × %s have for them: choose larger nodes.", need,
			0.75*memory*nodes, nodes, kind)
	}
}

func replicationGroup(w *work, r Resource) {
	kind, engine := r.text("CacheNodeType"), r.text("Engine")
	shards := math.Max(1, r.number("NumNodeGroups"))
	nodes := shards * (1 + r.number("ReplicasPerNodeGroup"))
	if n := r.number("NumCacheClusters"); n > 0 {
		nodes = n
	}
	w.hours(r, fmt.Sprintf("%s, %.0f × %s", engine, nodes, kind), "elasticache:"+engine+":"+kind, nodes)
	w.toStore(r)
	w.fits(kind, shards)
}

func cacheCluster(w *work, r Resource) {
	kind, engine, nodes := r.text("CacheNodeType"), r.text("Engine"), math.Max(1, r.number("NumCacheNodes"))
	w.hours(r, fmt.Sprintf("%s, %.0f × %s", engine, nodes, kind), "elasticache:"+engine+":"+kind, nodes)
	w.toStore(r)
	w.fits(kind, nodes)
}

// serverlessMinimumGB is the least that is billed (Amazon ElastiCache pricing): 100 MB of Valkey, 1 GB of others.
func serverlessMinimumGB(engine string) float64 {
	if engine == "valkey" {
		return 0.1
	}
	return 1
}

// serverlessCache is billed by data and by processing units: one for each KB that a command moves, and at least one.
func serverlessCache(w *work, r Resource) {
	engine := r.text("Engine")
	data := math.Max(serverlessMinimumGB(engine), w.traffic.Sessions*w.Counts.stored(w.store, w.traffic)/bytesPerGB)
	w.hours(r, engine+" serverless, data", "elasticache-serverless:"+engine+":data", data)
	units := w.Counts.sum(w.store, w.traffic, func(n Count) float64 {
		if n.Commands == 0 {
			return 0
		}
		return math.Max(n.Commands, (n.ToStore.at(w.traffic.SessionBytes)+n.FromStore.at(w.traffic.SessionBytes))/1024)
	})
	w.million(r, engine+" serverless, processing units", "elasticache-serverless:"+engine+":ecpu", units)
	w.toStore(r)
	if limit := r.number("CacheUsageLimits", "DataStorage", "Maximum"); limit > 0 && data > limit {
		w.limit("The sessions take %.2g GB, and the cache ends at %.4g GB: sessions would be evicted.", data, limit)
	}
	if limit := r.number("CacheUsageLimits", "ECPUPerSecond", "Maximum"); limit > 0 && units > limit {
		w.limit("The traffic takes %.0f processing units a second, and the cache ends at %.0f: requests would be throttled.", units, limit)
	}
	w.note("Processing units count bytes alone: scripts that take long use more.")
}

// databaseCluster is an Aurora cluster of serverless instances. How much capacity a request takes isn't known without
// measuring on AWS: the bill has the least, and a note has the most.
func databaseCluster(w *work, r Resource) {
	low := r.number("ServerlessV2ScalingConfiguration", "MinCapacity")
	high := r.number("ServerlessV2ScalingConfiguration", "MaxCapacity")
	instances := 0.0
	for _, i := range w.ofType("AWS::RDS::DBInstance") {
		if reference(i.Properties["DBClusterIdentifier"]) != r.id {
			continue
		}
		if class := i.text("DBInstanceClass"); class != "db.serverless" {
			w.notPriced(i.Type + " (" + class + ")")
			continue
		}
		instances++
	}
	w.hours(r, fmt.Sprintf("Aurora, %.0f × %.4g capacity units", instances, low), "aurora:acu", instances*low)
	if price, found := w.Prices.find(w.Region, "aurora:acu"); found {
		w.note("Aurora is billed at its least capacity; load makes it grow, up to %.2f USD a month at %.4g units each.",
			instances*high*hoursPerMonth*price.USD, high)
	}
	w.add(r, "storage", "aurora:storage", w.traffic.Sessions*w.Counts.stored("postgres", w.traffic)/bytesPerGB)
	w.million(r, "I/O: one for each write", "aurora:io", w.Counts.sum("postgres", w.traffic, func(n Count) float64 {
		return n.Calls["create"] + n.Calls["update"] + n.Calls["touch"] + 2*n.Calls["renew"]
	}))
	w.toStore(r)
}
