package stacks

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"stateless-servers/app/config"
	"stateless-servers/app/config/allowed"
)

// armTypeExpr matches an instance type of a Graviton family, which has a g after the generation: t4g, c8gn, im4gn. (It does
// not match g4dn, a GPU family on x86.)
const armTypeExpr = `[a-z]+[0-9]+g[a-z]*\.([a-z0-9]+|metal-[0-9]+xl)`

// rateExpr and weightExpr match parts of the values of lab load --rate and --mix.
const (
	rateExpr   = `([1-9][0-9]{0,4}(\.[0-9]+)?|0\.[1-9][0-9]*)`
	weightExpr = `(none|read|write|cart|login|logout)=([1-9][0-9]{0,2}|1000)`
)

const regionExpr = `[a-z]{2,4}(-[a-z]+)+-[0-9]`

var (
	certificatePattern = regexp.MustCompile(`^arn:aws[a-z-]*:acm:[a-z0-9-]+:[0-9]{12}:certificate/[0-9a-f-]+$`)
	domainPattern      = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}$`)
	emailPattern       = regexp.MustCompile(`^[A-Za-z0-9._%+'-]{1,64}@[a-z0-9.-]+\.[a-z]{2,63}$`)
	zonePattern        = regexp.MustCompile(`^Z[A-Z0-9]{1,31}$`)
	armTypesPattern    = regexp.MustCompile(`^` + armTypeExpr + `(,` + armTypeExpr + `)*$`)
	armTypePattern     = regexp.MustCompile(`^` + armTypeExpr + `$`)
	ratePattern        = regexp.MustCompile(`^` + rateExpr + `(\.\.` + rateExpr + `)?(,` + rateExpr + `(\.\.` + rateExpr + `)?)*$`)
	mixPattern         = regexp.MustCompile(`^` + weightExpr + `(,` + weightExpr + `)*$`)
	cacheNodePattern   = regexp.MustCompile(`^cache\.[a-z0-9]+\.[a-z0-9]+$`)
	daxNodePattern     = regexp.MustCompile(`^dax\.[a-z0-9]+\.[a-z0-9]+$`)
	tablePattern       = regexp.MustCompile(`^[A-Za-z0-9_.-]{3,255}$`) // Amazon DynamoDB, naming rules
	regionsPattern     = regexp.MustCompile(`^` + regionExpr + `(,` + regionExpr + `)*$`)
)

