package stacks

import (
	_ "embed"
	"fmt"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsrds"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"stateless-servers/app/config"
)

const (
	postgresPort     = 5432
	postgresUser     = "stateless"
	postgresDatabase = "sessions"
	// postgresInstances are a writer, and a reader in another zone that takes over.
	postgresInstances = 2
)

// authoritiesFile has the certificate authorities rds-ca-rsa2048-g1 of Amazon RDS, each after a line "# region". They are
// valid until 2061. A deployment to a region that isn't there fails at once.
//
//go:embed data/rds-ca.pem
var authoritiesFile string

// PostgresConfig is what an operator chooses for the store postgres.
type PostgresConfig struct {
	// MinACU (minACU) and MaxACU (maxACU) are what each of the two instances scales between, in Aurora capacity units of
	// about 2 GiB, steps of 0.5 from 0.5 to 256. The defaults are 0.5 and 4. A unit costs 0.12 USD an hour: the quiet
	// database 88 USD a month, and storage, I/O and backups on top.
	MinACU, MaxACU float64
}

// PostgresStoreProps are the inputs of NewPostgresStore.
type PostgresStoreProps struct {
	Vpc awsec2.IVpc
	// Stage turns on deletion protection in production, keeps backups for five weeks instead of a day, and takes a last
	// one when the stack or the store goes.
	Stage  Stage
	Config PostgresConfig
}

// PostgresStore keeps sessions in Amazon Aurora PostgreSQL, Serverless v2.
type PostgresStore struct {
	scope        constructs.Construct
	network      storeNetwork
	cluster      awsrds.CfnDBCluster
	certificates awscdk.CfnMapping
}

var _ SessionStore = PostgresStore{}

// NewPostgresStore defines the cluster, with storage encrypted under the AWS managed key and two instances. Nobody has a
// password: servers log in with IAM as the user who owns the database of sessions, where they make their tables.
// PostgreSQL 15 and newer refuses connections without TLS on Aurora; servers check the certificate too.
func NewPostgresStore(scope constructs.Construct, id string, props *PostgresStoreProps) PostgresStore {
	scope = constructs.NewConstruct(scope, jsii.String(id))
	production := props.Stage == StageProduction
	network := newStoreNetwork(scope, props.Vpc, "Session database")
	subnets := awsrds.NewCfnDBSubnetGroup(scope, jsii.String("Subnets"), &awsrds.CfnDBSubnetGroupProps{
		DbSubnetGroupDescription: jsii.String("Session database"), SubnetIds: network.subnets(),
	})
	backupDays := 1
	if production {
		backupDays = 35
	}
	cluster := awsrds.NewCfnDBCluster(scope, jsii.String("Cluster"), &awsrds.CfnDBClusterProps{
		Engine:                          jsii.String("aurora-postgresql"),
		EngineVersion:                   awsrds.AuroraPostgresEngineVersion_VER_17_7().AuroraPostgresFullVersion(),
		DatabaseName:                    jsii.String(postgresDatabase),
		MasterUsername:                  jsii.String(postgresUser),
		MasterUserAuthenticationType:    jsii.String("iam-db-auth"),
		EnableIamDatabaseAuthentication: jsii.Bool(true),
		Port:                            jsii.Number(postgresPort),
		DbSubnetGroupName:               subnets.Ref(),
		VpcSecurityGroupIds:             &[]any{network.securityGroup.SecurityGroupId()},
		StorageEncrypted:                jsii.Bool(true),
		BackupRetentionPeriod:           jsii.Number(backupDays),
		CopyTagsToSnapshot:              jsii.Bool(true),
		DeletionProtection:              jsii.Bool(production),
		EnableCloudwatchLogsExports:     jsii.Strings("postgresql"),
		ServerlessV2ScalingConfiguration: &awsrds.CfnDBCluster_ServerlessV2ScalingConfigurationProperty{
			MinCapacity: jsii.Number(props.Config.MinACU), MaxCapacity: jsii.Number(props.Config.MaxACU),
		},
	})
	if production {
		cluster.ApplyRemovalPolicy(awscdk.RemovalPolicy_SNAPSHOT, nil)
	} else {
		cluster.ApplyRemovalPolicy(awscdk.RemovalPolicy_DESTROY, nil)
		accept(cluster, "AwsSolutions-RDS10", "The stage lab is for trying things and goes without a trace.")
	}
	for i := range postgresInstances {
		awsrds.NewCfnDBInstance(scope, jsii.String(fmt.Sprintf("Instance%d", i+1)), &awsrds.CfnDBInstanceProps{
			Engine:                  jsii.String("aurora-postgresql"),
			DbClusterIdentifier:     cluster.Ref(),
			DbInstanceClass:         jsii.String("db.serverless"),
			PromotionTier:           jsii.Number(1), // the reader scales with the writer, and can take over at once
			PubliclyAccessible:      jsii.Bool(false),
			AutoMinorVersionUpgrade: jsii.Bool(true),
			CaCertificateIdentifier: jsii.String("rds-ca-rsa2048-g1"), // which the servers trust
		})
	}
	// Amazon RDS has certificate authorities of its own, one a region, that no operating system knows.
	certificates := awscdk.NewCfnMapping(scope, jsii.String("Certificates"), &awscdk.CfnMappingProps{
		Mapping: rdsAuthorities(),
	})
	return PostgresStore{scope, network, cluster, certificates}
}

