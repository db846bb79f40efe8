package deploy

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	balancing "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"stateless-servers/session/sessiontest/must"
)

// prepare starts an emulator, bootstraps the account and returns the command line. The test is a long one.
func prepare(t *testing.T) (context.Context, account, commandLine) {
	t.Helper()
	return prepareIn(t, func(ctx context.Context, t *testing.T) (account, []string) {
		a, environment, _ := connect(ctx, t)
		return a, environment
	})
}

// prepareIn does the same in the account that open returns, with the environment for the command line.
func prepareIn(t *testing.T, open func(context.Context, *testing.T) (account, []string)) (context.Context, account, commandLine) {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: make check and make test-deploy run this test")
	}
	ctx, stop := signal.NotifyContext(t.Context(), os.Interrupt, syscall.SIGTERM)
	t.Cleanup(stop)
	a, environment := open(ctx, t)
	identity := must.Get(sts.NewFromConfig(a.config).GetCallerIdentity(ctx, nil))(t)
	cdk := newCommandLine(ctx, t, append(environment, "CDK_VALIDATION=false"))
	cdk.bootstrap(ctx, t, aws.ToString(identity.Account), a.config.Region)
	return ctx, a, cdk
}

// stack returns the state of a stack.
func (a account) stack(ctx context.Context, t *testing.T, name string) types.Stack {
	t.Helper()
	response, err := a.cloudformation.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: aws.String(name)})
	if err != nil || len(response.Stacks) != 1 {
		t.Fatalf("stack %s: %v", name, err)
	}
	return response.Stacks[0]
}

// expectStatus checks the status of the lab's stack.
func (a account) expectStatus(ctx context.Context, t *testing.T, want types.StackStatus) {
	t.Helper()
	if got := a.stack(ctx, t, a.stackName("Lab")); got.StackStatus != want {
		t.Fatalf("%s is %s (%s), want %s", a.stackName("Lab"), got.StackStatus, aws.ToString(got.StackStatusReason), want)
	}
}

// logs calls the API of CloudWatch Logs.
func (a account) logs(ctx context.Context, t *testing.T, action, body string) {
	t.Helper()
	header := http.Header{"Content-Type": {"application/x-amz-json-1.1"}, "X-Amz-Target": {"Logs_20140328." + action}}
	must.Get(a.call(ctx, "logs", http.MethodPost, "/", header, body))(t)
}

// The servers of a first deployment of production fail to boot. docs/deploy.md says how to recover from that, and how to end a
// production that is protected.
func TestProductionFailsRecoversAndEnds(t *testing.T) {
	ctx, a, cdk := prepare(t)
	before := inventory(ctx, t, a)
	file := filepath.Join(t.TempDir(), "production.json")
	const configuration = `{"store": "postgres", "stage": "production",
		"certificateArn": "arn:aws:acm:us-east-1:123456789012:certificate/01234567-89ab-cdef-0123-456789abcdef"}`
	must.Succeed(t, os.WriteFile(file, []byte(configuration), 0o600))
	a.stacks = "production-"
	production := []string{"-c", "config=" + file}
	unprotected := append(slices.Clone(production), "-c", "protect=false")
	all := []string{"--all", "--require-approval", "never", "--method=direct"}
	const obstacle = `{"logGroupName":"servers-that-fail"}` // see emulator/completions.py
	a.logs(ctx, t, "CreateLogGroup", obstacle)

	// Protected from the start: CloudFormation can't delete what it has created.
	cdk.cdk(ctx, t, 1, "deploy", append(slices.Clone(all), production...)...)
	a.expectStatus(ctx, t, types.StackStatusRollbackFailed)
	cdk.cdk(ctx, t, 1, "deploy", append(slices.Clone(all), unprotected...)...)
	a.recoverLab(ctx, t)

	// With protect=false a failed first deployment needs nothing but another one.
	cdk.cdk(ctx, t, 1, "deploy", append(slices.Clone(all), unprotected...)...)
	a.expectStatus(ctx, t, types.StackStatusRollbackComplete)
	if kept := slices.DeleteFunc(left(before, inventory(ctx, t, a)), func(name string) bool { return !strings.Contains(name, "FleetLog") }); len(kept) == 0 {
		t.Error("a failed first deployment leaves no log of its servers' boot")
	}
	a.logs(ctx, t, "DeleteLogGroup", obstacle)
	cdk.deploy(ctx, t, unprotected...)
	a.expectStatus(ctx, t, types.StackStatusCreateComplete)

	// The second deployment arms the protection, and the end needs a third one that disarms it.
	cdk.deploy(ctx, t, production...)
	for _, name := range []string{a.stackName("Network"), a.stackName("Lab")} {
		if !aws.ToBool(a.stack(ctx, t, name).EnableTerminationProtection) {
			t.Errorf("%s has no termination protection", name)
		}
	}
	if cluster := a.cluster(ctx, t); !cluster {
		t.Error("the database has no deletion protection")
	}
	cdk.cdk(ctx, t, 1, "destroy", append([]string{"--all", "--force"}, production...)...)
	cdk.deploy(ctx, t, unprotected...)
	if cluster := a.cluster(ctx, t); cluster {
		t.Error("the database still has deletion protection")
	}
	cdk.destroy(ctx, t, unprotected...)
	for _, name := range left(before, inventory(ctx, t, a)) {
		t.Log("retained: " + name)
		if !retainedInProduction(name) {
			t.Errorf("%s is retained, but docs/destroy.md doesn't say so", name)
		}
	}
	t.Log("The emulator boots no server: it only pretends that servers fail. Without the additions in completions.py it deletes what is protected.")
}

