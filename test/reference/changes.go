package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"

	"stateless-servers/app/config"
	"stateless-servers/lab/compare"
	"stateless-servers/lab/cost"
	"stateless-servers/stacks"
)

// outcomesFile has the outcome of each change, computed by go generate.
const outcomesFile = "changes.json"

// Keys of the context, with values as -c passes them.
type settings map[string]string

// A kind is a way to store sessions: a column of the table.
type kind struct {
	name   string
	stores []config.StoreKind // the stores with these outcomes; the first is the one that is computed
	keys   settings           // besides the store
}

func kinds() []kind {
	const valkey, redis, memcached = config.StoreValkey, stacks.StoreRedis, config.StoreMemcached
	serverless := settings{"serverless": "true"}
	return []kind{
		{"dynamodb", []config.StoreKind{config.StoreDynamoDB}, nil},
		{"valkey, redis", []config.StoreKind{valkey, redis}, nil},
		{"with shards", []config.StoreKind{valkey, redis}, settings{"shards": "2"}},
		{"serverless", []config.StoreKind{valkey, redis}, serverless},
		{"memcached", []config.StoreKind{memcached}, nil},
		{"serverless", []config.StoreKind{memcached}, serverless},
		{"postgres", []config.StoreKind{config.StorePostgres}, nil},
		{"cookie", []config.StoreKind{config.StoreCookie}, nil},
		{"token", []config.StoreKind{config.StoreToken}, nil},
		{"memory", []config.StoreKind{config.StoreMemory}, settings{"sticky": "true"}},
	}
}

// A change is a change of one key, or of several that do the same: a row of the table.
type change struct {
	keys string // as in the documentation, separated by commas
	// both are set before and after the change, since the key needs them; from only before, to only after.
	both, from, to settings
	not            func(kind) bool // reports whether the kind doesn't have the key; nil means that all have it
}

// unchangeable returns the keys that can't be changed while a lab is deployed. Another name is another lab. AWS doesn't move what is
// there to another VPC or to other zones; the specification doesn't say so.
func unchangeable() []string {
	return []string{"config", "availabilityZones", "vpcId", "balancerSubnets", "fleetSubnets", "storeSubnets"}
}

