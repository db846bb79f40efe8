package deploy

import (
	"context"
	"encoding/base64"
	"strings"
	"testing"

	"stateless-servers/session/sessiontest/must"
	"stateless-servers/session/sessiontest/storeserver"
)

// The test moves the sessions of real servers from DynamoDB to Valkey and back, with the three deployments of each migration.
// The emulator starts no servers and no cache. So the test starts servers on this machine, with the environment that the deployed
// launch template has for them, DynamoDB Local with a table of the deployed table's name, and a Valkey. (With the emulator's
// DynamoDB, the AWS SDK fails to read about one in a thousand responses to the end, and the store doesn't repeat an update.) It replaces the servers one by one after each deployment, while visitors use old and
// new servers in turn.
func TestMigration(t *testing.T) {
	ctx, a, cdk := prepareIn(t, emulate)
	fleet := newLocalFleet(ctx, t, cdk, storeserver.ForTest(t, storeserver.DynamoDB).Endpoint,
		storeserver.ForTest(t, storeserver.Valkey).Addr)

	steps := []struct {
		store, key   string
		table, cache bool // whether the deployment has them
	}{
		{"dynamodb", "", true, false},
		{"dynamodb", "migrateTo=valkey", true, true},
		{"valkey", "migrateFrom=dynamodb", true, true},
		{"valkey", "", false, true},
		{"valkey", "migrateTo=dynamodb", true, true},
		{"dynamodb", "migrateFrom=valkey", true, true},
		{"dynamodb", "", true, false},
	}
	var before map[string]string // the physical ids of the stores, by type
	for i, step := range steps {
		t.Logf("deployment %d: store=%s %s", i+1, step.store, step.key)
		var options []string
		if step.key != "" {
			options = []string{"-c", step.key}
		}
		if i == 0 {
			cdk.deploy(ctx, t)
			readBack(ctx, t, a, step.store)
		} else {
			switchStore(ctx, t, a, cdk, step.store, options...)
		}
		l := must.Get(a.deployment(ctx, step.store))(t)
		now := map[string]string{}
		for kind, want := range map[string]bool{dynamoTable: step.table, replicationGroup: step.cache} {
			id, err := l.id(kind, "")
			if (err == nil) != want {
				t.Errorf("%s: %v, want it to exist: %v", kind, err, want)
			}
			if now[kind] = id; before[kind] != "" && id != "" && before[kind] != id {
				t.Errorf("%s was replaced: %s is now %s", kind, before[kind], id)
			}
		}
		before = now
		fleet.roll(ctx, t, serverEnvironment(ctx, t, l))
	}
	if visits := fleet.visits; visits < 200 {
		t.Errorf("the visitors made %d visits, want 200 or more", visits)
	}
}

// serverEnvironment returns the environment of the servers, as KEY=value, from the deployed launch template.
func serverEnvironment(ctx context.Context, t *testing.T, l deployment) []string {
	t.Helper()
	data := must.Get(l.launchTemplate(ctx))(t)
	script := must.Get(base64.StdEncoding.DecodeString(data.text("userData")))(t)
	_, file, found := strings.Cut(string(script), "<<'ENVIRONMENT'\n")
	file, _, ends := strings.Cut(file, "ENVIRONMENT\n")
	if !found || !ends {
		t.Fatalf("the boot script has no environment:\n%s", script)
	}
	var environment []string
	for line := range strings.Lines(file) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		environment = append(environment, key+"="+strings.Trim(value, `"`))
	}
	return environment
}
