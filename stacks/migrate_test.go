package stacks

import (
	"maps"
	"reflect"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2/assertions"
	"github.com/aws/jsii-runtime-go"

	"stateless-servers/app/config"
)

// migrationSteps returns the keys of the four deployments of a migration: from alone, both twice, and to alone. The keys of
// options are those of the stores from and to.
func migrationSteps(from, to string, options map[string]any) []map[string]any {
	steps := []map[string]any{{"store": from}, {"store": from, "migrateTo": to}, {"store": to, "migrateFrom": from}, {"store": to}}
	of := map[string]string{"shards": "valkey", "billing": "dynamodb", "dax": "dynamodb"}
	for i, keys := range steps {
		for key, value := range options {
			if i == 1 || i == 2 || of[key] == keys["store"] {
				keys[key] = value
			}
		}
	}
	return steps
}

// In every step of a migration, the store that stays has the same logical ids and properties as before, so CloudFormation leaves
// it alone. The middle steps have nothing but the resources of both stores.
func TestMigrationKeepsTheStoreThatStays(t *testing.T) {
	_, memory := synth(t, variants["memory"])
	common := resources(t, memory)
	// storeResources returns the resources that a deployment has because of its stores. The alarms belong to the dashboard, which
	// is updated in place.
	storeResources := func(lab assertions.Template) map[string]cfnResource {
		found := resources(t, lab)
		maps.DeleteFunc(found, func(id string, r cfnResource) bool {
			_, shared := common[id]
			return shared || r.Type == "AWS::CloudWatch::Alarm"
		})
		return found
	}
	for _, test := range []struct {
		from, to string
		options  map[string]any
	}{
		{"dynamodb", "valkey", nil}, {"valkey", "dynamodb", nil}, {"redis", "postgres", nil}, {"postgres", "memcached", nil},
		{"memcached", "redis", nil}, {"dynamodb", "valkey", map[string]any{"shards": "2", "billing": "provisioned", "dax": "true"}},
	} {
		t.Run(test.from+" to "+test.to, func(t *testing.T) {
			var steps []map[string]cfnResource
			for _, keys := range migrationSteps(test.from, test.to, test.options) {
				_, lab := synth(t, keys)
				steps = append(steps, storeResources(lab))
			}
			before, after := steps[0], steps[3]
			if len(before) == 0 || len(after) == 0 {
				t.Fatalf("%d and %d resources, want some of each store", len(before), len(after))
			}
			both := maps.Clone(before)
			maps.Copy(both, after)
			if len(both) != len(before)+len(after) {
				t.Errorf("the stores share a logical id")
			}
			for i, step := range steps[1:3] {
				for id := range both {
					if !reflect.DeepEqual(step[id], both[id]) {
						t.Errorf("deployment %d: %s is %v, want %v", i+1, id, step[id], both[id])
					}
				}
				for id := range step {
					if _, known := both[id]; !known {
						t.Errorf("deployment %d: %s belongs to neither store", i+1, id)
					}
				}
			}
		})
	}
}

// The servers of both middle steps know both stores, and in which direction sessions move.
func TestServersKnowBothStoresOfAMigration(t *testing.T) {
	for i, keys := range migrationSteps("dynamodb", "redis", nil) {
		_, lab := synth(t, keys)
		known := strings.NewReplacer(instancePlaceholder, "i-1", zonePlaceholder, "a") // as the boot script does
		got := parseEnvironment(t, known.Replace(environmentFile(t, lab)))
		want := [][3]config.StoreKind{
			{config.StoreDynamoDB, "", ""}, {config.StoreDynamoDB, config.StoreValkey, ""},
			{config.StoreValkey, "", config.StoreDynamoDB}, {config.StoreValkey, "", ""},
		}[i]
		if stores := [3]config.StoreKind{got.Store, got.MigrateTo, got.MigrateFrom}; stores != want {
			t.Errorf("deployment %d: servers use, migrate to and migrate from %q, want %q", i, stores, want)
		}
		if has := got.DynamoDBTable != ""; has != (i < 3) {
			t.Errorf("deployment %d: servers know the table: %v, want %v", i, has, !has)
		}
		if has := got.ValkeyAddress != "" && got.ValkeyUser == "statelesslab-redis"; has != (i > 0) {
			t.Errorf("deployment %d: servers know the cache: %v, want %v", i, has, !has)
		}
	}
}