// changes returns a change for each key but those that can't be changed.
func changes() []change {
	const arn = "arn:aws:acm:us-east-1:123456789012:certificate/01234567-89ab-cdef-0123-456789abcdef"
	domain := settings{"domain": "lab.example.com", "hostedZoneId": "Z0123456789ABCDEFGHIJ"}
	https := settings{"certificateArn": arn}
	only := func(has func(kind) bool) func(kind) bool { return func(k kind) bool { return !has(k) } }
	isStore := func(store config.StoreKind) func(kind) bool {
		return func(k kind) bool { return slices.Contains(k.stores, store) }
	}
	cache := func(k kind) bool {
		return slices.Contains(k.stores, config.StoreValkey) || isStore(config.StoreMemcached)(k)
	}
	nodes := func(k kind) bool { return cache(k) && k.keys["serverless"] == "" }
	replicated := func(k kind) bool { return nodes(k) && isStore(config.StoreValkey)(k) }
	dynamodb := isStore(config.StoreDynamoDB)
	migratable := func(k kind) bool { return cache(k) || dynamodb(k) || isStore(config.StorePostgres)(k) }
	return []change{
		{keys: "store"}, // to another store: see settingsOf
		{keys: "migrateTo", not: only(migratable)},
		{keys: "migrateFrom", not: only(migratable)},
		{keys: "revocation", to: settings{"revocation": "dynamodb"}, not: only(isStore(config.StoreToken))},
		{keys: "stage", both: settings{"config": "named", "certificateArn": arn}, to: settings{"stage": "production"}},
		{keys: "protect", to: settings{"protect": "true"}},
		{keys: "server", to: settings{"server": "./test/ownserver"}},
		{keys: "certificateArn", to: https},
		{keys: "domain, hostedZoneId", to: domain},
		{keys: "cloudfront", to: settings{"cloudfront": "true"}},
		{keys: "allowFrom", to: settings{"allowFrom": "192.0.2.0/24"}},
		{keys: "algorithm", to: settings{"algorithm": "weighted_random"}, not: isStore(config.StoreMemory)},
		{keys: "zonalShift", to: settings{"zonalShift": "false"}},
		{keys: "waf", to: settings{"waf": "true"}},
		{keys: "login", both: domain, to: settings{"login": "cognito"}},
		{keys: "instanceType", to: settings{"instanceType": "c7g.large"}},
		{keys: "spotPercent", to: settings{"spotPercent": "50"}},
		{keys: "minServers", to: settings{"minServers": "3"}},
		{keys: "maxServers", to: settings{"maxServers": "8"}},
		{keys: "zones", to: settings{"zones": "3"}},
		{keys: "egress", to: settings{"egress": "nat-instance"}},
		{keys: "natInstanceType", both: settings{"egress": "nat-instance"}, to: settings{"natInstanceType": "t4g.small"}},
		{keys: "permissionsBoundary", to: settings{"permissionsBoundary": "arn:aws:iam::123456789012:policy/boundary"}},
		{keys: "tags", to: settings{"tags": "team=web"}},
		{keys: "alarmEmail", to: settings{"alarmEmail": "ops@example.com"}},
		{keys: "budget", both: settings{"alarmEmail": "ops@example.com"}, to: settings{"budget": "50"}},
		{keys: "rateLimit", both: settings{"waf": "true"}, to: settings{"rateLimit": "20000"}},
		{keys: "cpuCredits", to: settings{"cpuCredits": "standard"}},
		{keys: "loaders, loadRate, loadDuration, loadSessions, loadMix, loadHistory, loaderInstanceType", to: settings{"loaders": "2",
			"loadRate": "300", "loadDuration": "6m", "loadSessions": "2000", "loadMix": "read=1", "loadHistory": "true",
			"loaderInstanceType": "c7g.xlarge"}},
		{keys: "billing", to: settings{"billing": "provisioned"}, not: only(dynamodb)},
		{keys: "minUnits, maxUnits", both: settings{"billing": "provisioned"}, to: settings{"minUnits": "7", "maxUnits": "900"},
			not: only(dynamodb)},
		{keys: "maxReads, maxWrites", to: settings{"maxReads": "500", "maxWrites": "100"}, not: only(dynamodb)},
		{keys: "customerKey", to: settings{"customerKey": "true"}, not: only(dynamodb)},
		{keys: "replicas", to: settings{"replicas": "eu-west-1"}, not: only(dynamodb)},
		{keys: "replicaTable", to: settings{"replicaTable": "sessions"}, not: only(dynamodb)},
		{keys: "dax", to: settings{"dax": "true"}, not: only(dynamodb)},
		{keys: "daxNodeType", both: settings{"dax": "true"}, to: settings{"daxNodeType": "dax.r7i.large"}, not: only(dynamodb)},
		{keys: "daxNodes", both: settings{"dax": "true"}, to: settings{"daxNodes": "3"}, not: only(dynamodb)},
		{keys: "serverless", to: settings{"serverless": "true"}, not: func(k kind) bool { return !nodes(k) || k.keys["shards"] != "" }},
		{keys: "serverless", to: settings{"serverless": "false"}, not: func(k kind) bool { return !cache(k) || nodes(k) }},
		{keys: "cacheNodeType", to: settings{"cacheNodeType": "cache.r7g.large"}, not: only(nodes)},
		{keys: "shards", to: settings{"shards": "3"}, not: only(replicated)}, // from 0 or 2
		{keys: "durability", both: settings{"cacheNodeType": "cache.m7g.large"}, to: settings{"durability": "async"},
			not: func(k kind) bool { return k.keys["shards"] == "" }},
		{keys: "replicas", to: settings{"replicas": "2"}, not: only(replicated)},
		{keys: "nodes", to: settings{"nodes": "3"}, not: func(k kind) bool { return !nodes(k) || replicated(k) }},
		{keys: "cacheMaxGB, cacheMaxECPU", to: settings{"cacheMaxGB": "2", "cacheMaxECPU": "9000"},
			not: func(k kind) bool { return !cache(k) || nodes(k) }},
		{keys: "minACU, maxACU", to: settings{"minACU": "1", "maxACU": "8"}, not: only(isStore(config.StorePostgres))},
	}
}

