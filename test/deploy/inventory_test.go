package deploy

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// A listing is a call that lists resources of a kind, with the name of their identifier in the response.
type listing struct {
	kind, service, version, action, name string
}

// queries returns the listings of the Query protocol.
func queries() []listing {
	ec2 := func(kind, action, name string) listing { return listing{kind, "ec2", "2016-11-15", action, name} }
	iam := func(kind, action, name string) listing { return listing{kind, "iam", "2010-05-08", action, name} }
	cache := func(kind, action, name string) listing {
		return listing{kind, "elasticache", "2015-02-02", action, name}
	}
	rds := func(kind, action, name string) listing { return listing{kind, "rds", "2014-10-31", action, name} }
	elb := func(kind, action, name string) listing {
		return listing{kind, "elasticloadbalancing", "2015-12-01", action, name}
	}
	return []listing{
		ec2("VPC", "DescribeVpcs", "vpcId"),
		ec2("subnet", "DescribeSubnets", "subnetId"),
		ec2("security group", "DescribeSecurityGroups", "groupId"),
		ec2("route table", "DescribeRouteTables", "routeTableId"),
		ec2("internet gateway", "DescribeInternetGateways", "internetGatewayId"),
		ec2("elastic IP address", "DescribeAddresses", "allocationId"),
		ec2("VPC endpoint", "DescribeVpcEndpoints", "vpcEndpointId"),
		ec2("flow log", "DescribeFlowLogs", "flowLogId"),
		ec2("launch template", "DescribeLaunchTemplates", "launchTemplateId"),
		ec2("volume", "DescribeVolumes", "volumeId"),
		iam("role", "ListRoles", "RoleName"),
		iam("customer managed policy", "ListPolicies", "PolicyName"),
		iam("instance profile", "ListInstanceProfiles", "InstanceProfileName"),
		elb("load balancer", "DescribeLoadBalancers", "LoadBalancerArn"),
		elb("target group", "DescribeTargetGroups", "TargetGroupArn"),
		{"Auto Scaling group", "autoscaling", "2011-01-01", "DescribeAutoScalingGroups", "AutoScalingGroupName"},
		{"alarm", "monitoring", "2010-08-01", "DescribeAlarms", "AlarmName"},
		{"dashboard", "monitoring", "2010-08-01", "ListDashboards", "DashboardName"},
		{"topic", "sns", "2010-03-31", "ListTopics", "TopicArn"},
		cache("replication group", "DescribeReplicationGroups", "ReplicationGroupId"),
		cache("cache cluster", "DescribeCacheClusters", "CacheClusterId"),
		cache("serverless cache", "DescribeServerlessCaches", "ServerlessCacheName"),
		cache("cache user", "DescribeUsers", "UserId"),
		cache("cache user group", "DescribeUserGroups", "UserGroupId"),
		cache("cache subnet group", "DescribeCacheSubnetGroups", "CacheSubnetGroupName"),
		cache("cache snapshot", "DescribeSnapshots", "SnapshotName"),
		rds("database cluster", "DescribeDBClusters", "DBClusterIdentifier"),
		rds("database instance", "DescribeDBInstances", "DBInstanceIdentifier"),
		rds("database subnet group", "DescribeDBSubnetGroups", "DBSubnetGroupName"),
		rds("database snapshot", "DescribeDBClusterSnapshots", "DBClusterSnapshotIdentifier"),
	}
}

// targets returns the listings of the JSON protocol. Their version is the prefix of the action.
func targets() []listing {
	return []listing{
		{"table", "dynamodb", "DynamoDB_20120810", "ListTables", "TableNames"},
		{"log group", "logs", "Logs_20140328", "DescribeLogGroups", "logGroupName"},
		{"secret", "secretsmanager", "secretsmanager", "ListSecrets", "ARN"},
		{"key", "kms", "TrentService", "ListKeys", "KeyId"},
	}
}

