package stacks

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
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

// unitsPercent is how much of the provisioned units scaling wants used.
const unitsPercent = 70

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
}

// DynamoDBStoreProps are the inputs of NewDynamoDBStore.
type DynamoDBStoreProps struct {
	// Stage turns on point-in-time recovery and deletion protection in production, and keeps the table when the stack or
	// the store goes.
	Stage  Stage
	Config DynamoDBConfig
}

// DynamoDBStore keeps sessions in an Amazon DynamoDB table.
type DynamoDBStore struct {
	table awsdynamodb.Table
	index string
}

var _ SessionStore = DynamoDBStore{}

// NewDynamoDBStore defines the table: an item a session, and a sparse index of each owner's sessions in the order in
// which they were started. Encryption is under the AWS managed key aws/dynamodb, unless CustomerKey: unlike the default
// key, which AWS owns, its every use is in CloudTrail; it takes no permissions of its own and cents a month, since DynamoDB
// caches it.
func NewDynamoDBStore(scope constructs.Construct, id string, props *DynamoDBStoreProps) DynamoDBStore {
	production := props.Stage == StageProduction
	tableProps := awsdynamodb.TableProps{
		PartitionKey:        &awsdynamodb.Attribute{Name: jsii.String("id"), Type: awsdynamodb.AttributeType_STRING},
		BillingMode:         awsdynamodb.BillingMode_PAY_PER_REQUEST,
		TimeToLiveAttribute: jsii.String("ttl"),
		Encryption:          awsdynamodb.TableEncryption_AWS_MANAGED,
		PointInTimeRecoverySpecification: &awsdynamodb.PointInTimeRecoverySpecification{
			PointInTimeRecoveryEnabled: jsii.Bool(production),
		},
		DeletionProtection: jsii.Bool(production),
		RemovalPolicy:      removalPolicy(props.Stage),
	}
	if props.Config.CustomerKey {
		tableProps.Encryption = awsdynamodb.TableEncryption_CUSTOMER_MANAGED
		tableProps.EncryptionKey = awskms.NewKey(scope, jsii.String(id+"Key"), &awskms.KeyProps{
			Description: jsii.String("Sessions of stateless servers"), EnableKeyRotation: jsii.Bool(true),
			RemovalPolicy: removalPolicy(props.Stage),
		})
	}
	provisioned := props.Config.Billing == BillingProvisioned
	if provisioned {
		tableProps.BillingMode = awsdynamodb.BillingMode_PROVISIONED
		tableProps.ReadCapacity, tableProps.WriteCapacity = jsii.Number(props.Config.MinUnits), jsii.Number(props.Config.MinUnits)
	}
	table := awsdynamodb.NewTable(scope, jsii.String(id), &tableProps)
	if !production {
		accept(table, "AwsSolutions-DDB3", "The stage lab keeps nothing twice; production recovers to any point in time.")
	}
	index := "owner"
	indexProps := awsdynamodb.GlobalSecondaryIndexProps{
		IndexName:      jsii.String(index),
		PartitionKey:   &awsdynamodb.Attribute{Name: jsii.String("owner"), Type: awsdynamodb.AttributeType_STRING},
		SortKey:        &awsdynamodb.Attribute{Name: jsii.String("position"), Type: awsdynamodb.AttributeType_NUMBER},
		ProjectionType: awsdynamodb.ProjectionType_KEYS_ONLY,
	}
	if provisioned {
		indexProps.ReadCapacity, indexProps.WriteCapacity = tableProps.ReadCapacity, tableProps.WriteCapacity
	}
	table.AddGlobalSecondaryIndex(&indexProps)
	if provisioned {
		scaleUnits(table, index, props.Config)
	}
	return DynamoDBStore{table, index}
}

// scaleUnits provisions what the table and its index use, and a reserve.
func scaleUnits(table awsdynamodb.Table, index string, c DynamoDBConfig) {
	bounds := &awsdynamodb.EnableScalingProps{MinCapacity: jsii.Number(c.MinUnits), MaxCapacity: jsii.Number(c.MaxUnits)}
	for _, attribute := range []awsdynamodb.IScalableTableAttribute{
		table.AutoScaleReadCapacity(bounds), table.AutoScaleWriteCapacity(bounds),
		table.AutoScaleGlobalSecondaryIndexReadCapacity(jsii.String(index), bounds),
		table.AutoScaleGlobalSecondaryIndexWriteCapacity(jsii.String(index), bounds),
	} {
		attribute.ScaleOnUtilization(&awsdynamodb.UtilizationScalingProps{
			TargetUtilizationPercent: jsii.Number(unitsPercent),
		})
	}
}

