package stacks

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/assertions"
	"github.com/aws/jsii-runtime-go"

	"stateless-servers/session/sessiontest"
	"stateless-servers/session/sessiontest/must"
)

var update = flag.Bool("update", false, "rewrite the golden templates in testdata")

// The CDK runs in one Node process for the whole test binary. Its protocol isn't safe for concurrent use, so these tests
// must not use t.Parallel. The Node process exits with this one. Closing jsii at the end would be a data race within jsii,
// so TestMain makes jsii put its files into a folder that it can remove: it closes jsii once, because jsii created a folder
// when it was loaded, and creates a new one in TMPDIR after that.
func TestMain(m *testing.M) {
	os.Setenv("CDK_VALIDATION", "false") // validation takes most of the time of a synthesis; TestApp turns it on
	folder, err := os.MkdirTemp("", "stacks")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	jsii.Close()
	os.Setenv("TMPDIR", folder)
	code := m.Run()
	os.RemoveAll(folder)
	os.Exit(code)
}

const certificate = "arn:aws:acm:eu-central-1:123456789012:certificate/01234567-89ab-cdef-0123-456789abcdef"

// variants are the configurations with golden templates.
var variants = map[string]map[string]any{
	"dynamodb": {},
	"valkey":   {"store": "valkey"},
	"dynamodb-production": {"stage": "production", "certificateArn": certificate, "zones": "3",
		"egress": "endpoints-only"},
	"dynamodb-provisioned": {"billing": "provisioned", "customerKey": "true"},
	"dynamodb-replicas":    {"replicas": "eu-west-1,us-east-1", "billing": "provisioned"},
	"dynamodb-replica":     {"replicaTable": "StatelessLab-SessionsTable"},
	"dynamodb-dax":         {"dax": "true", "customerKey": "true"},
	"valkey-serverless":    {"store": "valkey", "serverless": "true", "cacheMaxGB": "2", "cacheMaxECPU": "9000"},
	"redis-serverless": {"store": "redis", "serverless": "true", "stage": "production",
		"certificateArn": certificate},
	"valkey-cluster":       {"store": "valkey", "shards": "2", "replicas": "2", "zones": "3"},
	"redis":                {"store": "redis"},
	"memcached":            {"store": "memcached"},
	"memcached-serverless": {"store": "memcached", "serverless": "true"},
	"postgres":             {"store": "postgres"},
	"postgres-production":  {"store": "postgres", "stage": "production", "certificateArn": certificate},
	"cookie":               {"store": "cookie"},
	"token":                {"store": "token"},
	"token-dynamodb":       {"store": "token", "revocation": "dynamodb"},
	"token-valkey":         {"store": "token", "revocation": "valkey"},
	"spot":                 {"spotPercent": "60", "instanceType": "t4g.small,c7g.medium"},
	"edge": {"domain": "lab.example.com", "hostedZoneId": "Z0123456789ABCDEFGHIJ", "waf": "true",
		"alarmEmail": "ops@example.com"},
	"cloudfront":         {"cloudfront": "true", "waf": "true"},
	"cognito":            {"login": "cognito", "domain": "lab.example.com", "hostedZoneId": "Z0123456789ABCDEFGHIJ"},
	"cognito-production": {"login": "cognito", "store": "token", "cloudfront": "true", "stage": "production"},
	"loaders":            {"loaders": "3", "egress": "nat-instance"},
	"spending": {"budget": "50", "alarmEmail": "ops@example.com", "waf": "true", "rateLimit": "2000", "cpuCredits": "standard",
		"maxReads": "400", "maxWrites": "100"},
	"memory":            {"store": "memory", "sticky": "true"},
	"valkey-production": {"store": "valkey", "stage": "production", "certificateArn": certificate},
	"own-vpc": {"store": "valkey", "vpcId": "vpc-0123456789abcdef0", "availabilityZones": "eu-central-1a,eu-central-1c",
		"balancerSubnets": "subnet-0123456789abcdef1,subnet-0123456789abcdef2",
		"fleetSubnets":    "subnet-0123456789abcdef3,subnet-0123456789abcdef4",
		"storeSubnets":    "subnet-0123456789abcdef5,subnet-0123456789abcdef6",
		"certificateArn":  certificate, "allowFrom": "192.0.2.0/24,198.51.100.7/32"},
	"governed": {"availabilityZones": "eu-central-1a,eu-central-1c", "login": "cognito", "cloudfront": "true",
		"permissionsBoundary": "arn:aws:iam::123456789012:policy/boundary", "tags": "team=web,cost-center=42",
		"egress": "nat-instance"},
	"dynamodb-to-valkey":      {"migrateTo": "valkey"},
	"valkey-from-dynamodb":    {"store": "valkey", "migrateFrom": "dynamodb"},
	"memcached-from-postgres": {"store": "memcached", "migrateFrom": "postgres"},
	"valkey-durable":          {"store": "valkey", "durability": "sync", "shards": "1", "cacheNodeType": "cache.m7g.large"},
	"weighted-random":         {"algorithm": "weighted_random", "zonalShift": "false"},
	"postgres-unprotected":    {"store": "postgres", "stage": "production", "protect": "false", "certificateArn": certificate},
}