// Each middle step says which deployment follows it, with keys that are allowed.
func TestMigrationSaysWhatFollows(t *testing.T) {
	for i, want := range []string{"", "-c store=redis -c migrateFrom=dynamodb", "24h after this deployment, remove dynamodb", ""} {
		_, lab := synth(t, migrationSteps("dynamodb", "redis", nil)[i])
		output, has := (*lab.FindOutputs(jsii.String("Migration"), nil))["Migration"]
		if has != (want != "") || has && !strings.Contains((*output)["Value"].(string), want) {
			t.Errorf("deployment %d: the output is %v, want one with %q", i, output, want)
		}
	}
}

// Servers of both middle steps boot after both stores let them in.
func TestServersWaitForBothStoresOfAMigration(t *testing.T) {
	for _, variant := range []string{"dynamodb-to-valkey", "valkey-from-dynamodb"} {
		_, lab := synth(t, variants[variant])
		var needs []string
		for _, id := range onlyResource(t, lab, scalingGroup)["DependsOn"].([]any) {
			needs = append(needs, id.(string))
		}
		for _, prefix := range []string{"SessionsAccess", "ValkeyAccess", "ValkeySecurityGroup"} {
			if !strings.Contains(" "+strings.Join(needs, " "), " "+prefix) {
				t.Errorf("%s: the Auto Scaling group depends on %v, want %s too", variant, needs, prefix)
			}
		}
	}
}

// A key that both stores have is for both, but replicas, which has a meaning of its own for each, is the cache's.
func TestKeysOfBothStoresOfAMigration(t *testing.T) {
	c, err := ParseConfig(map[string]any{"migrateTo": "valkey", "replicas": "2", "billing": "provisioned", "shards": "3"})
	if err != nil || c.Cache.Replicas != 2 || c.Cache.Shards != 3 || c.DynamoDB.Billing != BillingProvisioned || c.DynamoDB.Replicas != "" {
		t.Errorf("got %+v, %v", c, err)
	}
	c, err = ParseConfig(map[string]any{"store": "valkey", "migrateFrom": "memcached", "cacheNodeType": "cache.r7g.large", "nodes": "3"})
	if err != nil || c.Cache.NodeType != "cache.r7g.large" || c.Cache.Nodes != 3 || c.Cache.Replicas != 1 {
		t.Errorf("got %+v, %v", c, err)
	}
}

func TestMigrationsThatAreRefused(t *testing.T) {
	const browsers = "not with cookie or token; these sessions are in the visitors' browsers, where servers can't move them from or to"
	const memory = "not with memory; these sessions end with their server, which a deployment replaces"
	const address = "not between valkey and redis; servers have a single address for both. Migrate to a third store, and from there"
	const regions = "not with replicas or replicaTable of dynamodb; servers in other regions would not find the moved sessions"
	for _, test := range []struct {
		keys map[string]any
		want string
	}{
		{map[string]any{"migrateTo": "nosuch"},
			`context migrateTo="nosuch": allowed is dynamodb, valkey, redis, memcached or postgres`},
		{map[string]any{"migrateTo": "dynamodb"}, `context migrateTo="dynamodb": allowed is a store other than store=dynamodb`},
		{map[string]any{"migrateTo": "valkey", "migrateFrom": "postgres"}, `context migrateTo="valkey" and migrateFrom="postgres": ` +
			`one at a time; the first deployment of a migration has migrateTo, and the second migrateFrom`},
		{map[string]any{"migrateTo": "cookie"}, `context migrateTo="cookie": ` + browsers},
		{map[string]any{"store": "token", "migrateFrom": "valkey"}, `context migrateFrom="valkey": ` + browsers},
		{map[string]any{"migrateFrom": "memory"}, `context migrateFrom="memory": ` + memory},
		{map[string]any{"store": "memory", "sticky": "true", "migrateTo": "valkey"}, `context migrateTo="valkey": ` + memory},
		{map[string]any{"store": "redis", "migrateTo": "valkey"}, `context migrateTo="valkey": ` + address},
		{map[string]any{"store": "valkey", "migrateFrom": "redis"}, `context migrateFrom="redis": ` + address},
		{map[string]any{"replicas": "eu-west-1", "migrateTo": "postgres"}, `context migrateTo="postgres": ` + regions},
		{map[string]any{"store": "valkey", "migrateFrom": "dynamodb", "replicaTable": "sessions"},
			`context migrateFrom="dynamodb": ` + regions},
		{map[string]any{"replicas": "eu-west-1", "migrateTo": "valkey"},
			`context replicas="eu-west-1": allowed is a whole number from 1 to 5`},
		{map[string]any{"migrateTo": "valkey", "minACU": "1"}, `context minACU="1": only with store=postgres`},
	} {
		if _, err := ParseConfig(test.keys); err == nil || err.Error() != test.want {
			t.Errorf("%v: got\n%v\nwant\n%s", test.keys, err, test.want)
		}
	}
}