// settings returns the settings that fill in the Config. Each comes after those that it depends on.
func (c *Config) settings() []setting {
	withLoaders := func() bool { return c.Load.Loaders > 0 }
	caches := []config.StoreKind{config.StoreValkey, StoreRedis, config.StoreMemcached}
	withNodes := func() bool { return !c.Cache.Serverless }
	serverless := func() bool { return c.Cache.Serverless }
	ownVPC, newVPC := func() bool { return c.VPC.ID != "" }, func() bool { return c.VPC.ID == "" }
	otherStore := allowed.OneOf(append(config.StoreKinds(), StoreRedis)...).WithAllowed(allowed.JoinOr(migratableStores()))
	onDemand := func() bool { return c.DynamoDB.Billing == BillingOnDemand }
	return []setting{
		configuration(&c.Name),
		choice("store", &c.Store, config.StoreDynamoDB, config.StoreValkey, StoreRedis, config.StoreMemcached,
			config.StorePostgres, config.StoreCookie, config.StoreToken, config.StoreMemory),
		bind("migrateTo", &c.MigrateTo, "", otherStore),
		bind("migrateFrom", &c.MigrateFrom, "", otherStore),
		choice("revocation", &c.Revocation, RevocationNone, config.StoreDynamoDB, config.StoreValkey).forStores(config.StoreToken),
		boolean("sticky", &c.Sticky),
		choice("stage", &c.Stage, StageLab, StageProduction),
		bind("protect", &c.Protect, "", allowed.Boolean()), // ParseConfig has the default, which depends on the stage
		matching("server", &c.Server, sampleServer, folderPattern, "the path of the folder of a Go program, which begins with ./, ../ or /"),
		matching("certificateArn", &c.CertificateARN, "", certificatePattern, "the ARN of an ACM certificate"),
		matching("domain", &c.Domain, "", domainPattern, "a domain name such as lab.example.com"),
		matching("hostedZoneId", &c.HostedZoneID, "", zonePattern, "the id of a public hosted zone, such as Z0123456789ABCDEFGHIJ"),
		boolean("cloudfront", &c.CloudFront),
		listOf("allowFrom", &c.AllowFrom, anyAddress, 1, 25, isIPv4Range, "1 to 25 IPv4 ranges such as 192.0.2.0/24, each once, with "+
			"commas between them"),
		choice("algorithm", &c.Algorithm, AlgorithmRoundRobin, AlgorithmLeastOutstanding, AlgorithmWeightedRandom),
		bind("zonalShift", &c.ZonalShift, "true", allowed.Boolean()),
		boolean("waf", &c.WAF),
		choice("login", &c.Login, LoginNone, LoginCognito),
		matching("instanceType", &c.InstanceTypes, "t4g.small", armTypesPattern, "ARM (Graviton) instance types such as t4g.small, with "+
			"commas between them"),
		number("spotPercent", &c.SpotPercent, 0, 0, 100),
		number("minServers", &c.MinServers, 2, 1, 100),
		number("maxServers", &c.MaxServers, 6, 2, 100),
		listOf("availabilityZones", &c.AvailabilityZones, "", 2, 3, zoneNamePattern.MatchString, "the names of 2 or 3 availability "+
			"zones such as eu-west-1a, each once, with commas between them"),
		matching("vpcId", &c.VPC.ID, "", vpcPattern, "the id of a VPC, such as vpc-0123456789abcdef0"),
		subnetList("balancerSubnets", &c.VPC.BalancerSubnets).onlyWith("vpcId", ownVPC),
		subnetList("fleetSubnets", &c.VPC.FleetSubnets).onlyWith("vpcId", ownVPC),
		subnetList("storeSubnets", &c.VPC.StoreSubnets).onlyWith("vpcId", ownVPC),
		number("zones", &c.Zones, 2, 2, 3).onlyWith("a VPC that the deployment creates, in zones that it chooses",
			func() bool { return newVPC() && c.AvailabilityZones == "" }),
		choice("egress", &c.Egress, EgressNATGateway, EgressNATInstance, EgressEndpointsOnly).
			onlyWith("a VPC that the deployment creates", newVPC),
		matching("natInstanceType", &c.NATInstanceType, "t4g.nano", armTypePattern, "an ARM (Graviton) instance type such as t4g.nano").
			onlyWith("egress=nat-instance", func() bool { return c.Egress == EgressNATInstance }),

		matching("permissionsBoundary", &c.PermissionsBoundary, "", policyPattern, "the ARN of an IAM policy"),
		listOf("tags", &c.Tags, "", 1, 40, isTag, "1 to 40 tags such as team=web, each key once, with commas between them; a key "+
			"has up to 128 letters, digits, spaces and _.:/+@-, and is not Name or aws:…; a value has up to 256 of them"),
		matching("alarmEmail", &c.AlarmEmail, "", emailPattern, "an e-mail address"),
		number("budget", &c.Spending.Budget, 0, 0, 1_000_000),
		number("rateLimit", &c.Spending.RateLimit, 10_000, 10, 2_000_000_000).
			onlyWith("waf=true", func() bool { return c.WAF }),
		choice("cpuCredits", &c.Spending.CPUCredits, CPUCreditsUnlimited, CPUCreditsStandard).
			onlyWith("instance types that all have CPU credits, such as t4g.small", c.burstable),

		number("loaders", &c.Load.Loaders, 0, 0, 50),
		matching("loadRate", &c.Load.Rate, "200", ratePattern, "requests per second: 200, or a ramp 100..500, or several steps such as "+
			"100,200,400").onlyWith("loaders", withLoaders),
		durationBetween("loadDuration", &c.Load.Duration, 5*time.Minute, 10*time.Second, 4*time.Hour).onlyWith("loaders", withLoaders),
		number("loadSessions", &c.Load.Sessions, 1000, 1, 100_000).onlyWith("loaders", withLoaders),
		matching("loadMix", &c.Load.Mix, "", mixPattern, "weights of none, read, write, cart, login and logout, such as "+
			"read=80,write=20").onlyWith("loaders", withLoaders),
		boolean("loadHistory", &c.Load.History).onlyWith("loaders", withLoaders),
		matching("loaderInstanceType", &c.Load.InstanceType, "c7g.large", armTypePattern, "an ARM (Graviton) instance type such as "+
			"c7g.large").onlyWith("loaders", withLoaders),

		choice("billing", &c.DynamoDB.Billing, BillingOnDemand, BillingProvisioned).forStores(config.StoreDynamoDB),
		number("minUnits", &c.DynamoDB.MinUnits, 5, 1, 40_000).forStores(config.StoreDynamoDB),
		number("maxUnits", &c.DynamoDB.MaxUnits, 1000, 1, 40_000).forStores(config.StoreDynamoDB),
		number("maxReads", &c.DynamoDB.MaxReads, 4000, 1, 40_000).forStores(config.StoreDynamoDB).
			onlyWith("billing=on-demand", onDemand),
		number("maxWrites", &c.DynamoDB.MaxWrites, 1000, 1, 40_000).forStores(config.StoreDynamoDB).
			onlyWith("billing=on-demand", onDemand),
		boolean("customerKey", &c.DynamoDB.CustomerKey).forStores(config.StoreDynamoDB),
		matching("replicas", &c.DynamoDB.Replicas, "", regionsPattern, "AWS regions such as eu-west-1, with commas between them").
			forStores(config.StoreDynamoDB),
		matching("replicaTable", &c.DynamoDB.ReplicaTable, "", tablePattern, "the name of a DynamoDB table").forStores(config.StoreDynamoDB),
		boolean("dax", &c.DynamoDB.DAX).forStores(config.StoreDynamoDB),
		matching("daxNodeType", &c.DynamoDB.DAXNodeType, "dax.t3.small", daxNodePattern, "a node type of DAX such as dax.t3.small").
			forStores(config.StoreDynamoDB).onlyWith("dax=true", func() bool { return c.DynamoDB.DAX }),
		number("daxNodes", &c.DynamoDB.DAXNodes, 2, 2, 11).
			forStores(config.StoreDynamoDB).onlyWith("dax=true", func() bool { return c.DynamoDB.DAX }),

		boolean("serverless", &c.Cache.Serverless).forStores(caches...),
		matching("cacheNodeType", &c.Cache.NodeType, "cache.t4g.micro", cacheNodePattern,
			"a node type of ElastiCache such as cache.t4g.micro").forStores(caches...).onlyWith("serverless=false", withNodes),
		number("shards", &c.Cache.Shards, 0, 0, 90).forStores(config.StoreValkey, StoreRedis).onlyWith("serverless=false", withNodes),
		number("replicas", &c.Cache.Replicas, 1, 1, 5).forStores(config.StoreValkey, StoreRedis).onlyWith("serverless=false", withNodes),
		choice("durability", &c.Cache.Durability, DurabilityNone, DurabilityAsync, DurabilitySync).forStores(config.StoreValkey),
		number("nodes", &c.Cache.Nodes, 2, 2, 40).forStores(config.StoreMemcached).onlyWith("serverless=false", withNodes),
		number("cacheMaxGB", &c.Cache.MaxGB, 1, 1, 5000).forStores(caches...).onlyWith("serverless=true", serverless),
		number("cacheMaxECPU", &c.Cache.MaxECPU, 5000, 1000, 15_000_000).forStores(caches...).onlyWith("serverless=true", serverless),

		halfSteps("minACU", &c.Postgres.MinACU, 0.5, 0.5, 256).forStores(config.StorePostgres),
		halfSteps("maxACU", &c.Postgres.MaxACU, 4, 1, 256).forStores(config.StorePostgres),
	}
}

