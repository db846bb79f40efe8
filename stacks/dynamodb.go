package stacks

import (
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"stateless-servers/app/config"
)

// Billing says how a table is paid for.
type Billing string

// The ways to pay. Prices are of us-east-1.
const (
	// BillingOnDemand costs 0.625 USD a million writes of 1 KB and 0.125 USD a million reads of 4 KB, nothing at rest.
	BillingOnDemand Billing = "on-demand"
	// BillingProvisioned costs 0.47 USD a month for each write unit and 0.09 USD for each read unit, used or not; a unit
	// is one a second. It is the cheaper one for a steady load above a seventh of what is provisioned, and throttles a
	// load that grows faster than scaling follows, which takes minutes.
	BillingProvisioned Billing = "provisioned"
)

// DynamoDBConfig is what an operator chooses for the store dynamodb.
type DynamoDBConfig struct {
	// Billing (billing) is on-demand, the default because it needs no forecast, or provisioned.
	Billing Billing
	// MinUnits (minUnits) and MaxUnits (maxUnits) bound what scaling provisions, of reads and of writes each, for the
	// table and for its index. The defaults are 5 and 1000.
	MinUnits, MaxUnits int
	// CustomerKey (customerKey) encrypts under a key of the account's own, for 1 USD a month and 0.03 USD for 10,000 uses
	// of it; DynamoDB caches it. The default is false: the AWS managed key.
	CustomerKey bool
	// Replicas (replicas) are other regions, separated by commas, that get a replica of the table: every write costs as much
	// again in each. Between regions the last writer wins, which the promises of the sessions don't survive
	// (docs/sessions.md). There is no default. CloudFormation adds or removes one a deployment.
	Replicas string
	// ReplicaTable (replicaTable) is the name of the replica that the lab of another region, by its replicas, has made in
	// this one: sessions live there, and no table is made. There is no default.
	ReplicaTable string
	// DAX (dax) puts a cluster of DynamoDB Accelerator in front of the table, which serves reads from memory and may show a
	// session as it was, usually for less than a second and never longer than a minute. The default is false.
	DAX bool
	// DAXNodeType (daxNodeType) is the size of a node. The default dax.t3.small has 2 GiB and costs 29 USD a month.
	DAXNodeType string
	// DAXNodes (daxNodes) is the number of nodes across the zones, all with the same content, from 2, the default, to 11. AWS
	// recommends three for production.
	DAXNodes int
}

func (c DynamoDBConfig) replicas() []string {
	return strings.FieldsFunc(c.Replicas, func(r rune) bool { return r == ',' })
}

// replicated tells whether other regions write to the table too.
func (c DynamoDBConfig) replicated() bool { return c.Replicas != "" || c.ReplicaTable != "" }

// contradictions are values that are allowed, but not together.
func (c DynamoDBConfig) contradictions() []error {
	var problems []error
	add := func(format string, values ...any) {
		problems = append(problems, fmt.Errorf("context "+format, values...))
	}
	if c.MaxUnits != 0 && c.MaxUnits < c.MinUnits {
		add("maxUnits=\"%d\": allowed is a number of minUnits (%d) or more", c.MaxUnits, c.MinUnits)
	}
	if regionsForm.MatchString(c.Replicas) {
		if unknown := unknownRegions(c.replicas()); len(unknown) > 0 {
			add("replicas=%q: AWS has no region %s", c.Replicas, strings.Join(unknown, ", "))
		}
		if regions := slices.Sorted(slices.Values(c.replicas())); len(slices.Compact(regions)) < len(c.replicas()) {
			add("replicas=%q: allowed is each region once", c.Replicas)
		}
	}
	if c.Replicas != "" && c.CustomerKey {
		add("customerKey=\"true\": not with replicas; a key works in its own region only")
	}
	if c.ReplicaTable != "" && (c.Replicas != "" || c.CustomerKey || c.Billing == BillingProvisioned) {
		add("replicaTable=%q: not with billing, customerKey or replicas, which the region that made the table decides",
			c.ReplicaTable)
	}
	if c.DAX && c.replicated() {
		add("dax=\"true\": not with replicas or replicaTable; DAX doesn't see what other regions write")
	}
	return problems
}

// DynamoDBStoreProps are the inputs of NewDynamoDBStore.
type DynamoDBStoreProps struct {
	Vpc awsec2.IVpc
	// Stage turns on point-in-time recovery and deletion protection in production, and keeps the table when the stack or
	// the store goes.
	Stage  Stage
	Config DynamoDBConfig
}

// DynamoDBStore keeps sessions in an Amazon DynamoDB table.
type DynamoDBStore struct {
	scope      constructs.Construct
	name, arn  *string
	key        awskms.IKey // nil without one of the account's own
	replicated bool
	dax        *daxCluster // nil without one
}

var _ SessionStore = DynamoDBStore{}

// NewDynamoDBStore defines the table, or finds the replica of another region's, and what is in front of it.
func NewDynamoDBStore(scope constructs.Construct, id string, props *DynamoDBStoreProps) DynamoDBStore {
	scope = constructs.NewConstruct(scope, jsii.String(id))
	store := DynamoDBStore{scope: scope, replicated: props.Config.replicated()}
	if props.Config.ReplicaTable != "" {
		store.name = jsii.String(props.Config.ReplicaTable)
		store.arn = awscdk.Stack_Of(scope).FormatArn(&awscdk.ArnComponents{
			Service: jsii.String("dynamodb"), Resource: jsii.String("table"), ResourceName: store.name,
		})
		return store
	}
	if props.Config.CustomerKey {
		store.key = awskms.NewKey(scope, jsii.String("Key"), &awskms.KeyProps{
			Description: jsii.String("Sessions of stateless servers"), EnableKeyRotation: jsii.Bool(true),
			RemovalPolicy: removalPolicy(props.Stage),
		})
	}
	table := newTable(scope, store.key, props.Stage, props.Config)
	store.name, store.arn = table.Ref(), table.AttrArn()
	if props.Config.Replicas != "" {
		output(awscdk.Stack_Of(scope), "Table", "The session table, for replicaTable in the other regions", *store.name)
	}
	if props.Config.DAX {
		store.dax = newDAXCluster(scope, props.Vpc, store, props.Config)
	}
	return store
}

