package stacks

import (
	_ "embed"
	"fmt"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsrds"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"stateless-servers/app/config"
)

const (
	postgresPort     = 5432
	postgresUser     = "stateless"
	postgresDatabase = "sessions"
	// postgresInstances is the number of instances: a writer, and a reader in another zone for failover.
	postgresInstances = 2
)

// rdsCertificates holds the certificate authorities rds-ca-rsa2048-g1 of Amazon RDS, each after a line "# region". They are
// valid until 2061. A deployment to a region that isn't in the file fails at once.
//
//go:embed data/rds-ca.pem
var rdsCertificates string

// PostgresStoreProps are the inputs of NewPostgresStore.
type PostgresStoreProps struct {
	Vpc awsec2.IVpc
	// Subnets hold the database. They need no route out of the VPC. The default is private subnets.
	Subnets *awsec2.SubnetSelection
	// Stage keeps backups in production for five weeks instead of a day, and takes a final snapshot when the stack or the
	// store is deleted.
	Stage Stage
	// Protect turns on deletion protection.
	Protect bool
	Config  PostgresConfig
}

// NewPostgresStore defines an Amazon Aurora PostgreSQL cluster, Serverless v2, with two instances and storage encrypted with
// the AWS managed key. There is no password: servers authenticate with IAM as the owner of the session database, in which
// they create their tables. Aurora requires TLS from PostgreSQL 15 on, and servers verify its certificate.
func NewPostgresStore(scope constructs.Construct, id string, props *PostgresStoreProps) Attachment {
	scope = constructs.NewConstruct(scope, jsii.String(id))
	production := props.Stage == StageProduction
	network := newStoreNetwork(scope, props.Vpc, props.Subnets, "Session database")
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
		DeletionProtection:              jsii.Bool(props.Protect),
		EnableCloudwatchLogsExports:     jsii.Strings("postgresql"),
		ServerlessV2ScalingConfiguration: &awsrds.CfnDBCluster_ServerlessV2ScalingConfigurationProperty{
			MinCapacity: jsii.Number(props.Config.MinACU), MaxCapacity: jsii.Number(props.Config.MaxACU),
		},
	})
	if production {
		cluster.ApplyRemovalPolicy(awscdk.RemovalPolicy_SNAPSHOT, nil)
	} else {
		cluster.ApplyRemovalPolicy(awscdk.RemovalPolicy_DESTROY, nil)
	}
	if !props.Protect {
		suppress(cluster, "AwsSolutions-RDS10", "The stage lab is for experiments and is deleted completely. In production "+
			"protect=false is for the first deployment and before cdk destroy.")
	}
	var instances []constructs.IDependable
	for i := range postgresInstances {
		instances = append(instances, awsrds.NewCfnDBInstance(scope, jsii.String(fmt.Sprintf("Instance%d", i+1)), &awsrds.CfnDBInstanceProps{
			Engine:                  jsii.String("aurora-postgresql"),
			DbClusterIdentifier:     cluster.Ref(),
			DbInstanceClass:         jsii.String("db.serverless"),
			PromotionTier:           jsii.Number(1), // the reader scales with the writer, and is ready for a failover
			PubliclyAccessible:      jsii.Bool(false),
			AutoMinorVersionUpgrade: jsii.Bool(true),
			CaCertificateIdentifier: jsii.String("rds-ca-rsa2048-g1"), // which the servers trust
		}))
	}
	// Amazon RDS has a private certificate authority in each region, which operating systems don't trust.
	certificates := awscdk.NewCfnMapping(scope, jsii.String("Certificates"), &awscdk.CfnMappingProps{
		Mapping: rdsAuthorities(),
	})
	user := awscdk.Stack_Of(cluster).FormatArn(&awscdk.ArnComponents{
		Service: jsii.String("rds-db"), Resource: jsii.String("dbuser"),
		ResourceName: jsii.String(*cluster.AttrDbClusterResourceId() + "/" + postgresUser),
		ArnFormat:    awscdk.ArnFormat_COLON_RESOURCE_NAME,
	})
	return func(servers *Servers) {
		servers.Environment.Store = config.StorePostgres
		servers.Environment.PostgresURL = fmt.Sprintf("postgres://%s@%s:%d/%s?sslmode=verify-full&sslrootcert=%s", postgresUser,
			*cluster.AttrEndpointAddress(), postgresPort, postgresDatabase, certificatesFile)
		servers.Environment.PostgresIAM = true
		servers.Environment.Certificates = *certificates.FindInMap(awscdk.Aws_REGION(), jsii.String("pem"), nil)
		network.allowServers(servers, postgresPort)
		// Servers refer to the cluster only, which exists minutes before its first instance answers.
		servers.Dependencies = append(servers.Dependencies, instances...)
		servers.grant(scope, allow([]*string{user}, "rds-db:connect"))
		servers.monitor(databaseGraphs(cluster))
	}
}

func databaseGraphs(cluster awsrds.CfnDBCluster) ([]awscloudwatch.IWidget, []Alarm) {
	of := func(name, statistic string) awscloudwatch.IMetric {
		return metric("AWS/RDS", name, statistic, name, map[string]*string{"DBClusterIdentifier": cluster.Ref()})
	}
	return []awscloudwatch.IWidget{
			graph("Database: capacity (ACU)", of("ServerlessDatabaseCapacity", "Average")),
			graph("Database: CPU and capacity used (%)", of("CPUUtilization", "Average"), of("ACUUtilization", "Average")),
			graph("Database: commit latency (ms)", of("CommitLatency", "Average")),
			graph("Database: connections, and deadlocks a second", of("DatabaseConnections", "Sum"), of("Deadlocks", "Sum")),
		}, []Alarm{
			{"StoreFull", "The session database uses 90 % or more of its maximum capacity: raise maxACU.",
				of("ACUUtilization", "Maximum"), 90, 5},
			{"StoreSlow", "A commit in the session database takes 50 ms or more on average.", of("CommitLatency", "Average"), 50, 5},
		}
}

// rdsAuthorities returns the certificates by region, from data/rds-ca.pem.
func rdsAuthorities() *map[string]*map[string]any {
	authorities := map[string]*map[string]any{}
	for _, entry := range strings.Split(rdsCertificates, "# ")[1:] {
		region, pem, _ := strings.Cut(entry, "\n")
		authorities[region] = &map[string]any{"pem": pem}
	}
	return &authorities
}