// synth returns the templates of the network and the lab for keys of the context.
func synth(t *testing.T, keys map[string]any) (network, lab assertions.Template) {
	t.Helper()
	templates := synthAll(t, keys)
	return templates["StatelessNetwork"], templates["StatelessLab"]
}

// synthesized caches the templates of all stacks, because a synthesis takes a third of a second.
var synthesized = map[Config]map[string]assertions.Template{}

// contextOf returns a context with the keys. Those of production are in a file, with HTTPS, because the stacks refuse them
// elsewhere.
func contextOf(t *testing.T, keys map[string]any) map[string]any {
	t.Helper()
	if keys["stage"] != "production" {
		return keys
	}
	keys = maps.Clone(keys)
	if keys["domain"] == nil && keys["cloudfront"] == nil {
		keys["certificateArn"] = certificate
	}
	return map[string]any{"config": writeConfig(t, "production", keys)}
}

// writeConfig writes the file of a named configuration and returns its path.
func writeConfig(t *testing.T, name string, keys map[string]any) string {
	t.Helper()
	text := must.Get(json.Marshal(keys))(t)
	file := filepath.Join(t.TempDir(), name+".json")
	must.Succeed(t, os.WriteFile(file, text, 0o644))
	return file
}

// readConfig returns the Config of contextOf(keys).
func readConfig(t *testing.T, keys map[string]any) Config {
	t.Helper()
	return must.Get(ReadConfig(t.Context(), contextOf(t, keys), ""))(t)
}

// synthAll returns the templates of all stacks, by the names that the stacks have without a named configuration.
func synthAll(t *testing.T, keys map[string]any) map[string]assertions.Template {
	t.Helper()
	c := readConfig(t, keys)
	if synthesized[c] == nil {
		templates := map[string]assertions.Template{}
		app := defineStacks(t, keys)
		for _, stack := range stacksOf(app) {
			name := *stack.StackName()
			if kind, named := strings.CutPrefix(name, c.Name+"-"); named && c.Name != "" {
				name = Config{}.stackName(kind)
			}
			templates[name] = assertions.Template_FromStack(stack, nil)
		}
		synthesized[c] = templates
	}
	return synthesized[c]
}

// defineStacks defines the stacks as main does, with the context of cdk.json and the given keys, and with a file instead of
// each program.
func defineStacks(t *testing.T, keys map[string]any) awscdk.App {
	t.Helper()
	return defineConfig(t, readConfig(t, keys), keys)
}

// defineConfig defines the stacks of a Config. More keys of the context may be the CDK's own.
func defineConfig(t *testing.T, c Config, keys ...map[string]any) awscdk.App {
	t.Helper()
	folder := t.TempDir()
	program := filepath.Join(folder, "program.bin")
	must.Succeed(t, os.WriteFile(program, []byte("a server\n"), 0o755))
	context := cdkContext(t, nil)
	for _, keys := range keys {
		maps.Copy(context, keys)
	}
	app := awscdk.NewApp(&awscdk.AppProps{Context: &context, Outdir: jsii.String(filepath.Join(folder, "out"))})
	Define(app, c, Programs{Server: program, Lab: program})
	return app
}

func stacksOf(app awscdk.App) (list []awscdk.Stack) {
	for _, child := range *app.Node().Children() {
		if stack, ok := child.(awscdk.Stack); ok {
			list = append(list, stack)
		}
	}
	return list
}

// cdkContext returns the context of cdk.json with the given keys added.
func cdkContext(t *testing.T, keys map[string]any) map[string]any {
	t.Helper()
	var file struct{ Context map[string]any }
	text, err := os.ReadFile("../cdk.json")
	if err == nil {
		err = json.Unmarshal(text, &file)
	}
	must.Succeed(t, err)
	maps.Copy(file.Context, keys)
	return file.Context
}

