package stacks

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"stateless-servers/app/config"
	"stateless-servers/session/sessiontest/must"
)

func TestParseConfig(t *testing.T) {
	defaults := Config{Store: config.StoreDynamoDB, Revocation: RevocationNone, Stage: StageLab, Server: "./app", AllowFrom: "0.0.0.0/0", Login: LoginNone, InstanceTypes: "t4g.small",
		Algorithm: AlgorithmRoundRobin, ZonalShift: true,
		MinServers: 2, MaxServers: 6, Zones: 2, Egress: EgressNATGateway, NATInstanceType: "t4g.nano",
		Spending: SpendingConfig{RateLimit: 10_000, CPUCredits: CPUCreditsUnlimited},
		Load:     LoadConfig{Rate: "200", Duration: 5 * time.Minute, Sessions: 1000, InstanceType: "c7g.large"},
		DynamoDB: DynamoDBConfig{Billing: BillingOnDemand, MinUnits: 5, MaxUnits: 1000, MaxReads: 4000, MaxWrites: 1000,
			DAXNodeType: "dax.t3.small", DAXNodes: 2},
		Cache:    CacheConfig{NodeType: "cache.t4g.micro", Replicas: 1, Durability: DurabilityNone, Nodes: 2, MaxGB: 1, MaxECPU: 5000},
		Postgres: PostgresConfig{MinACU: 0.5, MaxACU: 4}}
	with := func(change func(*Config)) Config {
		c := defaults
		change(&c)
		return c
	}
	tests := []struct {
		name    string
		context map[string]any
		want    Config
	}{
		{"nothing", nil, defaults},
		{"the CDK's own keys", map[string]any{"@aws-cdk/core:x": true, "aws:cdk:y": "1", "cdk-migrate": true,
			"availability-zones:account=1:region=eu-west-1": []any{"a"}}, defaults},
		{"strings, as with -c", map[string]any{"store": "valkey", "minServers": "1", "maxServers": "3", "zones": "3"},
			with(func(c *Config) { c.Store, c.MinServers, c.MaxServers, c.Zones = config.StoreValkey, 1, 3, 3 })},
		{"JSON, as in cdk.json", map[string]any{"minServers": 4.0, "maxServers": 8.0},
			with(func(c *Config) { c.MinServers, c.MaxServers = 4, 8 })},
		{"a cluster", map[string]any{"store": "redis", "shards": "3", "replicas": "2", "cacheNodeType": "cache.r7g.large"},
			with(func(c *Config) {
				c.Store, c.Cache.Shards, c.Cache.Replicas, c.Cache.NodeType = StoreRedis, 3, 2, "cache.r7g.large"
			})},
		{"serverless", map[string]any{"store": "memcached", "serverless": true, "cacheMaxGB": 5.0, "cacheMaxECPU": "1000"},
			with(func(c *Config) {
				c.Store, c.Cache.Serverless, c.Cache.MaxGB, c.Cache.MaxECPU = config.StoreMemcached, true, 5, 1000
			})},
		{"provisioned", map[string]any{"billing": "provisioned", "minUnits": "1", "maxUnits": "1", "customerKey": "true"},
			with(func(c *Config) {
				c.DynamoDB.Billing, c.DynamoDB.MinUnits, c.DynamoDB.MaxUnits = BillingProvisioned, 1, 1
				c.DynamoDB.CustomerKey = true
			})},
		{"replicas", map[string]any{"replicas": "eu-west-1,ap-southeast-2"},
			with(func(c *Config) { c.DynamoDB.Replicas = "eu-west-1,ap-southeast-2" })},
		{"a replica", map[string]any{"replicaTable": "sessions.1"},
			with(func(c *Config) { c.DynamoDB.ReplicaTable = "sessions.1" })},
		{"DAX", map[string]any{"dax": true, "daxNodeType": "dax.r7i.large", "daxNodes": 3.0},
			with(func(c *Config) {
				c.DynamoDB.DAX, c.DynamoDB.DAXNodeType, c.DynamoDB.DAXNodes = true, "dax.r7i.large", 3
			})},
		{"a database", map[string]any{"store": "postgres", "minACU": 1.5, "maxACU": "8"},
			with(func(c *Config) { c.Store, c.Postgres.MinACU, c.Postgres.MaxACU = config.StorePostgres, 1.5, 8 })},
		{"a load test", map[string]any{"loaders": "3", "loadRate": "100..500,20.5", "loadDuration": "90s", "loadSessions": 10.0,
			"loadMix": "read=80,write=20", "loadHistory": true, "loaderInstanceType": "c7g.xlarge"},
			with(func(c *Config) {
				c.Load = LoadConfig{Loaders: 3, Rate: "100..500,20.5", Duration: 90 * time.Second, Sessions: 10,
					Mix: "read=80,write=20", History: true, InstanceType: "c7g.xlarge"}
			})},
		{"the baseline", map[string]any{"store": "memory", "sticky": "true"},
			with(func(c *Config) { c.Store, c.Sticky = config.StoreMemory, true })},
		{"a user pool", map[string]any{"login": "cognito", "cloudfront": "true", "loaders": "2", "loadMix": "read=1,logout=1"},
			with(func(c *Config) {
				c.Login, c.CloudFront, c.Load.Loaders, c.Load.Mix = LoginCognito, true, 2, "read=1,logout=1"
			})},
		{"no user pool, and plain HTTP", map[string]any{"login": "none", "egress": "endpoints-only"},
			with(func(c *Config) { c.Egress = EgressEndpointsOnly })},
		{"production before its first deployment", map[string]any{"config": "configs/eu.json", "stage": "production", "protect": "false",
			"certificateArn": certificate},
			with(func(c *Config) { c.Name, c.Stage, c.CertificateARN = "eu", StageProduction, certificate })},
		{"a protected lab", map[string]any{"protect": true}, with(func(c *Config) { c.Protect = true })},
		{"everything else", map[string]any{"config": "configs/eu.json", "stage": "production", "egress": "endpoints-only",
			"certificateArn": certificate, "instanceType": "im4gn.large"},
			with(func(c *Config) {
				c.Name, c.Stage, c.Egress, c.CertificateARN, c.InstanceTypes = "eu", StageProduction, EgressEndpointsOnly, certificate, "im4gn.large"
				c.Protect = true
			})},
		{"a VPC that exists", map[string]any{"vpcId": "vpc-01234567", "availabilityZones": "eu-west-1a,eu-west-1b,eu-west-1c",
			"fleetSubnets": "subnet-00000001,subnet-00000002,subnet-00000003", "cloudfront": true},
			with(func(c *Config) {
				c.VPC.ID, c.AvailabilityZones, c.Zones = "vpc-01234567", "eu-west-1a,eu-west-1b,eu-west-1c", 3
				c.VPC.FleetSubnets, c.CloudFront = "subnet-00000001,subnet-00000002,subnet-00000003", true
			})},
		{"rules of an organization", map[string]any{"permissionsBoundary": "arn:aws:iam::aws:policy/PowerUserAccess",
			"tags": "team=web,cost center=", "allowFrom": "192.0.2.0/24", "server": "../mine"},
			with(func(c *Config) {
				c.PermissionsBoundary, c.Tags = "arn:aws:iam::aws:policy/PowerUserAccess", "team=web,cost center="
				c.AllowFrom, c.Server = "192.0.2.0/24", "../mine"
			})},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := must.Get(ParseConfig(test.context))(t)
			if got != test.want {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
		})
	}
}

