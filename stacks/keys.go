package stacks

import (
	_ "embed"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssecretsmanager"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"stateless-servers/app/config"
)

const (
	// keyRotationDays is the number of days between rotations of the keys. Each rotation adds the key that will be in use
	// after the next one. So a server knows every key before another server uses it, if it booted after the rotation before
	// the last.
	keyRotationDays = 30
	// serverLifetimeDays is the maximum age of a server, after which Auto Scaling replaces it. It is shorter than
	// keyRotationDays, so that every server reads each rotation's keys in time.
	serverLifetimeDays = 14
	// secretKeyLength is the length of a key in the secret: 42 characters of base64. The boot script adds keySuffix, which
	// completes the key to 32 bytes.
	secretKeyLength = 42
)

//go:embed data/rotation.py
var rotationProgram string

// KeyStoreProps are the inputs of NewKeyStore.
type KeyStoreProps struct {
	// Store is cookie or token.
	Store config.StoreKind
	Stage Stage
}

// NewKeyStore defines the keys that encrypt cookies or sign tokens. The visitors' browsers hold the sessions themselves.
func NewKeyStore(scope constructs.Construct, id string, props *KeyStoreProps) Attachment {
	keys := NewSealingKeys(scope, id, props.Stage)
	return func(servers *Servers) {
		servers.Environment.Store = props.Store
		keys(servers)
	}
}

// NewSealingKeys defines the keys that seal (encrypt or sign) the data in visitors' cookies, so that any server can open
// it. AWS Secrets Manager stores them for 0.40 USD per month and rotates them. Servers read them at boot.
func NewSealingKeys(scope constructs.Construct, id string, stage Stage) Attachment {
	scope = constructs.NewConstruct(scope, jsii.String(id))
	secret := awssecretsmanager.NewSecret(scope, jsii.String("Keys"), &awssecretsmanager.SecretProps{
		Description: jsii.String("Keys for data in cookies: the first seals, all open"),
		// This is the first key. Secrets Manager rotates immediately, which adds the second.
		GenerateSecretString: &awssecretsmanager.SecretStringGenerator{
			PasswordLength: jsii.Number(secretKeyLength), ExcludePunctuation: jsii.Bool(true),
			RequireEachIncludedType: jsii.Bool(false),
		},
		RemovalPolicy: removalPolicy(stage),
	})
	rotate := newRotation(scope, secret, stage)
	permission := rotate.Node().FindChild(jsii.String("SecretsManager"))
	awssecretsmanager.NewCfnRotationSchedule(scope, jsii.String("Schedule"), &awssecretsmanager.CfnRotationScheduleProps{
		SecretId: secret.SecretArn(), RotationLambdaArn: rotate.FunctionArn(),
		RotationRules: &awssecretsmanager.CfnRotationSchedule_RotationRulesProperty{
			AutomaticallyAfterDays: jsii.Number(keyRotationDays),
		},
	}).Node().AddDependency(permission, rotate.Role())
	failed := rotate.MetricErrors(perMinute("failed"))
	return func(servers *Servers) {
		servers.Environment.KeysSecretARN = *secret.SecretArn()
		servers.grant(scope, allow([]*string{secret.SecretArn()}, "secretsmanager:GetSecretValue"))
		servers.monitor([]awscloudwatch.IWidget{
			graph("Keys: rotations, and failed ones", rotate.MetricInvocations(perMinute("steps")), failed),
		}, []Alarm{{"RotationFails", "The rotation of the keys for data in cookies fails.", failed, 1, 1}})
	}
}

// newRotation defines the function that Secrets Manager calls to rotate the keys.
func newRotation(scope constructs.Construct, secret awssecretsmanager.Secret, stage Stage) awslambda.Function {
	log := awslogs.NewLogGroup(scope, jsii.String("RotationLog"), &awslogs.LogGroupProps{
		Retention: logRetention(stage), RemovalPolicy: awscdk.RemovalPolicy_DESTROY,
	})
	role := newFunctionRole(scope, "RotationRole", log)
	role.AddToPolicy(allow([]*string{secret.SecretArn()}, "secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue",
		"secretsmanager:PutSecretValue", "secretsmanager:UpdateSecretVersionStage"))
	rotate := awslambda.NewFunction(scope, jsii.String("Rotation"), &awslambda.FunctionProps{
		Description:  jsii.String("Rotates the keys for data in cookies"),
		Runtime:      awslambda.Runtime_PYTHON_3_14(),
		Architecture: awslambda.Architecture_ARM_64(),
		Handler:      jsii.String("index.handler"),
		Code:         awslambda.Code_FromInline(jsii.String(rotationProgram)),
		Role:         role,
		LogGroup:     log,
		Timeout:      awscdk.Duration_Seconds(jsii.Number(30)),
	})
	rotate.AddPermission(jsii.String("SecretsManager"), &awslambda.Permission{
		Principal: awsiam.NewServicePrincipal(jsii.String("secretsmanager.amazonaws.com"), nil),
		SourceArn: secret.SecretArn(),
	})
	return rotate
}
