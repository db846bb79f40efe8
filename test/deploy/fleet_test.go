package deploy

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	scaling "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	balancing "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

const (
	targetGroup  = "AWS::ElasticLoadBalancingV2::TargetGroup"
	loadBalancer = "AWS::ElasticLoadBalancingV2::LoadBalancer"
	group        = "AWS::AutoScaling::AutoScalingGroup"
)

// fleetPromises returns the promises about the load balancer and the servers.
func fleetPromises() []promise {
	shared := []string{"dynamodb", "valkey", "redis", "memcached", "postgres", "cookie", "token"}
	return []promise{
		{"any server may serve any request", shared, func(ctx context.Context, l deployment) error {
			return l.targetGroupAttribute(ctx, "stickiness.enabled", "false")
		}, setAttribute(targetGroup, "TargetGroupAttributes", "stickiness.enabled", "true")},
		{"visitors stick to their server", []string{"memory"}, func(ctx context.Context, l deployment) error {
			return l.targetGroupAttribute(ctx, "stickiness.enabled", "true")
		}, setAttribute(targetGroup, "TargetGroupAttributes", "stickiness.enabled", "false")},
		{"a server that leaves finishes its requests", nil, func(ctx context.Context, l deployment) error {
			return l.targetGroupAttribute(ctx, "deregistration_delay.timeout_seconds", "30")
		}, setAttribute(targetGroup, "TargetGroupAttributes", "deregistration_delay.timeout_seconds", "300")},
		{"health checks don't call the store", nil, func(ctx context.Context, l deployment) error {
			found, err := l.targets(ctx)
			return errors.Join(err, want("the path", aws.ToString(found.HealthCheckPath), "/healthz"))
		}, set(targetGroup, "HealthCheckPath", "/readyz")},
		{"the load balancer forwards to the target group", nil, forwards,
			set("AWS::ElasticLoadBalancingV2::Listener", "DefaultActions", []any{map[string]any{
				"Type": "fixed-response", "FixedResponseConfig": map[string]any{"StatusCode": "503"}}})},
		{"the load balancer drops invalid headers", nil, func(ctx context.Context, l deployment) error {
			return l.balancerAttribute(ctx, "routing.http.drop_invalid_header_fields.enabled", "true")
		}, setAttribute(loadBalancer, "LoadBalancerAttributes", "routing.http.drop_invalid_header_fields.enabled", "false")},
		{"the load balancer writes access logs", nil, func(ctx context.Context, l deployment) error {
			return l.balancerAttribute(ctx, "access_logs.s3.enabled", "true")
		}, setAttribute(loadBalancer, "LoadBalancerAttributes", "access_logs.s3.enabled", "false")},
		{"the access logs are private", nil, privateLogs, set("AWS::S3::Bucket", "PublicAccessBlockConfiguration", nil)},
		{"servers are in the target group", nil, func(ctx context.Context, l deployment) error {
			servers, err := l.group(ctx)
			arn, missing := l.id(targetGroup, "")
			if err := errors.Join(err, missing); err != nil {
				return err
			}
			return want("membership in the target group", slices.Contains(servers.TargetGroupARNs, arn), true)
		}, set(group, "TargetGroupARNs", nil)},
		{"the load balancer checks the health of the servers", nil, func(ctx context.Context, l deployment) error {
			servers, err := l.group(ctx)
			return errors.Join(err, want("the health check", aws.ToString(servers.HealthCheckType), "ELB"))
		}, set(group, "HealthCheckType", "EC2")},
		{"servers use the newest launch template", nil, newestServers, func(t template) {
			t.of(group, "")[0]["LaunchTemplate"].(map[string]any)["Version"] = "1"
		}},
		{"a server's credentials require a token (IMDSv2)", nil, func(ctx context.Context, l deployment) error {
			data, err := l.launchTemplate(ctx)
			return errors.Join(err, want("HttpTokens", data.text("metadataOptions", "httpTokens"), "required"),
				want("the hop limit", data.text("metadataOptions", "httpPutResponseHopLimit"), "1"))
		}, setData("optional", "MetadataOptions", "HttpTokens")},
		{"servers' disks are encrypted", nil, func(ctx context.Context, l deployment) error {
			data, err := l.launchTemplate(ctx)
			disks := data.all("ebs")
			for _, disk := range disks {
				err = errors.Join(err, want("encrypted", disk.text("encrypted"), "true"))
			}
			return errors.Join(err, want("the number of disks", len(disks), 1))
		}, setData([]any{map[string]any{"DeviceName": "/dev/xvda", "Ebs": map[string]any{"VolumeSize": 8}}},
			"BlockDeviceMappings")},
		{"servers have no SSH key", nil, func(ctx context.Context, l deployment) error {
			data, err := l.launchTemplate(ctx)
			return errors.Join(err, want("the key", data.text("keyName"), ""))
		}, setData("somebody", "KeyName")},
		{"the environment of servers names their store", nil, knownStore, setData("IyEvYmluL2Jhc2gK", "UserData")},
		{"only the load balancer is open to the internet", nil, closed, func(t template) {
			for _, properties := range t.of("AWS::EC2::SecurityGroup", "Fleet") {
				properties["SecurityGroupIngress"] = []any{map[string]any{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22,
					"CidrIp": "0.0.0.0/0"}}
			}
		}},
	}
}