func TestAlarmEmail(t *testing.T) {
	for _, address := range []string{"ops@example.com", "Jane.O'Neil+alarms@mail.example.co.uk", "a_b-c%d@example.com"} {
		if c, err := ParseConfig(map[string]any{"alarmEmail": address}); err != nil || c.AlarmEmail != address {
			t.Errorf("%s: %v", address, err)
		}
	}
	for _, address := range []string{
		"{{resolve:secretsmanager:x}}@b.co", "${AWS::Region}@b.co", "a{b@b.co", "a`b@b.co", "a|b@b.co", "a\\@b.co", "a\u202eb@b.co", "a\x1b[2J@b.co",
		"a\x00@b.co", "@b.co", strings.Repeat("a", 65) + "@b.co", "a@b.co\n", "a@b@b.co", "a@{{resolve:ssm:x}}.co",
	} {
		if _, err := ParseConfig(map[string]any{"alarmEmail": address}); err == nil {
			t.Errorf("%q is allowed, want an error", address)
		}
	}
}

// CloudFormation resolves {{resolve:…}} anywhere in a template. No key may accept it at any position of an otherwise allowed
// value, whatever the key's pattern.
func TestDynamicReferencesAreRefused(t *testing.T) {
	const reference = "{{resolve:secretsmanager:x}}"
	samples := map[string]string{"alarmEmail": "ops@example.com", "certificateArn": certificate, "domain": "lab.example.com",
		"hostedZoneId": "Z0123456789ABCDEFGHIJ", "config": "eu", "vpcId": "vpc-01234567", "availabilityZones": "eu-west-1a,eu-west-1b",
		"balancerSubnets": "subnet-00000001,subnet-00000002", "fleetSubnets": "subnet-00000001,subnet-00000002",
		"storeSubnets": "subnet-00000001,subnet-00000002", "permissionsBoundary": "arn:aws:iam::aws:policy/x", "tags": "a=b", "loadMix": "read=80,write=20", "replicas": "eu-west-1", "replicaTable": "sessions"}
	texts := 0
	for _, key := range Keys() {
		sample := samples[key.Name]
		if key.Type == "text" {
			texts++
			if sample == "" {
				sample = key.Default
			}
		}
		for at := range len(sample) + 1 {
			value := sample[:at] + reference + sample[at:]
			if _, err := ParseConfig(map[string]any{key.Name: value}); err == nil || !strings.Contains(err.Error(), "context "+key.Name+"=") {
				t.Errorf("%s=%q: %v", key.Name, value, err)
			}
		}
	}
	if texts < 10 {
		t.Errorf("%d keys are text, want at least 10", texts)
	}
	var field string
	if matching("any", &field, "", regexp.MustCompile(``), "anything").Set("a " + reference) {
		t.Error("a pattern that matches everything allows a dynamic reference")
	}
}