// Configure implements SessionStore.
func (s DynamoDBStore) Configure(server *Environment) {
	server.Store = config.StoreDynamoDB
	server.DynamoDBTable = *s.name
	server.DynamoDBReplicated = s.replicated
	if s.dax != nil {
		server.DynamoDBDAX = *s.dax.AttrClusterDiscoveryEndpointUrl()
	}
}

// Admit implements SessionStore: the actions on items, and the query by owner. Transactions need the actions of their items.
// No scan, no batch of writes, no stream. With DAX they stay, because servers that were there before it use them until they
// are gone.
func (s DynamoDBStore) Admit(role awsiam.IRole, servers awsec2.IConnectable) constructs.IDependable {
	statements := []awsiam.PolicyStatement{
		allow([]*string{s.arn}, "dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:PutItem", "dynamodb:UpdateItem",
			"dynamodb:DeleteItem"),
		allow([]*string{jsii.String(*s.arn + "/index/" + ownerIndex)}, "dynamodb:Query"),
	}
	policy := newStorePolicy(s.scope, role, append(statements, s.useKey()...)...)
	if s.dax == nil {
		return policy
	}
	return constructs.NewDependencyGroup(policy, s.dax.admit(role, servers))
}

// useKey is what DynamoDB does with the key in the name of who reads and writes; by way of DynamoDB only.
func (s DynamoDBStore) useKey() []awsiam.PolicyStatement {
	if s.key == nil {
		return nil
	}
	use := allow([]*string{s.key.KeyArn()}, "kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey",
		"kms:ReEncryptFrom", "kms:ReEncryptTo")
	use.AddCondition(jsii.String("StringEquals"), map[string]any{
		"kms:ViaService": "dynamodb." + *awscdk.Aws_REGION() + "." + *awscdk.Aws_URL_SUFFIX(),
	})
	return []awsiam.PolicyStatement{use}
}

// Graphs implements SessionStore.
func (s DynamoDBStore) Graphs() []awscloudwatch.IWidget {
	latency := func(operation string) awscloudwatch.IMetric {
		return s.metric("SuccessfulRequestLatency", "p99", operation+" p99", operation)
	}
	graphs := []awscloudwatch.IWidget{
		graph("DynamoDB: capacity units", s.metric("ConsumedReadCapacityUnits", "Sum", "reads", ""),
			s.metric("ConsumedWriteCapacityUnits", "Sum", "writes", "")),
		graph("DynamoDB: latency (ms)", latency("GetItem"), latency("PutItem"), latency("UpdateItem"),
			latency("TransactWriteItems"), latency("Query"), latency("BatchGetItem")),
		graph("DynamoDB: throttled", s.ofOperations("ThrottledRequests", "throttled")),
		graph("DynamoDB: errors", s.ofOperations("SystemErrors", "errors")),
	}
	if s.dax != nil {
		graphs = append(graphs, s.dax.graphs()...)
	}
	return graphs
}

// Alarms implements SessionStore.
func (s DynamoDBStore) Alarms() []Alarm {
	alarms := []Alarm{
		{"StoreThrottled", "DynamoDB throttles requests of the session table: visitors get 503.",
			s.ofOperations("ThrottledRequests", "throttled"), 1, 3},
		{"StoreErrors", "DynamoDB fails requests of the session table: visitors get 503.",
			s.ofOperations("SystemErrors", "errors"), 1, 3},
	}
	if s.dax != nil {
		alarms = append(alarms, s.dax.alarms()...)
	}
	return alarms
}

// metric is a metric of the table, or of an operation on it.
func (s DynamoDBStore) metric(name, statistic, label, operation string) awscloudwatch.IMetric {
	dimensions := map[string]*string{"TableName": s.name}
	if operation != "" {
		dimensions["Operation"] = jsii.String(operation)
	}
	return metric("AWS/DynamoDB", name, statistic, label, dimensions)
}

// ofOperations returns the sum of a metric that DynamoDB keeps by operation. CloudWatch charges alarms for each, so it leaves
// out BatchGetItem, which the servers call after a Query alone.
func (s DynamoDBStore) ofOperations(name, label string) awscloudwatch.IMetric {
	operations := map[string]awscloudwatch.IMetric{}
	for _, operation := range []string{"GetItem", "PutItem", "UpdateItem", "TransactWriteItems", "Query"} {
		operations[strings.ToLower(operation)] = s.metric(name, "Sum", operation, operation)
	}
	return awscloudwatch.NewMathExpression(&awscloudwatch.MathExpressionProps{
		Expression: jsii.String("SUM(METRICS())"), UsingMetrics: &operations, Label: jsii.String(label), Period: minute(),
	})
}

// removalPolicy keeps what production stored, except when the deployment that created it fails.
func removalPolicy(stage Stage) awscdk.RemovalPolicy {
	if stage == StageProduction {
		return awscdk.RemovalPolicy_RETAIN_ON_UPDATE_OR_DELETE
	}
	return awscdk.RemovalPolicy_DESTROY
}