// settingsOf returns the context before and after the change of a kind.
func settingsOf(c change, k kind) (before, after settings) {
	before, after = settings{"store": string(k.stores[0])}, settings{"store": string(k.stores[0])}
	for _, s := range []settings{k.keys, c.both, c.from} {
		maps.Copy(before, s)
	}
	for _, s := range []settings{k.keys, c.both, c.to} {
		maps.Copy(after, s)
	}
	other := string(config.StoreDynamoDB)
	if k.stores[0] == config.StoreDynamoDB {
		other = string(config.StoreValkey)
	}
	switch c.keys {
	case "store":
		after = settings{"store": other}
	case "migrateTo", "migrateFrom":
		after[c.keys] = other
	}
	return before, after
}

// outcomes holds the result for each change and kind, by change.id and the index of the kind. A kind without the key has none.
type outcomes map[string]map[int]compare.Result

// computeOutcomes synthesizes the stacks before and after each wanted change, and asks the library
// behind cdk diff, which has the service specification, what CloudFormation replaces.
func computeOutcomes(ctx context.Context, wanted func(change) bool) (outcomes, error) {
	templates := map[string][]cost.Template{}
	type cell struct {
		change string
		kind   int
	}
	var cells []cell
	var updates []compare.Update
	for _, c := range changes() {
		for i, k := range kinds() {
			if c.not != nil && c.not(k) || !wanted(c) {
				continue
			}
			var names [2]string
			before, after := settingsOf(c, k)
			for n, s := range []settings{before, after} {
				names[n] = s.String()
				if templates[names[n]] != nil {
					continue
				}
				list, err := synthesize(s)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", names[n], err)
				}
				templates[names[n]] = list
			}
			cells, updates = append(cells, cell{c.id(), i}), append(updates, compare.Update{From: names[0], To: names[1]})
		}
	}
	pairs, err := compare.Differences(ctx, root, templates, updates)
	if err != nil {
		return nil, err
	}
	results := outcomes{}
	for i, c := range cells {
		if results[c.change] == nil {
			results[c.change] = map[int]compare.Result{}
		}
		results[c.change][c.kind] = pairs[i].Sessions.Result
	}
	return results, nil
}

// id returns the keys and what they change to, which is unique.
func (c change) id() string { return c.keys + ": " + c.to.String() }

// String returns the settings as arguments of the CDK, in a fixed order.
func (s settings) String() string {
	var list []string
	for _, key := range slices.Sorted(maps.Keys(s)) {
		list = append(list, key+"="+s[key])
	}
	return strings.Join(list, " ")
}

