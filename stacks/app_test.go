package stacks

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"stateless-servers/session/sessiontest"
	"stateless-servers/session/sessiontest/must"
)

// TestApp runs the CDK app as "npx cdk" does, with the CDK's validation, in a module with a small server.
func TestApp(t *testing.T) {
	program := filepath.Join(t.TempDir(), "cdk-app")
	if output, err := exec.Command("go", "build", "-o", program, "stateless-servers").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	tests := []struct {
		name   string
		server string // the body of its main function
		keys   map[string]any
		stderr string // its end
		code   int
	}{
		{"defaults", "part.Say()", nil, "", 0},
		{"valkey in production", "part.Say()", variants["valkey-production"], "", 0},
		{"the baseline", "part.Say()", variants["memory"], "", 0},
		{"loaders", "part.Say()", variants["loaders"], "", 0},
		{"bad context", "part.Say()", map[string]any{"sotre": "valkey", "store": "nosuch"},
			"context sotre=\"valkey\": no such key; allowed are config, store, migrateTo, migrateFrom, revocation, sticky, stage, protect, server, certificateArn, domain, hostedZoneId, cloudfront, allowFrom, " +
				"algorithm, zonalShift, waf, login, instanceType, spotPercent, minServers, maxServers, availabilityZones, " +
				"vpcId, balancerSubnets, fleetSubnets, storeSubnets, zones, egress, natInstanceType, permissionsBoundary, tags, alarmEmail, budget, rateLimit, cpuCredits, loaders, loadRate, loadDuration, " +
				"loadSessions, loadMix, loadHistory, loaderInstanceType, billing, minUnits, maxUnits, maxReads, maxWrites, customerKey, replicas, " +
				"replicaTable, dax, daxNodeType, daxNodes, serverless, cacheNodeType, shards, durability, nodes, cacheMaxGB, cacheMaxECPU, minACU, maxACU\n" +
				"context store=\"nosuch\": allowed is dynamodb, valkey, redis, memcached, postgres, cookie, token or memory\n", 1},
		{"a replica in the lab's own region", "part.Say()", map[string]any{"replicas": "eu-west-1,eu-central-1"},
			"context replicas=\"eu-west-1,eu-central-1\": allowed are regions other than eu-central-1, which the lab is " +
				"deployed to\n", 1},
		{"another server", "part.Sing()", map[string]any{"server": "./lab"}, "", 0}, // ./app doesn't compile
		{"a server that is no program", "part.Say()", map[string]any{"server": "./part"},
			"context server=\"./part\": allowed is the folder of a Go program: its package is part, want main\n", 1},
		{"another server that doesn't compile", "part.Sing()", map[string]any{"server": "./app/"},
			"undefined: part.Sing\nbuilding ./app/ for linux/arm64: exit status 1\n", 1},
		{"a server that doesn't compile", "part.Sing()", nil,
			"undefined: part.Sing\nbuilding ./app for linux/arm64: exit status 1\n", 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.code == 0 && test.keys != nil {
				sessiontest.Long(t) // validation takes most of a synthesis
			}
			context, err := json.Marshal(cdkContext(t, contextOf(t, test.keys)))
			must.Succeed(t, err)
			app := exec.CommandContext(t.Context(), program)
			app.Dir = module(t, test.server)
			app.Env = append(os.Environ(), "CDK_VALIDATION=true", "CDK_CONTEXT_JSON="+string(context), "CDK_OUTDIR=cdk.out",
				"CDK_DEFAULT_REGION=eu-central-1", "CDK_CLI_VERSION=2")
			if test.keys != nil {
				app.Env = append(app.Env, "CDK_DEFAULT_ACCOUNT=111122223333")
			}
			var stderr strings.Builder
			app.Stderr = &stderr
			if err := app.Run(); app.ProcessState.ExitCode() != test.code {
				t.Fatalf("%v, want exit code %d\n%s", err, test.code, &stderr)
			}
			if !strings.HasSuffix(stderr.String(), test.stderr) || strings.Contains(stderr.String(), "goroutine") {
				t.Errorf("got:\n%s\nwant at the end:\n%s", &stderr, test.stderr)
			}
			if hint := strings.Contains(stderr.String(), "no AWS credentials"); hint != (test.keys == nil && test.code == 0) {
				t.Errorf("it says that there are no credentials: %v\n%s", hint, &stderr)
			}
			templates, err := filepath.Glob(filepath.Join(app.Dir, "cdk.out", "*.template.json"))
			want := 2 * (1 - test.code)
			if test.keys["loaders"] != nil {
				want++
			}
			if err != nil || len(templates) != want {
				t.Errorf("templates %q, %v", templates, err)
			}
		})
	}
}
