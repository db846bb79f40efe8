package cost

import (
	"fmt"
	"math"
	"strings"
)

// itemOverhead is the number of bytes that DynamoDB adds to each item when it bills storage (Amazon DynamoDB Developer Guide, "Best
// practices for storing large items and attributes" and the pricing page).
const itemOverhead = 100

// targetUtilization is the target utilization of autoscaling where the template has none.
const targetUtilization = 0.7

// table adds a DynamoDB global table. Each write is billed in every replica.
func table(w *worksheet, r Resource) {
	reads, writes := w.Counts.units(w.traffic)
	replicas := math.Max(1, float64(len(r.list("Replicas"))))
	if r.text("BillingMode") == "PAY_PER_REQUEST" {
		w.addMillions(r, "write request units", "dynamodb:write-request", writes*replicas)
		w.addMillions(r, "read request units", "dynamodb:read-request", reads)
		w.checkMaximums(r, reads, writes)
	} else {
		capacity(w, r, "Write", writes, replicas)
		capacity(w, r, "Read", reads, 1)
	}
	stored := w.traffic.Sessions * (w.Counts["dynamodb"][Read].itemBytes(w.traffic) + itemOverhead) / bytesPerGB
	w.add(r, "storage", "dynamodb:storage", stored*replicas)
	backup := false
	for _, replica := range objects(r, r.Properties["Replicas"]) {
		enabled, _ := replica.value("PointInTimeRecoverySpecification", "PointInTimeRecoveryEnabled").(bool)
		backup = backup || enabled
	}
	if backup {
		w.add(r, "continuous backup", "dynamodb:backup", stored*replicas)
	}
}

// revocations adds the table with the list of revoked tokens. Each server reads it 0.6 times per second (session/revocation), a read
// unit each time, and each login writes an entry of two units. Logouts, which Traffic doesn't have, write as many.
func revocations(w *worksheet, r Resource) {
	const pollsPerSecond, unitsPerEntry = 0.6, 2
	servers := 0.0
	for _, group := range w.ofType("AWS::AutoScaling::AutoScalingGroup") {
		servers += group.number("MinSize")
	}
	w.addMillions(r, "write request units", "dynamodb:write-request", unitsPerEntry*w.traffic.rates()[Login])
	w.addMillions(r, "read request units", "dynamodb:read-request", pollsPerSecond*servers)
	w.addNote("The list of revoked tokens is billed for logins and for the smallest fleet; logouts and more servers come on top.")
}

// checkMaximums adds a limit if the traffic takes more request units than the maximums of an on-demand table.
func (w *worksheet) checkMaximums(r Resource, reads, writes float64) {
	check := func(kind, key string, of Resource, used float64) {
		if high := of.number(kind+"OnDemandThroughputSettings", "Max"+kind+"RequestUnits"); high > 0 && used > high {
			w.addLimit("The table's maximum is %.0f %s request units per second, and the traffic needs %.0f: requests would be "+
				"throttled. Raise %s.", high, strings.ToLower(kind), math.Ceil(used), key)
		}
	}
	check("Write", "maxWrites", r, writes)
	for _, replica := range objects(r, r.Properties["Replicas"])[:min(1, len(r.list("Replicas")))] {
		check("Read", "maxReads", replica, reads)
	}
}

// capacity adds the provisioned capacity of reads or writes (kind is Read or Write). Capacity that scales is billed at the level
// that the traffic brings it to. A replica has its own read capacity.
func capacity(w *worksheet, r Resource, kind string, used, replicas float64) {
	amount := 0.0
	for _, of := range append(objects(r, r.Properties["Replicas"]), r) {
		bounds := object(r, of.value(kind+"ProvisionedThroughputSettings", kind+"CapacityAutoScalingSettings"))
		if high := bounds.number("MaxCapacity"); high > 0 {
			amount = provisioned(used, targetUtilization, bounds.number("MinCapacity"), high)
		}
	}
	if used > amount {
		w.addLimit("The table's %s capacity ends at %.0f units, and the traffic needs %.0f: requests would be throttled.",
			strings.ToLower(kind), amount, math.Ceil(used))
	}
	kind = strings.ToLower(kind)
	w.addHours(r, "provisioned capacity, "+kind+"s", "dynamodb:"+kind+"-capacity", amount*replicas)
}

func dax(w *worksheet, r Resource) {
	kind, nodes := r.text("NodeType"), r.number("ReplicationFactor")
	w.addHours(r, fmt.Sprintf("DAX, %.0f × %s", nodes, kind), "dax:"+kind, nodes)
	w.addNote("DAX answers reads from memory; the bill assumes that every read reaches the table.")
}

// nodeGB is the memory of cache nodes, in GB of 1,000,000,000 bytes (Amazon ElastiCache User Guide, "Supported node types").
var nodeGB = map[string]float64{
	"cache.t4g.micro": 0.54, "cache.t4g.small": 1.47, "cache.t4g.medium": 3.32, "cache.m7g.large": 6.85, "cache.r7g.large": 14.04,
}