// synthesize returns the templates of the stacks. A file takes the place of the compiled programs.
func synthesize(s settings) ([]cost.Template, error) {
	folder, err := os.MkdirTemp("", "stateless-servers-reference-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	program := filepath.Join(folder, "program")
	if err := os.WriteFile(program, []byte("a program\n"), 0o755); err != nil {
		return nil, err
	}
	var file struct{ Context map[string]any }
	text, err := os.ReadFile(filepath.Join(root, "cdk.json"))
	if err == nil {
		err = json.Unmarshal(text, &file)
	}
	if err != nil {
		return nil, err
	}
	keys := map[string]any{}
	for key, value := range s {
		keys[key] = value
	}
	c, err := stacks.ParseConfig(keys)
	if err != nil {
		return nil, err
	}
	assembly := filepath.Join(folder, "cdk.out")
	app := awscdk.NewApp(&awscdk.AppProps{Context: &file.Context, Outdir: jsii.String(assembly)})
	stacks.Define(app, c, stacks.Programs{Server: program, Lab: program})
	app.Synth(nil)
	return cost.ReadAssembly(assembly)
}

// readOutcomes reads outcomesFile.
func readOutcomes() (outcomes, error) {
	text, err := os.ReadFile(outcomesFile)
	if err != nil {
		return nil, err
	}
	var results outcomes
	if err := json.Unmarshal(text, &results); err != nil {
		return nil, fmt.Errorf("%s: %w", outcomesFile, err)
	}
	return results, nil
}

// writeOutcomes computes all outcomes and writes outcomesFile.
func writeOutcomes(ctx context.Context) error {
	results, err := computeOutcomes(ctx, func(change) bool { return true })
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(results, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(outcomesFile, append(text, '\n'), 0o644)
}

const changesIntroduction = `
## What a change does to the sessions

Each row changes one key of a deployment, and each column is a store. The results are from the service specification of
CloudFormation, by the library behind ` + "`npx cdk diff`" + `. ` + "`go run ./lab compare`" + ` shows the result for any two configurations, before you
deploy.

- **in place**: sessions and service go on.
- **some**: in place, but some visitors are logged out. Memcached redistributes the sessions over its nodes, and sessions that move to
  another node are lost, a third of them for a third node.
- **address**: the sessions stay, but the application has another scheme or host name. Browsers don't send their cookies
  there, so everyone logs in again.
- **refused**: CloudFormation would have to replace the cache. It refuses, because the cache has a fixed name, and rolls back
  before it touches the servers. (According to [AWS](https://github.com/aws-cloudformation/cloudformation-coverage-roadmap/issues/918)
  it changes ` + "`replicas`" + ` of a cache with shards in place since July 2026, which the specification doesn't know yet. Either way no
  session is lost.)
- **replaced**: everyone is logged out, because the sessions are in a new store, a new cache or new servers.

` + "`vpcId`" + `, its subnets and ` + "`availabilityZones`" + ` can't be changed, because AWS doesn't move the resources. Destroy the lab first. Another
` + "`config`" + ` is another lab.

Change ` + "`shards`" + ` from one number to another on its own: CloudFormation can't undo it when something else fails in the same
deployment. A changed number in a cache without shards (0) makes another cache.

`

// changesTable returns the section about changes.
func changesTable(results outcomes) (string, error) {
	var text strings.Builder
	text.WriteString(changesIntroduction)
	head := []string{"key", "change"}
	for _, k := range kinds() {
		name := k.name
		if name == "serverless" || name == "with shards" {
			name = string(k.stores[0]) + " " + name
		}
		head = append(head, name)
	}
	row(&text, head...)
	text.WriteString(strings.Repeat("|---", len(head)) + "|\n")
	words := map[compare.Result]string{compare.SessionsKept: "in place", compare.SomeSessionsLost: "some",
		compare.NewAddress: "address", compare.UpdateRefused: "**refused**", compare.SessionsLost: "**replaced**"}
	for _, c := range changes() {
		if results[c.id()] == nil {
			return "", fmt.Errorf("%s has no outcome of %q: run go generate ./test/reference", outcomesFile, c.id())
		}
		to := "another"
		for _, value := range c.to {
			if len(c.to) == 1 && len(value) < 20 {
				to = code(value)
			}
		}
		cells := []string{code(strings.ReplaceAll(c.keys, ", ", "`, `")), to}
		for i := range kinds() {
			cells = append(cells, words[results[c.id()][i]])
		}
		row(&text, cells...)
	}
	return text.String(), nil
}