func (l deployment) targets(ctx context.Context) (balancing.TargetGroup, error) {
	arn, err := l.id(targetGroup, "")
	if err != nil {
		return balancing.TargetGroup{}, err
	}
	response, err := l.elb.DescribeTargetGroups(ctx, &elb.DescribeTargetGroupsInput{TargetGroupArns: []string{arn}})
	if err != nil || len(response.TargetGroups) != 1 {
		return balancing.TargetGroup{}, errors.Join(errMissing, err)
	}
	return response.TargetGroups[0], nil
}

func (l deployment) targetGroupAttribute(ctx context.Context, key, value string) error {
	arn, err := l.id(targetGroup, "")
	if err != nil {
		return err
	}
	response, err := l.elb.DescribeTargetGroupAttributes(ctx,
		&elb.DescribeTargetGroupAttributesInput{TargetGroupArn: aws.String(arn)})
	if err != nil {
		return err
	}
	return stated(response.Attributes, key, value)
}

func (l deployment) balancerAttribute(ctx context.Context, key, value string) error {
	arn, err := l.id(loadBalancer, "")
	if err != nil {
		return err
	}
	response, err := l.elb.DescribeLoadBalancerAttributes(ctx,
		&elb.DescribeLoadBalancerAttributesInput{LoadBalancerArn: aws.String(arn)})
	if err != nil {
		return err
	}
	return stated(response.Attributes, key, value)
}

// stated returns an error unless the attribute of that key has the value.
func stated[A balancing.TargetGroupAttribute | balancing.LoadBalancerAttribute](attributes []A, key, value string) error {
	for _, attribute := range attributes {
		if attribute := balancing.TargetGroupAttribute(attribute); aws.ToString(attribute.Key) == key {
			return want(key, aws.ToString(attribute.Value), value)
		}
	}
	return fmt.Errorf("the attribute %s is missing", key)
}

func forwards(ctx context.Context, l deployment) error {
	arn, err := l.id(loadBalancer, "")
	if err != nil {
		return err
	}
	to, err := l.id(targetGroup, "")
	if err != nil {
		return err
	}
	response, err := l.elb.DescribeListeners(ctx, &elb.DescribeListenersInput{LoadBalancerArn: aws.String(arn)})
	if err != nil {
		return err
	}
	for _, listener := range response.Listeners {
		for _, action := range listener.DefaultActions {
			if aws.ToString(action.TargetGroupArn) == to {
				return nil
			}
		}
	}
	return errors.New("no listener forwards to the target group")
}

func privateLogs(ctx context.Context, l deployment) error {
	bucket, err := l.id("AWS::S3::Bucket", "Balancer")
	if err != nil {
		return err
	}
	response, err := l.s3.GetPublicAccessBlock(ctx, &s3.GetPublicAccessBlockInput{Bucket: aws.String(bucket)})
	if err != nil {
		return err
	}
	block := response.PublicAccessBlockConfiguration
	return want("public access blocked in four ways", aws.ToBool(block.BlockPublicAcls) &&
		aws.ToBool(block.BlockPublicPolicy) && aws.ToBool(block.IgnorePublicAcls) &&
		aws.ToBool(block.RestrictPublicBuckets), true)
}

