package deploy

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	table "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/elasticache"
	cache "github.com/aws/aws-sdk-go-v2/service/elasticache/types"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	database "github.com/aws/aws-sdk-go-v2/service/rds/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

const (
	dynamoTable      = "AWS::DynamoDB::GlobalTable"
	replicationGroup = "AWS::ElastiCache::ReplicationGroup"
	cacheCluster     = "AWS::ElastiCache::CacheCluster"
	dbCluster        = "AWS::RDS::DBCluster"
	rotationDays     = 30
)

// storePromises returns the promises about the session store.
func storePromises() []promise {
	caches, keys := []string{"valkey", "redis"}, []string{"cookie", "token"}
	return []promise{
		{"DynamoDB deletes expired sessions (TTL)", []string{"dynamodb"}, expires, set(dynamoTable,
			"TimeToLiveSpecification", map[string]any{"AttributeName": "ttl", "Enabled": false})},
		{"sessions in DynamoDB are encrypted with a key of the account", []string{"dynamodb"},
			func(ctx context.Context, l deployment) error {
				found, err := l.table(ctx)
				if err != nil {
					return err
				}
				return want("encryption by KMS", found.SSEDescription != nil &&
					found.SSEDescription.Status == table.SSEStatusEnabled, true)
			}, set(dynamoTable, "SSESpecification", map[string]any{"SSEEnabled": false})},
		{"sessions of a user are found by an index", []string{"dynamodb"}, func(ctx context.Context, l deployment) error {
			found, err := l.table(ctx)
			if err != nil || len(found.GlobalSecondaryIndexes) != 1 {
				return errors.Join(fmt.Errorf("%d indexes", len(found.GlobalSecondaryIndexes)), err)
			}
			return want("the index", aws.ToString(found.GlobalSecondaryIndexes[0].IndexName), "owner")
		}, set(dynamoTable, "GlobalSecondaryIndexes", nil)},

		{"traffic to the cache is encrypted", caches, func(ctx context.Context, l deployment) error {
			found, err := l.replicationGroup(ctx)
			return errors.Join(err, want("TransitEncryptionEnabled", aws.ToBool(found.TransitEncryptionEnabled), true))
		}, set(replicationGroup, "TransitEncryptionEnabled", false)},
		{"the cache's storage is encrypted", caches, func(ctx context.Context, l deployment) error {
			found, err := l.replicationGroup(ctx)
			return errors.Join(err, want("AtRestEncryptionEnabled", aws.ToBool(found.AtRestEncryptionEnabled), true))
		}, set(replicationGroup, "AtRestEncryptionEnabled", false)},
		{"a replica in another zone takes over", caches, func(ctx context.Context, l deployment) error {
			found, err := l.replicationGroup(ctx)
			return errors.Join(err, want("MultiAZ", found.MultiAZ, cache.MultiAZStatusEnabled),
				want("AutomaticFailover", found.AutomaticFailover, cache.AutomaticFailoverStatusEnabled))
		}, set(replicationGroup, "MultiAZEnabled", false)},
		{"servers log in to the cache with IAM", caches, cacheUsers, set("AWS::ElastiCache::User", "AuthenticationMode",
			map[string]any{"Type": "no-password-required"})},

		{"traffic to Memcached is encrypted", []string{"memcached"}, func(ctx context.Context, l deployment) error {
			found, err := l.cacheCluster(ctx)
			return errors.Join(err, want("TransitEncryptionEnabled", aws.ToBool(found.TransitEncryptionEnabled), true))
		}, set(cacheCluster, "TransitEncryptionEnabled", false)},
		{"Memcached has two nodes", []string{"memcached"}, func(ctx context.Context, l deployment) error {
			found, err := l.cacheCluster(ctx)
			return errors.Join(err, want("NumCacheNodes", aws.ToInt32(found.NumCacheNodes), 2))
		}, set(cacheCluster, "NumCacheNodes", 3)},

		{"the database is encrypted", []string{"postgres"}, func(ctx context.Context, l deployment) error {
			found, err := l.dbCluster(ctx)
			return errors.Join(err, want("StorageEncrypted", aws.ToBool(found.StorageEncrypted), true))
		}, set(dbCluster, "StorageEncrypted", false)},
		{"servers log in to the database with IAM", []string{"postgres"}, func(ctx context.Context, l deployment) error {
			found, err := l.dbCluster(ctx)
			return errors.Join(err, want("IAMDatabaseAuthenticationEnabled",
				aws.ToBool(found.IAMDatabaseAuthenticationEnabled), true))
		}, set(dbCluster, "EnableIAMDatabaseAuthentication", false)},
		{"the database has two instances, none of them public", []string{"postgres"}, privateInstances,
			set("AWS::RDS::DBInstance", "PubliclyAccessible", true)},

		{"the keys of sessions rotate", keys, rotates, set("AWS::SecretsManager::RotationSchedule", "RotationRules",
			map[string]any{"AutomaticallyAfterDays": 10 * rotationDays})},
	}
}

