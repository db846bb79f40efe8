package stacks

import (
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

// DynamoDBStoreProps are the inputs of NewDynamoDBStore.
type DynamoDBStoreProps struct {
	Vpc awsec2.IVpc
	// Subnets hold the DAX cluster. They need no route out of the VPC. The default is private subnets.
	Subnets *awsec2.SubnetSelection
	// Stage turns on point-in-time recovery in production, and keeps the table when the stack or the store is deleted.
	Stage Stage
	// Protect turns on deletion protection.
	Protect bool
	Config  DynamoDBConfig
}

// NewDynamoDBStore defines an Amazon DynamoDB table, or uses a replica of another region's table, with DAX in front of it
// if the Config asks for that.
func NewDynamoDBStore(scope constructs.Construct, id string, props *DynamoDBStoreProps) Attachment {
	scope = constructs.NewConstruct(scope, jsii.String(id))
	c := props.Config
	if c.ReplicaTable != "" {
		name := jsii.String(c.ReplicaTable)
		arn := awscdk.Stack_Of(scope).FormatArn(&awscdk.ArnComponents{
			Service: jsii.String("dynamodb"), Resource: jsii.String("table"), ResourceName: name,
		})
		return attachTable(scope, name, arn, true)
	}
	var key awskms.IKey
	var use []awsiam.PolicyStatement
	if c.CustomerKey {
		key = awskms.NewKey(scope, jsii.String("Key"), &awskms.KeyProps{
			Description: jsii.String("Sessions of stateless servers"), EnableKeyRotation: jsii.Bool(true),
			RemovalPolicy: removalPolicy(props.Stage),
		})
		use = append(use, keyStatement(key))
	}
	table := newTable(scope, key, props.Stage, props.Protect, c)
	if c.Replicas != "" {
		output(awscdk.Stack_Of(scope), "Table", "The session table, for replicaTable in the other regions", *table.Ref())
	}
	store := attachTable(scope, table.Ref(), table.AttrArn(), c.replicated(), use...)
	if !c.DAX {
		return store
	}
	dax := newDAX(scope, props.Vpc, props.Subnets, c, append(use, allow([]*string{table.AttrArn()}, "dynamodb:DescribeTable",
		"dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"))...)
	return func(servers *Servers) {
		store(servers)
		dax(servers)
	}
}

// attachTable allows the servers to read and write items and to query by owner, and adds the statements in more. A
// transaction needs the permissions of its single actions. Scans, batch writes and streams are not allowed. These
// permissions stay when DAX is added, because old servers use them until they are replaced.
func attachTable(scope constructs.Construct, name, arn *string, replicated bool, more ...awsiam.PolicyStatement) Attachment {
	return func(servers *Servers) {
		servers.Environment.Store = config.StoreDynamoDB
		servers.Environment.DynamoDBTable = *name
		servers.Environment.DynamoDBReplicated = replicated
		servers.grant(scope, append([]awsiam.PolicyStatement{
			allow([]*string{arn}, "dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:PutItem", "dynamodb:UpdateItem",
				"dynamodb:DeleteItem"),
			allow([]*string{jsii.String(*arn + "/index/" + ownerIndex)}, "dynamodb:Query"),
		}, more...)...)
		servers.monitor(tableGraphs(name))
	}
}

// keyStatement allows the use of the key by DynamoDB on behalf of the caller, but not by the caller directly.
func keyStatement(key awskms.IKey) awsiam.PolicyStatement {
	use := allow([]*string{key.KeyArn()}, "kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey",
		"kms:ReEncryptFrom", "kms:ReEncryptTo")
	use.AddCondition(jsii.String("StringEquals"), map[string]any{
		"kms:ViaService": "dynamodb." + *awscdk.Aws_REGION() + "." + *awscdk.Aws_URL_SUFFIX(),
	})
	return use
}

func tableGraphs(name *string) ([]awscloudwatch.IWidget, []Alarm) {
	of := func(metricName, statistic, label string) awscloudwatch.IMetric {
		return metric("AWS/DynamoDB", metricName, statistic, label, map[string]*string{"TableName": name})
	}
	ofOperation := func(metricName, statistic, label, operation string) awscloudwatch.IMetric {
		return metric("AWS/DynamoDB", metricName, statistic, label,
			map[string]*string{"TableName": name, "Operation": jsii.String(operation)})
	}
	latency := func(operation string) awscloudwatch.IMetric {
		return ofOperation("SuccessfulRequestLatency", "p99", operation+" p99", operation)
	}
	// DynamoDB reports these metrics per operation, and CloudWatch charges an alarm for each metric. BatchGetItem is left
	// out, because servers only call it after a Query.
	sumOf := func(metricName, label string) awscloudwatch.IMetric {
		operations := map[string]awscloudwatch.IMetric{}
		for _, operation := range []string{"GetItem", "PutItem", "UpdateItem", "TransactWriteItems", "Query"} {
			operations[strings.ToLower(operation)] = ofOperation(metricName, "Sum", operation, operation)
		}
		return awscloudwatch.NewMathExpression(&awscloudwatch.MathExpressionProps{
			Expression: jsii.String("SUM(METRICS())"), UsingMetrics: &operations, Label: jsii.String(label), Period: minute(),
		})
	}
	throttled, failed := sumOf("ThrottledRequests", "throttled"), sumOf("SystemErrors", "errors")
	return []awscloudwatch.IWidget{
			graph("DynamoDB: capacity units", of("ConsumedReadCapacityUnits", "Sum", "reads"),
				of("ConsumedWriteCapacityUnits", "Sum", "writes")),
			graph("DynamoDB: latency (ms)", latency("GetItem"), latency("PutItem"), latency("UpdateItem"),
				latency("TransactWriteItems"), latency("Query"), latency("BatchGetItem")),
			graph("DynamoDB: throttled", throttled),
			graph("DynamoDB: errors", failed),
		}, []Alarm{
			{"StoreThrottled", "DynamoDB throttles requests to the session table: visitors get 503.", throttled, 1, 3},
			{"StoreErrors", "Requests to the session table fail in DynamoDB: visitors get 503.", failed, 1, 3},
		}
}