// ParseConfig reads the Config from the CDK context. A value may be a string, as -c passes it, or the JSON of cdk.json. The
// error has one line for each unknown key and for each value that isn't allowed. ParseConfig ignores keys with a colon or a
// slash, which are the CDK's own (feature flags, cached lookups).
func ParseConfig(context map[string]any) (Config, error) {
	var c Config
	settings := c.settings()
	problems := unknownKeys(context, settings)
	for i, s := range settings {
		value, given := context[s.Name]
		switch text := contextText(value); {
		case !given || !c.appliesHere(i, settings):
			if s.Default != "" {
				s.Set(s.Default)
			}
			// A key may have several settings, each for other stores.
			if stores := storesOfKey(s.Name, settings); given && !slices.Contains(stores, c.Store) &&
				!slices.Contains(stores, c.otherStore()) && isFirstOfKey(i, settings) {
				problems = append(problems, fmt.Errorf("context %s=%q: only with store=%s", s.Name, text, allowed.JoinOr(stores)))
			}
		case !s.Set(text):
			problems = append(problems, fmt.Errorf("context %s=%q: allowed is %s", s.Name, text, s.Allowed))
		case s.Requires != "" && !s.condition():
			problems = append(problems, fmt.Errorf("context %s=%q: only with %s", s.Name, text, s.Requires))
		}
	}
	if c.AvailabilityZones != "" {
		c.Zones = len(fields(c.AvailabilityZones))
	}
	if _, given := context["protect"]; !given {
		c.Protect = c.Stage == StageProduction
	}
	problems = append(problems, c.conflicts()...)
	if len(problems) > 0 {
		return Config{}, errors.Join(problems...)
	}
	return c, nil
}

