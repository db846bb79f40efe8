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
	// keyRotationDays is how often the keys rotate. Each rotation brings in the key that the next one will seal with, so
	// that servers know a key before any other server seals with it, if each was started after the last rotation but one.
	keyRotationDays = 30
	// serverLifetimeDays sees to that: Auto Scaling replaces older servers.
	serverLifetimeDays = 14
	// keyCharacters is the length of a key in the secret: base64 without its end keyEnd, which the boot adds to make 32 bytes.
	keyCharacters = 42
)

//go:embed data/rotation.py
var rotationProgram string

// KeyStoreProps are the inputs of NewKeyStore.
type KeyStoreProps struct {
	// Store is cookie or token.
	Store config.StoreKind
	Stage Stage
}

// NewKeyStore defines the keys that seal cookies or sign tokens. Sessions themselves are with the visitors.
func NewKeyStore(scope constructs.Construct, id string, props *KeyStoreProps) Attachment {
	keys := NewSealingKeys(scope, id, props.Stage)
	return func(servers *Servers) {
		servers.Environment.Store = props.Store
		keys(servers)
	}
}

// NewSealingKeys defines the keys that seal what visitors bring back, to whichever server. They are in AWS Secrets Manager,
// for 0.40 USD a month, and rotate. Servers read them when they boot.
func NewSealingKeys(scope constructs.Construct, id string, stage Stage) Attachment {
	scope = constructs.NewConstruct(scope, jsii.String(id))
	secret := awssecretsmanager.NewSecret(scope, jsii.String("Keys"), &awssecretsmanager.SecretProps{
		Description: jsii.String("Keys of what visitors keep: the first seals, all open"),
		// The first key; the first rotation follows at once and adds the second.
		GenerateSecretString: &awssecretsmanager.SecretStringGenerator{
			PasswordLength: jsii.Number(keyCharacters), ExcludePunctuation: jsii.Bool(true),
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
		servers.Environment.KeysSecret = *secret.SecretArn()
		servers.allow(scope, allow([]*string{secret.SecretArn()}, "secretsmanager:GetSecretValue"))
		servers.show([]awscloudwatch.IWidget{
			graph("Keys: rotations, and failed ones", rotate.MetricInvocations(perMinute("steps")), failed),
		}, []Alarm{{"RotationFails", "The keys of what visitors keep don't rotate.", failed, 1, 1}})
	}
}

// newRotation defines the function that Secrets Manager calls to rotate the keys.
func newRotation(scope constructs.Construct, secret awssecretsmanager.Secret, stage Stage) awslambda.Function {
	log := awslogs.NewLogGroup(scope, jsii.String("RotationLog"), &awslogs.LogGroupProps{
		Retention: retention(stage), RemovalPolicy: awscdk.RemovalPolicy_DESTROY,
	})
	role := newFunctionRole(scope, "RotationRole", log)
	role.AddToPolicy(allow([]*string{secret.SecretArn()}, "secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue",
		"secretsmanager:PutSecretValue", "secretsmanager:UpdateSecretVersionStage"))
	rotate := awslambda.NewFunction(scope, jsii.String("Rotation"), &awslambda.FunctionProps{
		Description:  jsii.String("Rotates the keys of what visitors keep"),
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