// checkMemory adds a limit if the sessions need more than three quarters of the nodes' memory. ElastiCache reserves a quarter by
// default.
func (w *worksheet) checkMemory(kind string, nodes float64) {
	memory, known := nodeGB[kind]
	if need := w.traffic.Sessions * w.traffic.storedBytes(w.store) / bytesPerGB; known && need > 0.75*memory*nodes {
		w.addLimit("The sessions take %.2g GB, %.0f bytes each (docs/observations/scale.md), more than the %.2g GB that %.0f × %s have "+
			"for them: choose larger nodes.", need, w.traffic.storedBytes(w.store), 0.75*memory*nodes, nodes, kind)
	}
}

func replicationGroup(w *worksheet, r Resource) {
	kind, engine := r.text("CacheNodeType"), r.text("Engine")
	shards := math.Max(1, r.number("NumNodeGroups"))
	nodes := shards * (1 + r.number("ReplicasPerNodeGroup"))
	if n := r.number("NumCacheClusters"); n > 0 {
		nodes = n
	}
	w.addHours(r, fmt.Sprintf("%s, %.0f × %s", engine, nodes, kind), "elasticache:"+engine+":"+kind, nodes)
	w.addStoreTraffic(r)
	w.checkMemory(kind, shards)
	switch r.text("Durability") {
	case "async":
		w.addNote("AWS charges nothing more for durability=async (AWS, What's New, 27 October 2026).")
	case "sync":
		w.addNotPriced(r.Type + " (what AWS charges for durability=sync: see https://aws.amazon.com/elasticache/pricing/)")
	}
}

func cacheCluster(w *worksheet, r Resource) {
	kind, engine, nodes := r.text("CacheNodeType"), r.text("Engine"), math.Max(1, r.number("NumCacheNodes"))
	w.addHours(r, fmt.Sprintf("%s, %.0f × %s", engine, nodes, kind), "elasticache:"+engine+":"+kind, nodes)
	w.addStoreTraffic(r)
	w.checkMemory(kind, nodes)
}

// serverlessMinimumGB returns the minimum that is billed (Amazon ElastiCache pricing): 100 MB of Valkey, 1 GB of others.
func serverlessMinimumGB(engine string) float64 {
	if engine == "valkey" {
		return 0.1
	}
	return 1
}

// serverlessCache adds a serverless cache, billed by stored data and by processing units: one for each KB that a command
// transfers, and at least one for each command.
func serverlessCache(w *worksheet, r Resource) {
	engine := r.text("Engine")
	data := math.Max(serverlessMinimumGB(engine), w.traffic.Sessions*w.traffic.storedBytes(w.store)/bytesPerGB)
	w.addHours(r, engine+" serverless, data", "elasticache-serverless:"+engine+":data", data)
	units := w.Counts.sum(w.store, w.traffic, func(n Count) float64 {
		if n.Commands == 0 {
			return 0
		}
		return math.Max(n.Commands, (n.ToStore.at(w.traffic.SessionBytes)+n.FromStore.at(w.traffic.SessionBytes))/1024)
	})
	w.addMillions(r, engine+" serverless, processing units", "elasticache-serverless:"+engine+":ecpu", units)
	w.addStoreTraffic(r)
	if limit := r.number("CacheUsageLimits", "DataStorage", "Maximum"); limit > 0 && data > limit {
		w.addLimit("The sessions take %.2g GB, and the cache ends at %.4g GB: sessions would be evicted.", data, limit)
	}
	if limit := r.number("CacheUsageLimits", "ECPUPerSecond", "Maximum"); limit > 0 && units > limit {
		w.addLimit("The traffic takes %.0f processing units per second, and the cache ends at %.0f: requests would be throttled.", units, limit)
	}
	w.addNote("Processing units are estimated from bytes alone: scripts that run long use more.")
}

// databaseCluster adds an Aurora cluster of serverless instances. The capacity that a request takes is unknown, as it would have
// to be measured on AWS: the bill has the minimum, and a note has the maximum.
func databaseCluster(w *worksheet, r Resource) {
	low := r.number("ServerlessV2ScalingConfiguration", "MinCapacity")
	high := r.number("ServerlessV2ScalingConfiguration", "MaxCapacity")
	instances := 0.0
	for _, i := range w.ofType("AWS::RDS::DBInstance") {
		if reference(i.Properties["DBClusterIdentifier"]) != r.id {
			continue
		}
		if class := i.text("DBInstanceClass"); class != "db.serverless" {
			w.addNotPriced(i.Type + " (" + class + ")")
			continue
		}
		instances++
	}
	w.addHours(r, fmt.Sprintf("Aurora, %.0f × %.4g capacity units", instances, low), "aurora:acu", instances*low)
	if price, found := w.Prices.find(w.Region, "aurora:acu"); found {
		w.addNote("Aurora is billed at its minimum capacity. Under load it costs up to %.2f USD per month, at %.4g units per instance.",
			instances*high*hoursPerMonth*price.USD, high)
	}
	w.add(r, "storage", "aurora:storage", w.traffic.Sessions*w.traffic.storedBytes("postgres")/bytesPerGB)
	w.addMillions(r, "I/O: one for each write", "aurora:io", w.Counts.sum("postgres", w.traffic, func(n Count) float64 {
		return n.Calls["create"] + n.Calls["update"] + n.Calls["touch"] + 2*n.Calls["renew"]
	}))
	w.addStoreTraffic(r)
}