// Keys returns every key of the context, in the order of the fields of Config.
func Keys() []Key {
	var c Config
	var keys []Key
	for _, s := range c.settings() {
		keys = append(keys, s.Key)
	}
	return keys
}

// conflicts returns an error for each combination of allowed values that isn't allowed. A value that was refused has its
// zero value here.
func (c *Config) conflicts() []error {
	var problems []error
	add := func(format string, values ...any) {
		problems = append(problems, fmt.Errorf("context "+format, values...))
	}
	if c.MaxServers != 0 && c.MaxServers <= c.MinServers {
		add("maxServers=\"%d\": allowed is a number above minServers (%d), because a deployment needs room for one more server",
			c.MaxServers, c.MinServers)
	}
	if c.Stage == StageProduction && c.Name == "" {
		add("stage=\"production\": only in the file configs/NAME.json of a named configuration, which config=NAME selects")
	}
	if c.Stage == StageProduction && !c.HTTPS() {
		add("stage=\"production\": only with HTTPS, by certificateArn, by domain and hostedZoneId, or by cloudfront=true")
	}
	if c.CloudFront && c.AllowFrom != anyAddress {
		add("allowFrom=%q: not with cloudfront=true, whose load balancer accepts connections from CloudFront only", c.AllowFrom)
	}
	if c.duplicateTags() {
		add("tags=%q: allowed is each key once", c.Tags)
	}
	problems = append(problems, c.vpcConflicts()...)
	problems = append(problems, c.migrationConflicts()...)
	problems = append(problems, c.DynamoDB.conflicts()...)
	problems = append(problems, c.Cache.conflicts()...)
	problems = append(problems, c.spendingConflicts()...)
	if c.Postgres.MaxACU != 0 && c.Postgres.MaxACU < c.Postgres.MinACU {
		add("maxACU=\"%v\": allowed is a number of minACU (%v) or more", c.Postgres.MaxACU, c.Postgres.MinACU)
	}
	if (c.Domain == "") != (c.HostedZoneID == "") {
		add("domain=%q and hostedZoneId=%q: both or neither", c.Domain, c.HostedZoneID)
	}
	if c.CloudFront && (c.Domain != "" || c.CertificateARN != "") {
		add("cloudfront=\"true\": not with domain or certificateArn; CloudFront has its own name and certificate")
	}
	if c.Load.Loaders > 0 && c.Egress == EgressEndpointsOnly {
		add("loaders=\"%d\": not with egress=endpoints-only, which has no route to the load balancer's public address",
			c.Load.Loaders)
	}
	if c.Login == LoginCognito {
		problems = append(problems, c.loginConflicts()...)
	}
	if c.Domain != "" && c.CertificateARN != "" {
		add("certificateArn=%q: not with domain, which creates its own certificate", c.CertificateARN)
	}
	if c.Store == config.StoreMemory && !c.Sticky {
		add("store=\"memory\": only with sticky=true, because servers don't share their memory")
	}
	if c.Store != config.StoreMemory && c.Sticky {
		add("sticky=\"true\": only with store=memory; servers share the sessions of every other store")
	}
	if c.Sticky && c.Algorithm != AlgorithmRoundRobin {
		add("algorithm=%q: not with sticky=true, which sends a visitor to his server whatever the algorithm", c.Algorithm)
	}
	return problems
}