func (l deployment) group(ctx context.Context) (scaling.AutoScalingGroup, error) {
	name, err := l.id(group, "")
	if err != nil {
		return scaling.AutoScalingGroup{}, err
	}
	response, err := l.autoscaling.DescribeAutoScalingGroups(ctx,
		&autoscaling.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: []string{name}})
	if err != nil || len(response.AutoScalingGroups) != 1 {
		return scaling.AutoScalingGroup{}, errors.Join(errMissing, err)
	}
	return response.AutoScalingGroups[0], nil
}

// launchTemplate returns the data of the newest version.
func (l deployment) launchTemplate(ctx context.Context) (element, error) {
	id, err := l.id("AWS::EC2::LaunchTemplate", "")
	if err != nil {
		return element{}, err
	}
	response, err := l.ec2(ctx, "DescribeLaunchTemplateVersions", "LaunchTemplateId", id,
		"LaunchTemplateVersion.1", "$Latest")
	if err != nil {
		return element{}, err
	}
	data := response.all("launchTemplateData")
	if len(data) != 1 {
		return element{}, errMissing
	}
	return data[0], nil
}

func newestServers(ctx context.Context, l deployment) error {
	servers, err := l.group(ctx)
	if err != nil {
		return err
	}
	if servers.LaunchTemplate == nil {
		return errors.New("no launch template")
	}
	response, err := l.ec2(ctx, "DescribeLaunchTemplates", "LaunchTemplateId.1",
		aws.ToString(servers.LaunchTemplate.LaunchTemplateId))
	if err != nil {
		return err
	}
	newest := response.all("latestVersionNumber")
	if len(newest) != 1 {
		return errMissing
	}
	return want("the version", aws.ToString(servers.LaunchTemplate.Version), newest[0].text())
}

func knownStore(ctx context.Context, l deployment) error {
	data, err := l.launchTemplate(ctx)
	if err != nil {
		return err
	}
	script, err := base64.StdEncoding.DecodeString(data.text("userData"))
	if err != nil {
		return err
	}
	_, after, _ := strings.Cut(string(script), "\nSESSION_STORE=")
	stated, _, _ := strings.Cut(after, "\n")
	expected := strconv.Quote(l.store)
	switch l.store {
	case "redis":
		expected = `"valkey"` // servers use the same protocol for both
	case "memory":
		expected = "" // the default of servers
	}
	return errors.Join(want("SESSION_STORE", stated, expected),
		want("an environment with SERVER_NAME", strings.Contains(string(script), "\nSERVER_NAME="), true))
}

// closed checks every security group of the lab's network.
func closed(ctx context.Context, l deployment) error {
	arn, err := l.id(loadBalancer, "")
	if err != nil {
		return err
	}
	response, err := l.elb.DescribeLoadBalancers(ctx, &elb.DescribeLoadBalancersInput{LoadBalancerArns: []string{arn}})
	if err != nil || len(response.LoadBalancers) != 1 {
		return errors.Join(errMissing, err)
	}
	balancer := response.LoadBalancers[0]
	groups, err := l.ec2(ctx, "DescribeSecurityGroups", "Filter.1.Name", "vpc-id", "Filter.1.Value.1",
		aws.ToString(balancer.VpcId))
	if err != nil {
		return err
	}
	opened := 0
	for _, info := range groups.all("securityGroupInfo") {
		for _, group := range info.Children {
			for _, rule := range (element{Children: group.Children}).all("ipPermissions") {
				for _, address := range rule.all("cidrIp") {
					if address.text() != "0.0.0.0/0" {
						continue
					}
					opened++
					if id := group.text("groupId"); !slices.Contains(balancer.SecurityGroups, id) {
						return fmt.Errorf("security group %s is open to the internet", id)
					}
				}
			}
		}
	}
	return want("the number of open ports", opened, 1)
}
