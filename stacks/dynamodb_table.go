package stacks

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsdynamodb"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

const (
	// ownerIndex has each owner's sessions in the order in which they were started.
	ownerIndex = "owner"
	// unitsPercent is how much of the provisioned units scaling wants used.
	unitsPercent = 70
)

// newTable defines the table: an item a session, and the index, which has nothing of sessions without an owner.
//
// It is a global table also where there is one region, so that replicas come and go in place: docs/decisions/ says more.
// That is why it has a stream from the start; nobody reads it, and it costs nothing.
//
// Encryption is under the AWS managed key aws/dynamodb, unless there is one of the account's own: unlike the default key,
// which AWS owns, its every use is in CloudTrail; it takes no permissions of its own and cents a month, since DynamoDB
// caches it.
func newTable(scope constructs.Construct, key awskms.IKey, stage Stage, c DynamoDBConfig) awsdynamodb.CfnGlobalTable {
	index := &awsdynamodb.CfnGlobalTable_GlobalSecondaryIndexProperty{
		IndexName: jsii.String(ownerIndex), KeySchema: keys("owner", "position"),
		Projection: &awsdynamodb.CfnGlobalTable_ProjectionProperty{ProjectionType: jsii.String("KEYS_ONLY")},
	}
	table := &awsdynamodb.CfnGlobalTableProps{
		AttributeDefinitions: &[]any{attributeOf("id", "S"), attributeOf("owner", "S"), attributeOf("position", "N")},
		KeySchema:            keys("id"),
		BillingMode:          jsii.String("PAY_PER_REQUEST"),
		SseSpecification: &awsdynamodb.CfnGlobalTable_SSESpecificationProperty{
			SseEnabled: jsii.Bool(true), SseType: jsii.String("KMS"),
		},
		StreamSpecification: &awsdynamodb.CfnGlobalTable_StreamSpecificationProperty{
			StreamViewType: jsii.String("NEW_AND_OLD_IMAGES"), // what replication wants
		},
		TimeToLiveSpecification: &awsdynamodb.CfnGlobalTable_TimeToLiveSpecificationProperty{
			AttributeName: jsii.String("ttl"), Enabled: jsii.Bool(true),
		},
		GlobalSecondaryIndexes: &[]any{index},
	}
	if c.Billing == BillingProvisioned {
		table.BillingMode = jsii.String("PROVISIONED")
		writes := &awsdynamodb.CfnGlobalTable_WriteProvisionedThroughputSettingsProperty{
			WriteCapacityAutoScalingSettings: scaledUnits(c)}
		table.WriteProvisionedThroughputSettings, index.WriteProvisionedThroughputSettings = writes, writes
	}
	replicas := []any{replica(awscdk.Aws_REGION(), key, stage, c)}
	for _, region := range c.replicas() {
		replicas = append(replicas, replica(jsii.String(region), nil, stage, c))
	}
	table.Replicas = &replicas
	resource := awsdynamodb.NewCfnGlobalTable(scope, jsii.String("Table"), table)
	resource.ApplyRemovalPolicy(removalPolicy(stage), nil)
	return resource
}

// replica is the table in one region.
func replica(region *string, key awskms.IKey, stage Stage, c DynamoDBConfig) any {
	production := stage == StageProduction
	r := &awsdynamodb.CfnGlobalTable_ReplicaSpecificationProperty{
		Region:                    region,
		DeletionProtectionEnabled: jsii.Bool(production),
		PointInTimeRecoverySpecification: &awsdynamodb.CfnGlobalTable_PointInTimeRecoverySpecificationProperty{
			PointInTimeRecoveryEnabled: jsii.Bool(production),
		},
	}
	if key != nil {
		r.SseSpecification = &awsdynamodb.CfnGlobalTable_ReplicaSSESpecificationProperty{KmsMasterKeyId: key.KeyArn()}
	}
	if c.Billing == BillingProvisioned {
		reads := &awsdynamodb.CfnGlobalTable_ReadProvisionedThroughputSettingsProperty{
			ReadCapacityAutoScalingSettings: scaledUnits(c)}
		r.ReadProvisionedThroughputSettings = reads
		r.GlobalSecondaryIndexes = &[]any{&awsdynamodb.CfnGlobalTable_ReplicaGlobalSecondaryIndexSpecificationProperty{
			IndexName: jsii.String(ownerIndex), ReadProvisionedThroughputSettings: reads,
		}}
	}
	return r
}

// scaledUnits provisions what is used, and a reserve.
func scaledUnits(c DynamoDBConfig) any {
	return &awsdynamodb.CfnGlobalTable_CapacityAutoScalingSettingsProperty{
		MinCapacity: jsii.Number(c.MinUnits), MaxCapacity: jsii.Number(c.MaxUnits), SeedCapacity: jsii.Number(c.MinUnits),
		TargetTrackingScalingPolicyConfiguration: &awsdynamodb.CfnGlobalTable_TargetTrackingScalingPolicyConfigurationProperty{
			TargetValue: jsii.Number(unitsPercent),
		},
	}
}

func attributeOf(name, kind string) any {
	return &awsdynamodb.CfnGlobalTable_AttributeDefinitionProperty{
		AttributeName: jsii.String(name), AttributeType: jsii.String(kind),
	}
}

// keys are the partition key, and the sort key if there is one.
func keys(names ...string) any {
	var schema []any
	for i, name := range names {
		schema = append(schema, &awsdynamodb.CfnGlobalTable_KeySchemaProperty{
			AttributeName: jsii.String(name), KeyType: jsii.String([]string{"HASH", "RANGE"}[i]),
		})
	}
	return &schema
}