// Configure implements SessionStore.
func (s PostgresStore) Configure(server *Environment) {
	server.Store = config.StorePostgres
	server.PostgresURL = fmt.Sprintf("postgres://%s@%s:%d/%s?sslmode=verify-full&sslrootcert=%s", postgresUser,
		*s.cluster.AttrEndpointAddress(), postgresPort, postgresDatabase, certificatesFile)
	server.PostgresIAM = true
	server.Certificates = *s.certificates.FindInMap(awscdk.Aws_REGION(), jsii.String("pem"), nil)
}

// Admit implements SessionStore.
func (s PostgresStore) Admit(role awsiam.IRole, servers awsec2.IConnectable) constructs.IDependable {
	s.network.admit(servers, postgresPort)
	user := awscdk.Stack_Of(s.cluster).FormatArn(&awscdk.ArnComponents{
		Service: jsii.String("rds-db"), Resource: jsii.String("dbuser"),
		ResourceName: jsii.String(*s.cluster.AttrDbClusterResourceId() + "/" + postgresUser),
		ArnFormat:    awscdk.ArnFormat_COLON_RESOURCE_NAME,
	})
	policy := newStorePolicy(s.scope, role, allow([]*string{user}, "rds-db:connect"))
	return constructs.NewDependencyGroup(policy, s.network.securityGroup)
}

// Graphs implements SessionStore.
func (s PostgresStore) Graphs() []awscloudwatch.IWidget {
	return []awscloudwatch.IWidget{
		graph("Database: capacity (ACU)", s.metric("ServerlessDatabaseCapacity", "Average")),
		graph("Database: CPU and capacity used (%)", s.metric("CPUUtilization", "Average"), s.metric("ACUUtilization", "Average")),
		graph("Database: commit latency (ms)", s.metric("CommitLatency", "Average")),
		graph("Database: connections, and deadlocks a second", s.metric("DatabaseConnections", "Sum"), s.metric("Deadlocks", "Sum")),
	}
}

// Alarms implements SessionStore.
func (s PostgresStore) Alarms() []Alarm {
	return []Alarm{
		{"StoreFull", "The session database is at the end of its capacity units: raise maxACU.",
			s.metric("ACUUtilization", "Maximum"), 90, 5},
		{"StoreSlow", "A commit of the session database takes 50 ms on average.", s.metric("CommitLatency", "Average"), 50, 5},
	}
}

// rdsAuthorities are the certificates by region, from data/rds-ca.pem.
func rdsAuthorities() *map[string]*map[string]any {
	authorities := map[string]*map[string]any{}
	for _, entry := range strings.Split(authoritiesFile, "# ")[1:] {
		region, pem, _ := strings.Cut(entry, "\n")
		authorities[region] = &map[string]any{"pem": pem}
	}
	return &authorities
}

func (s PostgresStore) metric(name, statistic string) awscloudwatch.IMetric {
	return metric("AWS/RDS", name, statistic, name, map[string]*string{"DBClusterIdentifier": s.cluster.Ref()})
}
