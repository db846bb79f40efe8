package main

import (
	"encoding/csv"
	"fmt"
	"os"
	"strconv"

	"stateless-servers/stacks"
)

const (
	hours         = 730 // per month
	pricedRegion  = "us-east-1"
	endpointsOnly = 6 * 2 // interface endpoints of egress=endpoints-only: six APIs in the two zones of the default
)

// costs describe the monthly cost of a key's values, by key, or by key and first store where stores have different keys of one name.
type costs map[string]string

// of returns the description for the key, or "".
func (c costs) of(key stacks.Key) string {
	if len(key.Stores) > 0 {
		if text, ok := c[key.Name+" "+string(key.Stores[0])]; ok {
			return text
		}
	}
	return c[key.Name]
}

// monthlyCosts computes the costs from the file of prices. It returns an error if a price is missing.
func monthlyCosts(path string) (costs, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	records, err := csv.NewReader(file).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	prices := map[string]float64{}
	for _, record := range records {
		if record[0] != pricedRegion {
			continue
		}
		if prices[record[1]], err = strconv.ParseFloat(record[3], 64); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	var missing []string
	price := func(item string) float64 {
		usd, ok := prices[item]
		if !ok {
			missing = append(missing, item)
		}
		return usd
	}
	month := func(item string) float64 { return hours * price(item) }

	c := costs{
		"store": "see [compare.md](compare.md#monthly-cost)",
		"waf": fmt.Sprintf("`true`: %.2f USD, with `cloudfront=true` %.2f USD, and %.2f USD per million requests",
			price("waf:acl")+3*price("waf:rule"), price("waf:acl")+2*price("waf:rule"), price("waf:request")),
		"budget":     "nothing",
		"rateLimit":  fmt.Sprintf("%.2f USD with `waf=true`, beside its three groups of rules", price("waf:rule")),
		"cpuCredits": fmt.Sprintf("`unlimited`: a `t4g.small` at 50 %% CPU %.2f USD more; `standard`: nothing", 0.3*2*month("ec2:cpu-credits")),
		"maxReads":   mostPerHour(price("dynamodb:read-request"), 4000),
		"maxWrites":  mostPerHour(price("dynamodb:write-request"), 1000),
		"login": fmt.Sprintf("`cognito`: the first 10,000 users per month are free, each further one costs %.4f USD; keys cost %.2f USD, "+
			"which `cookie` and `token` include", price("cognito:user"), price("secret")),
		"instanceType":    fmt.Sprintf("`t4g.small`: %.2f USD per server", month("ec2:t4g.small")),
		"minServers":      fmt.Sprintf("%.2f USD per `t4g.small`", month("ec2:t4g.small")),
		"maxServers":      "as many as the requests take",
		"natInstanceType": fmt.Sprintf("`t4g.nano`: %.2f USD each", month("ec2:t4g.nano")),
		"egress": fmt.Sprintf("a NAT gateway %.2f USD and %.3f USD per GB, a NAT instance %.2f USD, both and %.2f USD for "+
			"the address; `endpoints-only`: %.2f USD in two zones and %.2f USD per GB",
			month("nat-gateway:hour"), price("nat-gateway:data"), month("ec2:t4g.nano"), month("ipv4"),
			endpointsOnly*month("vpc-endpoint:hour"), price("data-transfer:zone")),
		"stage": fmt.Sprintf("`production`: %.2f USD for NAT gateway and address in each zone except the first, and backups",
			month("nat-gateway:hour")+month("ipv4")),
		"zones": fmt.Sprintf("3: %.2f USD for the load balancer's third address; with `stage=production` also a NAT gateway",
			month("ipv4")),
		"loaderInstanceType": fmt.Sprintf("`c7g.large`: %.4f USD per loader and hour", price("ec2:c7g.large")),

		"billing": fmt.Sprintf("`on-demand`: %.3f USD per million writes, %.3f USD per million reads, nothing when idle; `provisioned`: "+
			"%.2f USD per write unit, %.2f USD per read unit", price("dynamodb:write-request"), price("dynamodb:read-request"),
			month("dynamodb:write-capacity"), month("dynamodb:read-capacity")),
		"minUnits": fmt.Sprintf("with `billing=provisioned`: %.2f USD for a read and a write unit of table and index",
			2*(month("dynamodb:write-capacity")+month("dynamodb:read-capacity"))),
		"customerKey":       fmt.Sprintf("`true`: %.2f USD", price("kms:key")),
		"replicas dynamodb": "each write again in each region",
		"daxNodeType":       fmt.Sprintf("`dax.t3.small`: %.2f USD per node", month("dax:dax.t3.small")),
		"dax":               fmt.Sprintf("`true`: %.2f USD for two nodes", 2*month("dax:dax.t3.small")),
		"serverless": fmt.Sprintf("`true`: a GB %.2f USD with Valkey, %.2f USD with the others; a million ECPU: "+
			"%.4f or %.4f USD", month("elasticache-serverless:valkey:data"), month("elasticache-serverless:redis:data"),
			price("elasticache-serverless:valkey:ecpu"), price("elasticache-serverless:redis:ecpu")),
		"cacheNodeType": fmt.Sprintf("`cache.t4g.micro`: %.2f USD per node with Valkey, %.2f USD with the others",
			month("elasticache:valkey:cache.t4g.micro"), month("elasticache:redis:cache.t4g.micro")),
		"shards":          "a primary and its replicas per shard",
		"replicas valkey": "a node per primary and replica",
		"nodes":           "one node each",
		"durability": fmt.Sprintf("two `cache.m7g.large`: %.2f USD; nothing more for `async` (AWS, 27 October 2026); the price of `sync` is "+
			"not known here: see [AWS's prices](https://aws.amazon.com/elasticache/pricing/)", 2*month("elasticache:valkey:cache.m7g.large")),
		"migrateTo":   "the other store, when idle",
		"migrateFrom": "the other store, when idle",
		"minACU":      fmt.Sprintf("%.2f USD per ACU, for each of two instances", month("aurora:acu")),
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("%s has no price of %q in %s", path, missing, pricedRegion)
	}
	return c, nil
}

// mostPerHour says what the request units of a table and of its index cost in an hour at most, at the default maximum.
func mostPerHour(perMillion, unitsPerSecond float64) string {
	return fmt.Sprintf("at most %.2f USD per hour for table and index at the default", 2*unitsPerSecond*3600/1e6*perMillion)
}