func TestParseConfigNamesEveryProblem(t *testing.T) {
	const stores = "dynamodb, valkey, redis, memcached, postgres, cookie, token or memory"
	const keys = "config, store, migrateTo, migrateFrom, revocation, sticky, stage, protect, server, certificateArn, domain, hostedZoneId, cloudfront, allowFrom, " +
		"algorithm, zonalShift, waf, login, instanceType, spotPercent, minServers, maxServers, availabilityZones, " +
		"vpcId, balancerSubnets, fleetSubnets, storeSubnets, zones, egress, natInstanceType, permissionsBoundary, tags, alarmEmail, budget, rateLimit, cpuCredits, " +
		"loaders, loadRate, loadDuration, loadSessions, loadMix, loadHistory, loaderInstanceType, billing, " +
		"minUnits, maxUnits, maxReads, maxWrites, customerKey, replicas, replicaTable, dax, daxNodeType, daxNodes, serverless, cacheNodeType, " +
		"shards, durability, nodes, cacheMaxGB, cacheMaxECPU, " +
		"minACU, maxACU"
	const noName = `context login="cognito": only with domain or cloudfront=true; the user pool redirects visitors to an ` +
		`HTTPS address, whose host name certificateArn doesn't give`
	const noAccount = `context login="cognito": with loaders, only with a loadMix without login, such as read=80,write=20; ` +
		`loaders have no accounts in the user pool`
	const durable = `only with serverless=false, shards of 1 or more, and a cacheNodeType of the families r6g, r7g, r8g, m6g, ` +
		`m7g, m8g, c7gn or c8gn, such as cache.m7g.large`
	const arm = "ARM (Graviton) instance types such as t4g.small, with commas between them"
	tests := []struct {
		name    string
		context map[string]any
		want    []string // lines
	}{
		{"unknown store", map[string]any{"store": "nosuch"}, []string{`context store="nosuch": allowed is ` + stores}},
		{"revocation of sessions in a store", map[string]any{"store": "valkey", "revocation": "dynamodb"},
			[]string{`context revocation="dynamodb": only with store=token`}},
		{"memory without sticky sessions", map[string]any{"store": "memory"},
			[]string{`context store="memory": only with sticky=true, because servers don't share their memory`}},
		{"misspelt keys", map[string]any{"sotre": "valkey", "Store": "valkey", "min-servers": 3.0}, []string{
			`context Store="valkey": no such key; allowed are ` + keys,
			`context min-servers="3": no such key; allowed are ` + keys,
			`context sotre="valkey": no such key; allowed are ` + keys,
		}},
		{"several", map[string]any{"zones": "4", "stage": true, "egress": "", "minServers": 0.5}, []string{
			`context stage="true": allowed is lab or production`,
			`context minServers="0.5": allowed is a whole number from 1 to 100`,
			`context zones="4": allowed is a whole number from 2 to 3`,
			`context egress="": allowed is nat-gateway, nat-instance or endpoints-only`,
		}},
		{"an empty certificate", map[string]any{"certificateArn": ""},
			[]string{`context certificateArn="": allowed is the ARN of an ACM certificate`}},
		{"an x86 server", map[string]any{"instanceType": "t3.small"},
			[]string{`context instanceType="t3.small": allowed is ` + arm}},
		{"an x86 server among others", map[string]any{"instanceType": "t4g.small,t3.small"},
			[]string{`context instanceType="t4g.small,t3.small": allowed is ` + arm}},
		{"a domain without its zone", map[string]any{"domain": "lab.example.com"},
			[]string{`context domain="lab.example.com" and hostedZoneId="": both or neither`}},
		{"two certificates", map[string]any{"domain": "lab.example.com", "hostedZoneId": "Z1", "certificateArn": certificate},
			[]string{`context certificateArn="` + certificate + `": not with domain, which creates its own certificate`}},
		{"CloudFront and a certificate", map[string]any{"cloudfront": "true", "certificateArn": certificate}, []string{
			`context cloudfront="true": not with domain or certificateArn; CloudFront has its own name and certificate`}},
		{"a URL as domain", map[string]any{"domain": "https://example.com", "hostedZoneId": "example.com"}, []string{
			`context domain="https://example.com": allowed is a domain name such as lab.example.com`,
			`context hostedZoneId="example.com": allowed is the id of a public hosted zone, such as Z0123456789ABCDEFGHIJ`,
		}},
		{"a NAT instance of x86", map[string]any{"egress": "nat-instance", "natInstanceType": "t3.nano"},
			[]string{`context natInstanceType="t3.nano": allowed is an ARM (Graviton) instance type such as t4g.nano`}},
		{"a NAT instance beside a gateway", map[string]any{"natInstanceType": "t4g.nano"},
			[]string{`context natInstanceType="t4g.nano": only with egress=nat-instance`}},
		{"a load test without loaders", map[string]any{"loadRate": "5"},
			[]string{`context loadRate="5": only with loaders`}},
		{"loaders without a way out", map[string]any{"loaders": "2", "egress": "endpoints-only"}, []string{
			`context loaders="2": not with egress=endpoints-only, which has no route to the load balancer's public address`}},
		{"a load test with bad values", map[string]any{"loaders": "51", "loadRate": "fast", "loadDuration": "5", "loadMix": "buy=1",
			"loaderInstanceType": "c7i.large"}, []string{
			`context loaders="51": allowed is a whole number from 0 to 50`,
			`context loadRate="fast": allowed is requests per second: 200, or a ramp 100..500, or several steps such as 100,200,400`,
			`context loadDuration="5": allowed is a duration from 10s to 4h, such as 5m`,
			`context loadMix="buy=1": allowed is weights of none, read, write, cart, login and logout, such as read=80,write=20`,
			`context loaderInstanceType="c7i.large": allowed is an ARM (Graviton) instance type such as c7g.large`,
		}},
		{"an incomplete e-mail address", map[string]any{"alarmEmail": "ops@"},
			[]string{`context alarmEmail="ops@": allowed is an e-mail address`}},
		{"more than 100 %", map[string]any{"spotPercent": "101"},
			[]string{`context spotPercent="101": allowed is a whole number from 0 to 100`}},
		{"an x86 type with a g in its name", map[string]any{"instanceType": "g4dn.xlarge"},
			[]string{`context instanceType="g4dn.xlarge": allowed is ` + arm}},
		{"no room for a deploy", map[string]any{"minServers": "6"}, []string{`context maxServers="6": allowed is a number ` +
			`above minServers (6), because a deployment needs room for one more server`}},
		{"a shared store behind sticky sessions", map[string]any{"store": "valkey", "sticky": "true"},
			[]string{`context sticky="true": only with store=memory; servers share the sessions of every other store`}},
		{"options of other stores", map[string]any{"shards": "2", "minACU": "1", "nodes": "3"}, []string{
			`context shards="2": only with store=valkey or redis`,
			`context nodes="3": only with store=memcached`,
			`context minACU="1": only with store=postgres`,
		}},
		{"bounds the wrong way round", map[string]any{"minUnits": "50", "maxUnits": "20"},
			[]string{`context maxUnits="20": allowed is a number of minUnits (50) or more`}},
		{"capacity units", map[string]any{"store": "postgres", "minACU": "0.7", "maxACU": "NaN"}, []string{
			`context minACU="0.7": allowed is a number from 0.5 to 256 in steps of 0.5`,
			`context maxACU="NaN": allowed is a number from 1 to 256 in steps of 0.5`,
		}},
		{"capacity units the wrong way round", map[string]any{"store": "postgres", "minACU": "5"},
			[]string{`context maxACU="4": allowed is a number of minACU (5) or more`}},
		{"negative sizes", map[string]any{"store": "redis", "shards": "-1", "replicas": "-1"}, []string{
			`context shards="-1": allowed is a whole number from 0 to 90`,
			`context replicas="-1": allowed is a whole number from 1 to 5`,
		}},
		{"replicas of a store without any", map[string]any{"store": "postgres", "replicas": "2"},
			[]string{`context replicas="2": only with store=dynamodb, valkey or redis`}},
		{"replicas of Valkey as DynamoDB has them", map[string]any{"store": "valkey", "replicas": "eu-west-1"},
			[]string{`context replicas="eu-west-1": allowed is a whole number from 1 to 5`}},
		{"replicas of DynamoDB as Valkey has them", map[string]any{"replicas": "2"},
			[]string{`context replicas="2": allowed is AWS regions such as eu-west-1, with commas between them`}},
		{"malformed regions", map[string]any{"replicas": "eu-west-1, us-east-1"}, []string{
			`context replicas="eu-west-1, us-east-1": allowed is AWS regions such as eu-west-1, with commas between them`}},
		{"unknown regions", map[string]any{"replicas": "eu-west-1,eu-west-9"},
			[]string{`context replicas="eu-west-1,eu-west-9": AWS has no region eu-west-9`}},
		{"a region twice", map[string]any{"replicas": "eu-west-1,us-east-1,eu-west-1"},
			[]string{`context replicas="eu-west-1,us-east-1,eu-west-1": allowed is each region once`}},
		{"a key in several regions", map[string]any{"replicas": "eu-west-1", "customerKey": "true"},
			[]string{`context customerKey="true": not with replicas; a key exists in its own region only`}},
		{"a replica with replicas", map[string]any{"replicaTable": "sessions", "replicas": "eu-west-1"}, []string{
			`context replicaTable="sessions": not with billing, customerKey or replicas, which are set in the region that created the table`}},
		{"a malformed table name", map[string]any{"replicaTable": "a/b"},
			[]string{`context replicaTable="a/b": allowed is the name of a DynamoDB table`}},
		{"DAX with replicas", map[string]any{"dax": "true", "replicas": "eu-west-1"}, []string{
			`context dax="true": not with replicas or replicaTable; DAX doesn't see the writes of other regions`}},
		{"DAX for another store", map[string]any{"store": "valkey", "dax": "true"},
			[]string{`context dax="true": only with store=dynamodb`}},
		{"DAX nodes without DAX", map[string]any{"daxNodes": "3", "daxNodeType": "dax.r7i.large"}, []string{
			`context daxNodeType="dax.r7i.large": only with dax=true`, `context daxNodes="3": only with dax=true`}},
		{"sizes of DAX", map[string]any{"dax": "true", "daxNodes": "-3", "daxNodeType": "r7i.large"}, []string{
			`context daxNodeType="r7i.large": allowed is a node type of DAX such as dax.t3.small`,
			`context daxNodes="-3": allowed is a whole number from 2 to 11`}},
		{"nodes of a cache without nodes", map[string]any{"store": "valkey", "serverless": "true", "shards": "2", "replicas": "2",
			"cacheNodeType": "cache.r7g.large"}, []string{
			`context cacheNodeType="cache.r7g.large": only with serverless=false`,
			`context shards="2": only with serverless=false`,
			`context replicas="2": only with serverless=false`}},
		{"limits of a cache with nodes", map[string]any{"store": "redis", "cacheMaxGB": "2", "cacheMaxECPU": "2000"}, []string{
			`context cacheMaxGB="2": only with serverless=true`, `context cacheMaxECPU="2000": only with serverless=true`}},
		{"an unknown login", map[string]any{"login": "saml"}, []string{`context login="saml": allowed is none or cognito`}},
		{"a user pool without HTTPS", map[string]any{"login": "cognito"}, []string{noName}},
		{"a user pool with an unknown host name", map[string]any{"login": "cognito", "certificateArn": certificate},
			[]string{noName}},
		{"a user pool without internet access", map[string]any{"login": "cognito", "cloudfront": "true", "egress": "endpoints-only"},
			[]string{`context login="cognito": not with egress=endpoints-only, because servers exchange codes for tokens at the ` +
				`user pool's domain, for which Amazon Cognito has no VPC endpoint`}},
		{"loaders that log in by default", map[string]any{"login": "cognito", "cloudfront": "true", "loaders": "2"},
			[]string{noAccount}},
		{"loaders that log in", map[string]any{"login": "cognito", "cloudfront": "true", "loaders": "2",
			"loadMix": "read=80,login=1"}, []string{noAccount}},
		{"negative limits", map[string]any{"store": "valkey", "serverless": "true", "cacheMaxGB": "-1", "cacheMaxECPU": "999"},
			[]string{`context cacheMaxGB="-1": allowed is a whole number from 1 to 5000`,
				`context cacheMaxECPU="999": allowed is a whole number from 1000 to 15000000`}},
		{"a sticky algorithm", map[string]any{"store": "memory", "sticky": "true", "algorithm": "weighted_random"},
			[]string{`context algorithm="weighted_random": not with sticky=true, which sends a visitor to his server whatever the ` +
				`algorithm`}},
		{"an unknown algorithm", map[string]any{"algorithm": "random"}, []string{
			`context algorithm="random": allowed is round_robin, least_outstanding_requests or weighted_random`}},
		{"durable nodes that are too small, without a cluster", map[string]any{"store": "valkey", "durability": "sync"},
			[]string{`context durability="sync": ` + durable}},
		{"a durable serverless cache", map[string]any{"store": "valkey", "durability": "async", "serverless": "true"},
			[]string{`context durability="async": ` + durable}},
		{"durable nodes on Intel", map[string]any{"store": "valkey", "durability": "sync", "shards": "1",
			"cacheNodeType": "cache.r7i.large"}, []string{`context durability="sync": ` + durable}},
		{"durable nodes with data tiering", map[string]any{"store": "valkey", "durability": "sync", "shards": "1",
			"cacheNodeType": "cache.r6gd.xlarge"}, []string{`context durability="sync": ` + durable}},
		{"a durable Redis OSS", map[string]any{"store": "redis", "durability": "sync", "shards": "1",
			"cacheNodeType": "cache.r7g.large"}, []string{`context durability="sync": only with store=valkey`}},
		{"an unknown durability", map[string]any{"store": "valkey", "durability": "disabled"},
			[]string{`context durability="disabled": allowed is none, async or sync`}},
		{"a list", map[string]any{"store": []any{"valkey"}},
			[]string{`context store="[\"valkey\"]": allowed is ` + stores}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := ParseConfig(test.context)
			if err == nil {
				t.Fatalf("got %+v, want an error", got)
			}
			if want := strings.Join(test.want, "\n"); err.Error() != want {
				t.Errorf("got:\n%s\nwant:\n%s", err, want)
			}
			if got != (Config{}) {
				t.Errorf("got %+v with the error, want the zero Config", got)
			}
		})
	}
}
