package deploy

import (
	"context"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"stateless-servers/session/sessiontest/must"
)

// unchecked lists properties that no emulator can check.
const unchecked = `An emulator says nothing about: servers, since none is started, and so boot, signals, rolling update
and scaling; networks, since no packet moves; permissions, since all are granted; stores, since none answers; how the
access logs are encrypted, since S3 always says AES256; prices and quotas.`

// others returns the options of all stores except DynamoDB, by name.
func others() map[string][]string {
	return map[string][]string{
		"valkey": nil, "redis": nil, "memcached": nil, "postgres": nil, "cookie": nil, "token": nil,
		"memory": {"-c", "sticky=true"},
	}
}

// options returns options that switching the store does not cover.
func options() []string {
	return []string{"-c", "egress=nat-instance", "-c", "waf=true", "-c", "rateLimit=60000",
		"-c", "alarmEmail=nobody@example.com", "-c", "budget=50",
		"-c", "billing=provisioned", "-c", "loaders=1"}
}

// The test deploys the stacks, reads them back, compares, switches to every other store and back, and destroys them.
func TestDeploy(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: make check and make test-deploy run this test")
	}
	ctx, stop := signal.NotifyContext(t.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	start := time.Now()
	a, environment, emulated := connect(ctx, t)
	identity := must.Get(sts.NewFromConfig(a.config).GetCallerIdentity(ctx, nil))(t)
	number := aws.ToString(identity.Account)
	cdk := newCommandLine(ctx, t, environment)
	cdk.bootstrap(ctx, t, number, a.config.Region)
	before := inventory(ctx, t, a)

	cdk.deploy(ctx, t) // validated
	cdk.environment = append(cdk.environment, "CDK_VALIDATION=false")
	readBack(ctx, t, a, "dynamodb")
	if emulated {
		findTwins(ctx, t, a, cdk, number, "dynamodb")
	}
	if text := cdk.diff(ctx, t, false); !strings.Contains(text, "differences: 0") {
		t.Errorf("the deployment differs from what was just deployed:\n%s", text)
	}
	text := cdk.diff(ctx, t, true, "-c", "store=valkey")
	for _, change := range []string{"[+] AWS::ElastiCache::ReplicationGroup", "[-] AWS::DynamoDB::GlobalTable"} {
		if !strings.Contains(text, change) {
			t.Errorf("the difference to another store lacks %q:\n%s", change, text)
		}
	}
	for _, store := range slices.Sorted(maps.Keys(others())) {
		switchStore(ctx, t, a, cdk, store, others()[store]...)
		if emulated {
			findTwins(ctx, t, a, cdk, number, store)
		}
		switchStore(ctx, t, a, cdk, "dynamodb")
	}

	everything := options()
	cdk.deploy(ctx, t, everything...)
	readBack(ctx, t, a, "dynamodb")

	cdk.destroy(ctx, t, everything...)
	rest := left(before, inventory(ctx, t, a))
	for _, name := range rest {
		t.Log("retained: " + name)
		if !retained(name) {
			t.Errorf("%s is retained, but docs/destroy.md doesn't say so", name)
		}
	}
	if len(rest) != 3 {
		t.Errorf("%d resources are retained, want 3: the buckets of the access logs and of the loaders' results, and the servers' log", len(rest))
	}
	t.Logf("%7s  total", seconds(time.Since(start)))
	t.Log(unchecked)
}

// connect starts an emulator, or uses the endpoint in AWS_ENDPOINT_URL with the credentials of the user who runs
// the test.
func connect(ctx context.Context, t *testing.T) (a account, environment []string, emulated bool) {
	t.Helper()
	if endpoint := os.Getenv("AWS_ENDPOINT_URL"); endpoint != "" {
		t.Log("using the endpoint " + endpoint)
		loaded := must.Get(config.LoadDefaultConfig(ctx, config.WithBaseEndpoint(endpoint)))(t)
		return newAccount(loaded), os.Environ(), false
	}
	a, environment = emulate(ctx, t)
	return a, environment, true
}

// emulate starts an emulator, and returns its account and the environment of programs that use it.
func emulate(ctx context.Context, t *testing.T) (a account, environment []string) {
	t.Helper()
	endpoint := startEmulator(ctx, t)
	const region, key = "us-east-1", "test"
	environment = append(cleanEnvironment(), "AWS_ENDPOINT_URL="+endpoint, "AWS_REGION="+region,
		"AWS_ACCESS_KEY_ID="+key, "AWS_SECRET_ACCESS_KEY="+key, "AWS_EC2_METADATA_DISABLED=true",
		"AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null")
	return newAccount(aws.Config{
		Region: region, BaseEndpoint: aws.String(endpoint),
		Credentials: credentials.NewStaticCredentialsProvider(key, key, ""),
	}), environment
}

// switchStore switches to another store in one update, and reads the deployment back.
func switchStore(ctx context.Context, t *testing.T, a account, cdk commandLine, store string, options ...string) {
	t.Helper()
	before := must.Get(a.events(ctx, ""))(t)
	cdk.deploy(ctx, t, append([]string{"-c", "store=" + store}, options...)...)
	events := must.Get(a.events(ctx, aws.ToString(before[len(before)-1].EventId)))(t)
	if err := switchedInOrder(events); err != nil {
		t.Errorf("to %s: %v", store, err)
	}
	readBack(ctx, t, a, store)
}

// readBack checks every promise about the deployment with the store.
func readBack(ctx context.Context, t *testing.T, a account, store string) {
	t.Helper()
	l := must.Get(a.deployment(ctx, store))(t)
	for name, err := range broken(ctx, l) {
		t.Errorf("%s: the promise %q is broken: %v", store, name, err)
	}
}

// findTwins deploys a template that breaks every promise of the store, and checks that each is found broken. Then it
// restores the lab.
func findTwins(ctx context.Context, t *testing.T, a account, cdk commandLine, number, store string) {
	t.Helper()
	right := cdk.template(t, a.stackName("Lab"))
	wrong := must.Get(parseTemplate(right))(t)
	var names []string
	for _, p := range promises() {
		if p.appliesTo(store) {
			p.twin(wrong)
			names = append(names, p.name)
		}
	}
	// A fixed name forbids the replacement of a cache, which some twins need.
	for kind, name := range map[string]string{"AWS::ElastiCache::ReplicationGroup": "ReplicationGroupId", "AWS::ElastiCache::CacheCluster": "ClusterName"} {
		set(kind, name, nil)(wrong)
	}
	if err := a.apply(ctx, number, wrong); err != nil {
		t.Fatalf("%s: deploying the broken twin: %v", store, err)
	}
	l := must.Get(a.deployment(ctx, store))(t)
	found := broken(ctx, l)
	for _, name := range names {
		if found[name] == nil {
			t.Errorf("%s: a template that breaks the promise %q was deployed, but the check passes", store, name)
		}
	}
	restored := must.Get(parseTemplate(right))(t)
	if err := a.apply(ctx, number, restored); err != nil {
		t.Fatalf("%s: undoing the broken twin: %v", store, err)
	}
	readBack(ctx, t, a, store)
	t.Logf("%s: checked %d broken promises", store, len(names))
}

func inventory(ctx context.Context, t *testing.T, a account) []string {
	t.Helper()
	names := must.Get(a.inventory(ctx))(t)
	return slices.Clip(names)
}