// Configure implements SessionStore.
func (s DynamoDBStore) Configure(server *Environment) {
	server.Store = config.StoreDynamoDB
	server.DynamoDBTable = *s.table.TableName()
}

// Admit implements SessionStore: four actions on items, and the query by owner. No scan, no batch, no stream.
func (s DynamoDBStore) Admit(role awsiam.IRole, _ awsec2.IConnectable) constructs.IDependable {
	index := jsii.String(*s.table.TableArn() + "/index/" + s.index)
	statements := []awsiam.PolicyStatement{
		allow([]*string{s.table.TableArn()},
			"dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"),
		allow([]*string{index}, "dynamodb:Query"),
	}
	if key := s.table.EncryptionKey(); key != nil {
		// What DynamoDB does in the name of who reads and writes; by way of DynamoDB only.
		use := allow([]*string{key.KeyArn()}, "kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey",
			"kms:ReEncryptFrom", "kms:ReEncryptTo")
		use.AddCondition(jsii.String("StringEquals"), map[string]any{
			"kms:ViaService": "dynamodb." + *awscdk.Aws_REGION() + "." + *awscdk.Aws_URL_SUFFIX(),
		})
		statements = append(statements, use)
	}
	return newStorePolicy(s.table, role, statements...)
}

// Graphs implements SessionStore.
func (s DynamoDBStore) Graphs() []awscloudwatch.IWidget {
	latency := func(operation string) awscloudwatch.IMetric {
		return s.table.MetricSuccessfulRequestLatency(&awscloudwatch.MetricOptions{
			DimensionsMap: &map[string]*string{"TableName": s.table.TableName(), "Operation": jsii.String(operation)},
			Statistic:     jsii.String("p99"), Label: jsii.String(operation + " p99"), Period: minute(),
		})
	}
	return []awscloudwatch.IWidget{
		graph("DynamoDB: capacity units", sum(s.table.MetricConsumedReadCapacityUnits, "reads"),
			sum(s.table.MetricConsumedWriteCapacityUnits, "writes")),
		graph("DynamoDB: latency (ms)", latency("GetItem"), latency("PutItem"), latency("UpdateItem"), latency("DeleteItem")),
		graph("DynamoDB: throttled", s.throttled()),
		graph("DynamoDB: errors", s.failed()),
	}
}

// Alarms implements SessionStore.
func (s DynamoDBStore) Alarms() []Alarm {
	return []Alarm{
		{"StoreThrottled", "DynamoDB throttles requests of the session table: visitors get 503.", s.throttled(), 1, 3},
		{"StoreErrors", "DynamoDB fails requests of the session table: visitors get 503.", s.failed(), 1, 3},
	}
}

func (s DynamoDBStore) throttled() awscloudwatch.IMetric {
	return s.table.MetricThrottledRequestsForOperations(&awsdynamodb.OperationsMetricOptions{
		Operations: s.operations(), Label: jsii.String("throttled"), Period: minute(),
	})
}

func (s DynamoDBStore) failed() awscloudwatch.IMetric {
	return s.table.MetricSystemErrorsForOperations(&awsdynamodb.SystemErrorsForOperationsMetricOptions{
		Operations: s.operations(), Label: jsii.String("errors"), Period: minute(),
	})
}

func (s DynamoDBStore) operations() *[]awsdynamodb.Operation {
	return &[]awsdynamodb.Operation{awsdynamodb.Operation_GET_ITEM, awsdynamodb.Operation_PUT_ITEM,
		awsdynamodb.Operation_UPDATE_ITEM, awsdynamodb.Operation_DELETE_ITEM, awsdynamodb.Operation_QUERY}
}

// removalPolicy keeps what production stored, except when the deployment that created it fails.
func removalPolicy(stage Stage) awscdk.RemovalPolicy {
	if stage == StageProduction {
		return awscdk.RemovalPolicy_RETAIN_ON_UPDATE_OR_DELETE
	}
	return awscdk.RemovalPolicy_DESTROY
}