// inventory returns all resources in the account of the kinds that the stacks make, as "kind name".
func (a account) inventory(ctx context.Context) ([]string, error) {
	found := map[string]bool{}
	for _, l := range queries() {
		var options []string
		if l.action == "ListPolicies" {
			options = []string{"Scope", "Local"}
		}
		response, err := a.query(ctx, l.service, l.version, l.action, options...)
		if err != nil {
			return nil, err
		}
		for _, id := range response.all(l.name) {
			found[l.kind+" "+id.text()] = true
		}
	}
	if err := a.addRunning(ctx, found); err != nil {
		return nil, err
	}
	for _, l := range targets() {
		header := http.Header{"Content-Type": {"application/x-amz-json-1.1"}, "X-Amz-Target": {l.version + "." + l.action}}
		response, err := a.call(ctx, l.service, http.MethodPost, "/", header, "{}")
		if err != nil {
			return nil, fmt.Errorf("%s: %w", l.action, err)
		}
		if err := collect(response, l.kind, l.name, found); err != nil {
			return nil, fmt.Errorf("%s: %w", l.action, err)
		}
	}
	functions, err := a.call(ctx, "lambda", http.MethodGet, "/2015-03-31/functions/", http.Header{}, "")
	if err != nil {
		return nil, fmt.Errorf("ListFunctions: %w", err)
	}
	if err := collect(functions, "function", "FunctionName", found); err != nil {
		return nil, fmt.Errorf("ListFunctions: %w", err)
	}
	buckets, err := a.s3.ListBuckets(ctx, nil)
	if err != nil {
		return nil, err
	}
	for _, bucket := range buckets.Buckets {
		found["bucket "+*bucket.Name] = true
	}
	stacks, err := a.cloudformation.DescribeStacks(ctx, nil)
	if err != nil {
		return nil, err
	}
	for _, stack := range stacks.Stacks {
		found["stack "+*stack.StackName] = true
	}
	var names []string
	for name := range found {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, nil
}

// addRunning adds the resources that EC2 still lists for up to an hour after their end, except ended ones.
func (a account) addRunning(ctx context.Context, found map[string]bool) error {
	gateways, err := a.ec2(ctx, "DescribeNatGateways")
	if err != nil {
		return err
	}
	for _, gateway := range gateways.all("item") {
		if id := gateway.text("natGatewayId"); id != "" && gateway.text("state") != "deleted" {
			found["NAT gateway "+id] = true
		}
	}
	instances, err := a.ec2(ctx, "DescribeInstances")
	if err != nil {
		return err
	}
	for _, instance := range instances.all("item") {
		if id := instance.text("instanceId"); id != "" && instance.text("instanceState", "name") != "terminated" {
			found["instance "+id] = true
		}
	}
	return nil
}

// collect adds the strings that a JSON response has under a name, at any depth.
func collect(response []byte, kind, name string, found map[string]bool) error {
	var tree any
	if err := json.Unmarshal(response, &tree); err != nil {
		return err
	}
	var walk func(value any, under bool)
	walk = func(value any, under bool) {
		switch value := value.(type) {
		case string:
			if under {
				found[kind+" "+value] = true
			}
		case []any:
			for _, inner := range value {
				walk(inner, under)
			}
		case map[string]any:
			for key, inner := range value {
				walk(inner, key == name)
			}
		}
	}
	walk(tree, false)
	return nil
}

// left returns the entries of after that are not in before.
func left(before, after []string) []string {
	return slices.DeleteFunc(slices.Clone(after), func(name string) bool { return slices.Contains(before, name) })
}

// retained reports whether docs/destroy.md says that the resource is retained.
func retained(name string) bool {
	return strings.HasPrefix(name, "bucket ") && strings.Contains(name, "lab-balanceraccesslogs") || loaderResults(name) ||
		strings.HasPrefix(name, "log group ") && strings.Contains(name, "FleetLog")
}

// loaderResults reports whether the resource is the retained bucket with the results of the loaders.
func loaderResults(name string) bool { return strings.HasPrefix(name, "bucket statelessload-results") }