// expect turns the panic of a failed CDK assertion into a failure of the test.
func expect(t *testing.T, assertion func()) {
	t.Helper()
	defer func() {
		t.Helper()
		if failed := recover(); failed != nil {
			t.Fatal(failed)
		}
	}()
	assertion()
}

// expectProperties checks that the template has a resource of the type with at least these properties.
func expectProperties(t *testing.T, template assertions.Template, kind string, properties map[string]any) {
	t.Helper()
	expect(t, func() { template.HasResourceProperties(jsii.String(kind), properties) })
}

// onlyResource returns the only resource of a type, as JSON.
func onlyResource(t *testing.T, template assertions.Template, kind string) map[string]any {
	t.Helper()
	found := *template.FindResources(jsii.String(kind), nil)
	if len(found) != 1 {
		t.Fatalf("%d resources of type %s, want 1", len(found), kind)
	}
	for _, resource := range found {
		return *resource
	}
	panic("unreachable")
}

// dig returns the value at a path of keys (strings) and indexes (ints) in JSON. It fails the test if there is none.
func dig(t *testing.T, value any, path ...any) any {
	t.Helper()
	for i, step := range path {
		switch step := step.(type) {
		case string:
			object, _ := value.(map[string]any)
			value = object[step]
		case int:
			list, _ := value.([]any)
			if step >= len(list) {
				t.Fatalf("nothing at %v", path[:i+1])
			}
			value = list[step]
		}
		if value == nil {
			t.Fatalf("nothing at %v", path[:i+1])
		}
	}
	return value
}

// attribute returns the value that a load balancer or target group has for a key.
func attribute(t *testing.T, resource map[string]any, list, key string) string {
	t.Helper()
	for _, entry := range dig(t, resource, "Properties", list).([]any) {
		if dig(t, entry, "Key") == key {
			return fmt.Sprint(dig(t, entry, "Value"))
		}
	}
	t.Fatalf("no attribute %s", key)
	return ""
}

func TestGoldenTemplates(t *testing.T) {
	for name, keys := range variants {
		t.Run(name, func(t *testing.T) {
			c, templates := readConfig(t, keys), synthAll(t, keys)
			if load, has := templates["StatelessLoad"]; has {
				checkGolden(t, "load.json", load)
			}
			if network, has := templates["StatelessNetwork"]; has {
				file := fmt.Sprintf("network-%s-%d-zones-%s.json", c.Stage, c.Zones, c.Egress)
				if c.AvailabilityZones != "" {
					file = "network-" + name + ".json"
				}
				checkGolden(t, file, network)
			}
			checkGolden(t, name+".json", templates["StatelessLab"])
		})
	}
}

func checkGolden(t *testing.T, name string, template assertions.Template) {
	t.Helper()
	got := must.Get(json.MarshalIndent(template.ToJSON(), "", " "))(t)
	got = append(got, '\n')
	file := filepath.Join("testdata", name)
	if *update {
		must.Succeed(t, os.WriteFile(file, got, 0o644))
	}
	want := must.Get(os.ReadFile(file))(t)
	if string(got) == string(want) {
		return
	}
	gotLines, wantLines := strings.Split(string(got), "\n"), strings.Split(string(want), "\n")
	for i := range gotLines {
		if i >= len(wantLines) || gotLines[i] != wantLines[i] {
			t.Fatalf("%s differs from line %d on: got %s\nIf that is intended: go test ./stacks -run Golden -update",
				file, i+1, strings.TrimSpace(gotLines[i]))
		}
	}
	t.Fatalf("%s has more lines than the template", file)
}

func TestCfnLintFindsNoErrors(t *testing.T) {
	sessiontest.Long(t)
	lint := requireProgram(t, "cfn-lint", "make setup")
	setup, err := os.ReadFile("../test/setup")
	must.Succeed(t, err)
	pin := between(t, string(setup), "\ncfn_lint_version=", "\n")
	if version, err := exec.Command(lint, "--version").Output(); strings.TrimSpace(string(version)) != "cfn-lint "+pin {
		t.Fatalf("%s is %q (%v), want version %s: make setup installs it in .build/tools", lint, version, err, pin)
	}
	templates, err := filepath.Glob("testdata/*.json")
	if err != nil || len(templates) <= len(variants) {
		t.Fatalf("templates to lint: %q, %v", templates, err)
	}
	arguments := append([]string{"--non-zero-exit-code", "error", "--"}, templates...)
	if output, err := exec.Command(lint, arguments...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
}

// requireProgram returns the path of a program that a test needs.
func requireProgram(t *testing.T, name, install string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("this test needs %s: %s", name, install)
	}
	return path
}