func (l deployment) table(ctx context.Context) (table.TableDescription, error) {
	name, err := l.id(dynamoTable, "")
	if err != nil {
		return table.TableDescription{}, err
	}
	response, err := l.dynamodb.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: aws.String(name)})
	if err != nil {
		return table.TableDescription{}, err
	}
	return *response.Table, nil
}

func expires(ctx context.Context, l deployment) error {
	name, err := l.id(dynamoTable, "")
	if err != nil {
		return err
	}
	response, err := l.dynamodb.DescribeTimeToLive(ctx, &dynamodb.DescribeTimeToLiveInput{TableName: aws.String(name)})
	if err != nil {
		return err
	}
	return errors.Join(want("TTL", response.TimeToLiveDescription.TimeToLiveStatus, table.TimeToLiveStatusEnabled),
		want("its attribute", aws.ToString(response.TimeToLiveDescription.AttributeName), "ttl"))
}

func (l deployment) replicationGroup(ctx context.Context) (cache.ReplicationGroup, error) {
	id, err := l.id(replicationGroup, "")
	if err != nil {
		return cache.ReplicationGroup{}, err
	}
	response, err := l.elasticache.DescribeReplicationGroups(ctx,
		&elasticache.DescribeReplicationGroupsInput{ReplicationGroupId: aws.String(id)})
	if err != nil || len(response.ReplicationGroups) != 1 {
		return cache.ReplicationGroup{}, errors.Join(errMissing, err)
	}
	return response.ReplicationGroups[0], nil
}

// cacheUsers checks that the cache has one group of users, whose members log in with IAM or have no permissions.
func cacheUsers(ctx context.Context, l deployment) error {
	found, err := l.replicationGroup(ctx)
	if err != nil || len(found.UserGroupIds) != 1 {
		return errors.Join(fmt.Errorf("%d user groups", len(found.UserGroupIds)), err)
	}
	users, err := l.elasticache.DescribeUsers(ctx, &elasticache.DescribeUsersInput{Filters: []cache.Filter{
		{Name: aws.String("user-group-id"), Values: found.UserGroupIds}}})
	if err != nil {
		return err
	}
	byIAM := 0
	for _, user := range users.Users {
		switch {
		case user.Authentication != nil && user.Authentication.Type == cache.AuthenticationTypeIam:
			byIAM++
		case aws.ToString(user.AccessString) != "off -@all":
			return fmt.Errorf("user %s can log in without IAM", aws.ToString(user.UserId))
		}
	}
	return want("the number of users with IAM", byIAM, 1)
}

func (l deployment) cacheCluster(ctx context.Context) (cache.CacheCluster, error) {
	id, err := l.id(cacheCluster, "")
	if err != nil {
		return cache.CacheCluster{}, err
	}
	response, err := l.elasticache.DescribeCacheClusters(ctx,
		&elasticache.DescribeCacheClustersInput{CacheClusterId: aws.String(id)})
	if err != nil || len(response.CacheClusters) != 1 {
		return cache.CacheCluster{}, errors.Join(errMissing, err)
	}
	return response.CacheClusters[0], nil
}

func (l deployment) dbCluster(ctx context.Context) (database.DBCluster, error) {
	id, err := l.id(dbCluster, "")
	if err != nil {
		return database.DBCluster{}, err
	}
	response, err := l.rds.DescribeDBClusters(ctx, &rds.DescribeDBClustersInput{DBClusterIdentifier: aws.String(id)})
	if err != nil || len(response.DBClusters) != 1 {
		return database.DBCluster{}, errors.Join(errMissing, err)
	}
	return response.DBClusters[0], nil
}

func privateInstances(ctx context.Context, l deployment) error {
	cluster, err := l.dbCluster(ctx)
	if err != nil {
		return err
	}
	for _, member := range cluster.DBClusterMembers {
		response, err := l.rds.DescribeDBInstances(ctx,
			&rds.DescribeDBInstancesInput{DBInstanceIdentifier: member.DBInstanceIdentifier})
		if err != nil || len(response.DBInstances) != 1 {
			return errors.Join(errMissing, err)
		}
		if err := want("PubliclyAccessible", aws.ToBool(response.DBInstances[0].PubliclyAccessible), false); err != nil {
			return err
		}
	}
	return want("the number of instances", len(cluster.DBClusterMembers), 2)
}

func rotates(ctx context.Context, l deployment) error {
	secret, err := l.id("AWS::SecretsManager::Secret", "")
	if err != nil {
		return err
	}
	response, err := l.secrets.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: aws.String(secret)})
	if err != nil {
		return err
	}
	if response.RotationRules == nil {
		return errors.New("no rules of rotation")
	}
	return errors.Join(want("RotationEnabled", aws.ToBool(response.RotationEnabled), true),
		want("the days", aws.ToInt64(response.RotationRules.AutomaticallyAfterDays), rotationDays))
}
