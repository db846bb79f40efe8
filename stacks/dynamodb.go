package stacks

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"stateless-servers/app/config"
)

// DynamoDBStoreProps are the inputs of NewDynamoDBStore.
type DynamoDBStoreProps struct {
	// Stage turns on point-in-time recovery and deletion protection in production, and keeps the table when the stack or
	// the store goes.
	Stage Stage
}

// DynamoDBStore keeps sessions in an Amazon DynamoDB table, billed by the request.
type DynamoDBStore struct {
	table awsdynamodb.Table
	index string
}

var _ SessionStore = DynamoDBStore{}

// NewDynamoDBStore defines the table: an item a session, and a sparse index of each owner's sessions in the order in
// which they were started. Encryption is under the AWS managed key aws/dynamodb: unlike the default key, which AWS owns,
// its every use is in CloudTrail; it takes no permissions of its own and cents a month, since DynamoDB caches it.
func NewDynamoDBStore(scope constructs.Construct, id string, props *DynamoDBStoreProps) DynamoDBStore {
	production := props.Stage == StageProduction
	table := awsdynamodb.NewTable(scope, jsii.String(id), &awsdynamodb.TableProps{
		PartitionKey:        &awsdynamodb.Attribute{Name: jsii.String("id"), Type: awsdynamodb.AttributeType_STRING},
		BillingMode:         awsdynamodb.BillingMode_PAY_PER_REQUEST,
		TimeToLiveAttribute: jsii.String("ttl"),
		Encryption:          awsdynamodb.TableEncryption_AWS_MANAGED,
		PointInTimeRecoverySpecification: &awsdynamodb.PointInTimeRecoverySpecification{
			PointInTimeRecoveryEnabled: jsii.Bool(production),
		},
		DeletionProtection: jsii.Bool(production),
		RemovalPolicy:      removalPolicy(props.Stage),
	})
	if !production {
		accept(table, "AwsSolutions-DDB3", "The stage lab keeps nothing twice; production recovers to any point in time.")
	}
	index := "owner"
	table.AddGlobalSecondaryIndex(&awsdynamodb.GlobalSecondaryIndexProps{
		IndexName:      jsii.String(index),
		PartitionKey:   &awsdynamodb.Attribute{Name: jsii.String("owner"), Type: awsdynamodb.AttributeType_STRING},
		SortKey:        &awsdynamodb.Attribute{Name: jsii.String("position"), Type: awsdynamodb.AttributeType_NUMBER},
		ProjectionType: awsdynamodb.ProjectionType_KEYS_ONLY,
	})
	return DynamoDBStore{table, index}
}

// Configure implements SessionStore.
func (s DynamoDBStore) Configure(server *config.Config) {
	server.Store = config.StoreDynamoDB
	server.DynamoDBTable = *s.table.TableName()
}

// Admit implements SessionStore: four actions on items, and the query by owner. No scan, no batch, no stream.
func (s DynamoDBStore) Admit(role awsiam.IRole, _ awsec2.IConnectable) constructs.IDependable {
	index := jsii.String(*s.table.TableArn() + "/index/" + s.index)
	return newStorePolicy(s.table, role,
		allow([]*string{s.table.TableArn()},
			"dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"),
		allow([]*string{index}, "dynamodb:Query"))
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