// retainedInProduction reports whether docs/destroy.md says that the resource is retained.
func retainedInProduction(name string) bool {
	return retained(name) || strings.HasPrefix(name, "key ") || strings.HasPrefix(name, "database snapshot production-lab-postgres")
}

// cluster reports whether the database is protected from deletion.
func (a account) cluster(ctx context.Context, t *testing.T) bool {
	t.Helper()
	l := must.Get(a.deployment(ctx, "postgres"))(t)
	cluster := must.Get(l.dbCluster(ctx))(t)
	return aws.ToBool(cluster.DeletionProtection)
}

// recoverLab does what docs/deploy.md says about a protected first deployment that failed: it disarms the database, the
// load balancer and the stack, and deletes the stack.
func (a account) recoverLab(ctx context.Context, t *testing.T) {
	t.Helper()
	clusters := must.Get(a.rds.DescribeDBClusters(ctx, nil))(t)
	for _, cluster := range clusters.DBClusters {
		if _, err := a.rds.ModifyDBCluster(ctx, &rds.ModifyDBClusterInput{DBClusterIdentifier: cluster.DBClusterIdentifier,
			DeletionProtection: aws.Bool(false)}); err != nil {
			t.Fatal(err)
		}
	}
	balancers := must.Get(a.elb.DescribeLoadBalancers(ctx, nil))(t)
	for _, balancer := range balancers.LoadBalancers {
		if _, err := a.elb.ModifyLoadBalancerAttributes(ctx, &elb.ModifyLoadBalancerAttributesInput{LoadBalancerArn: balancer.LoadBalancerArn,
			Attributes: []balancing.LoadBalancerAttribute{{Key: aws.String("deletion_protection.enabled"), Value: aws.String("false")}}}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := a.cloudformation.UpdateTerminationProtection(ctx, &cloudformation.UpdateTerminationProtectionInput{
		StackName: aws.String(a.stackName("Lab")), EnableTerminationProtection: aws.Bool(false)}); err != nil {
		t.Fatal(err)
	}
	id := a.stack(ctx, t, a.stackName("Lab")).StackId
	must.Get(a.cloudformation.DeleteStack(ctx, &cloudformation.DeleteStackInput{StackName: aws.String(a.stackName("Lab"))}))(t)
	quickly := func(o *cloudformation.StackDeleteCompleteWaiterOptions) {
		o.MinDelay, o.MaxDelay = 200*time.Millisecond, time.Second
	}
	waiter := cloudformation.NewStackDeleteCompleteWaiter(a.cloudformation, quickly)
	if err := waiter.Wait(ctx, &cloudformation.DescribeStacksInput{StackName: id}, 2*time.Minute); err != nil {
		t.Fatalf("deleting %s: %v", a.stackName("Lab"), err)
	}
	// The emulator forgets what the rollback couldn't delete. CloudFormation deletes it with the stack.
	for _, balancer := range balancers.LoadBalancers {
		must.Get(a.elb.DeleteLoadBalancer(ctx, &elb.DeleteLoadBalancerInput{LoadBalancerArn: balancer.LoadBalancerArn}))(t)
	}
}

// CloudFormation refuses to replace a cache, before it changes a server, and resizes it where it can. The emulator doesn't know
// the update policy UseOnlineResharding, so it takes a changed number of shards for a replacement; AWS changes it in place.
func TestCacheIsResized(t *testing.T) {
	ctx, a, cdk := prepare(t)
	cluster := []string{"-c", "store=valkey", "-c", "shards=3"}
	cdk.deploy(ctx, t, cluster...)
	name, machine := a.cacheAndMachine(ctx, t, replicationGroup)
	output := cdk.cdk(ctx, t, 1, "deploy", "--all", "--require-approval", "never", "--method=direct", "-c", "store=valkey", "-c", "shards=4")
	if !strings.Contains(strings.Join(strings.Fields(output), " "), "custom-named resource requires replacing") {
		t.Errorf("the deployment fails for another reason:\n%s", output)
	}
	a.expectStatus(ctx, t, types.StackStatusUpdateRollbackComplete)
	if nextName, nextMachine := a.cacheAndMachine(ctx, t, replicationGroup); nextName != name || nextMachine != machine {
		t.Errorf("the refused deployment changes %s, %s to %s, %s", name, machine, nextName, nextMachine)
	}
	cdk.deploy(ctx, t, append(cluster, "-c", "replicas=2")...)
	if next, _ := a.cacheAndMachine(ctx, t, replicationGroup); next != name {
		t.Errorf("with another replica the cache is %s, want still %s", next, name)
	}

	cdk.deploy(ctx, t, "-c", "store=memcached")
	name, _ = a.cacheAndMachine(ctx, t, cacheCluster)
	cdk.deploy(ctx, t, "-c", "store=memcached", "-c", "nodes=3")
	if next, _ := a.cacheAndMachine(ctx, t, cacheCluster); next != name {
		t.Errorf("with another node the cache is %s, want still %s", next, name)
	}
	cdk.deploy(ctx, t, "-c", "store=memcached", "-c", "nodes=3", "-c", "cacheNodeType=cache.t4g.small")
	if next, _ := a.cacheAndMachine(ctx, t, cacheCluster); next == name {
		t.Error("with another node type the cluster is still the same, want a new one")
	}
	cdk.deploy(ctx, t, "-c", "store=valkey", "-c", "serverless=true")
	name, _ = a.cacheAndMachine(ctx, t, "AWS::ElastiCache::ServerlessCache")
	cdk.deploy(ctx, t, "-c", "store=valkey", "-c", "serverless=true", "-c", "zones=3")
	if next, _ := a.cacheAndMachine(ctx, t, "AWS::ElastiCache::ServerlessCache"); next == name {
		t.Error("in another zone the serverless cache has the same name, want another")
	}
}

// cacheAndMachine returns the name of the cache, and the version of the servers' launch template.
func (a account) cacheAndMachine(ctx context.Context, t *testing.T, kind string) (cache, machine string) {
	t.Helper()
	l := must.Get(a.deployment(ctx, "valkey"))(t)
	cache = must.Get(l.id(kind, ""))(t)
	group := must.Get(l.group(ctx))(t)
	return cache, fmt.Sprint(aws.ToString(group.LaunchTemplate.LaunchTemplateId), " ", aws.ToString(group.LaunchTemplate.Version))
}