// loginConflicts returns the conflicts of login=cognito.
func (c *Config) loginConflicts() []error {
	var problems []error
	add := func(reason string) {
		problems = append(problems, fmt.Errorf("context login=%q: %s", c.Login, reason))
	}
	if c.Domain == "" && !c.CloudFront {
		add("only with domain or cloudfront=true; the user pool redirects visitors to an HTTPS address, whose host name " +
			"certificateArn doesn't give")
	}
	if c.Egress == EgressEndpointsOnly {
		add("not with egress=endpoints-only, because servers exchange codes for tokens at the user pool's domain, for which " +
			"Amazon Cognito has no VPC endpoint")
	}
	if c.Load.Loaders > 0 && (c.Load.Mix == "" || strings.Contains(c.Load.Mix, "login=")) {
		add("with loaders, only with a loadMix without login, such as read=80,write=20; loaders have no accounts in the user pool")
	}
	return problems
}

func unknownKeys(context map[string]any, settings []setting) []error {
	var known []string
	for i, s := range settings {
		if isFirstOfKey(i, settings) {
			known = append(known, s.Name)
		}
	}
	var unknown []string
	for key := range context {
		if !slices.Contains(known, key) && !strings.ContainsAny(key, ":/") && key != "cdk-migrate" {
			unknown = append(unknown, key)
		}
	}
	slices.Sort(unknown)
	var problems []error
	for _, key := range unknown {
		problems = append(problems, fmt.Errorf("context %s=%q: no such key; allowed are %s",
			key, contextText(context[key]), strings.Join(known, ", ")))
	}
	return problems
}

// conflicts returns an error for each combination of allowed values that isn't allowed.
func (c DynamoDBConfig) conflicts() []error {
	var problems []error
	add := func(format string, values ...any) {
		problems = append(problems, fmt.Errorf("context "+format, values...))
	}
	if c.MaxUnits != 0 && c.MaxUnits < c.MinUnits {
		add("maxUnits=\"%d\": allowed is a number of minUnits (%d) or more", c.MaxUnits, c.MinUnits)
	}
	if regionsPattern.MatchString(c.Replicas) {
		if unknown := unknownRegions(c.replicas()); len(unknown) > 0 {
			add("replicas=%q: AWS has no region %s", c.Replicas, strings.Join(unknown, ", "))
		}
		if regions := slices.Sorted(slices.Values(c.replicas())); len(slices.Compact(regions)) < len(c.replicas()) {
			add("replicas=%q: allowed is each region once", c.Replicas)
		}
	}
	if c.Replicas != "" && c.CustomerKey {
		add("customerKey=\"true\": not with replicas; a key exists in its own region only")
	}
	if c.ReplicaTable != "" && (c.Replicas != "" || c.CustomerKey || c.Billing == BillingProvisioned) {
		add("replicaTable=%q: not with billing, customerKey or replicas, which are set in the region that created the table",
			c.ReplicaTable)
	}
	if c.DAX && c.replicated() {
		add("dax=\"true\": not with replicas or replicaTable; DAX doesn't see the writes of other regions")
	}
	return problems
}

// durableNodePattern matches the node types that support durability (Amazon ElastiCache User Guide, "Durability: Limitations").
var durableNodePattern = regexp.MustCompile(`^cache\.(r[678]g|m[678]g|c[78]gn)\.[a-z0-9]+$`)

// conflicts returns an error if the cache can't be durable.
func (c CacheConfig) conflicts() []error {
	if !c.durable() || !c.Serverless && c.Shards > 0 && durableNodePattern.MatchString(c.NodeType) {
		return nil
	}
	return []error{fmt.Errorf("context durability=%q: only with serverless=false, shards of 1 or more, and a cacheNodeType of the "+
		"families r6g, r7g, r8g, m6g, m7g, m8g, c7gn or c8gn, such as cache.m7g.large", c.Durability)}
}
