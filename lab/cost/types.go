package cost

import (
	"fmt"
	"math"
	"strings"
)

// pricers know what a resource of a type costs.
var pricers = map[string]func(*work, Resource){
	"AWS::AutoScaling::AutoScalingGroup":        autoScalingGroup,
	"AWS::AutoScaling::ScalingPolicy":           scalingPolicy,
	"AWS::EC2::Instance":                        instance,
	"AWS::ElasticLoadBalancingV2::LoadBalancer": loadBalancer,
	"AWS::EC2::NatGateway":                      func(w *work, r Resource) { w.hours(r, "NAT gateway", "nat-gateway:hour", 1) },
	"AWS::EC2::EIP":                             func(w *work, r Resource) { w.hours(r, "public IPv4 address", "ipv4", 1) },
	"AWS::EC2::VPCEndpoint":                     endpoint,
	"AWS::DynamoDB::GlobalTable":                table,
	"AWS::DAX::Cluster":                         dax,
	"AWS::ElastiCache::ReplicationGroup":        replicationGroup,
	"AWS::ElastiCache::CacheCluster":            cacheCluster,
	"AWS::ElastiCache::ServerlessCache":         serverlessCache,
	"AWS::RDS::DBCluster":                       databaseCluster,
	"AWS::SecretsManager::Secret":               func(w *work, r Resource) { w.add(r, "secret", "secret", 1) },
	"AWS::KMS::Key":                             func(w *work, r Resource) { w.add(r, "customer key", "kms:key", 1) },
	"AWS::CloudWatch::Alarm":                    alarm,
	"AWS::CloudWatch::Dashboard":                func(w *work, r Resource) { w.add(r, "dashboard", "cloudwatch:dashboard", 1) },
	"AWS::WAFv2::WebACL":                        webACL,
}

// notCounted are types that cost by use that the traffic says nothing of.
var notCounted = map[string]string{
	"AWS::Logs::LogGroup":              "by what is logged, 0.50 USD a GB or so",
	"AWS::EC2::FlowLog":                "by what is logged",
	"AWS::WAFv2::LoggingConfiguration": "by what is logged",
	"AWS::S3::Bucket":                  "access logs: by what is logged",
	"AWS::Lambda::Function":            "runs seldom: cents",
	"AWS::CloudFront::Distribution":    "by what is delivered; a terabyte and ten million requests a month are free",
	"AWS::Cognito::UserPool":           "by users who log in; 10,000 a month are free, then 0.0055 USD each",
	"AWS::SNS::Topic":                  "messages of alarms: cents",
	"AWS::Route53::RecordSet":          "queries of an alias are free; the zone is not part of the stack",
}

// free are types that cost nothing by themselves.
var free = set(`
	AWS::CDK::Metadata AWS::CertificateManager::Certificate
	AWS::CloudFront::VpcOrigin AWS::Cognito::UserPoolClient AWS::Cognito::UserPoolDomain
	AWS::DAX::ParameterGroup AWS::DAX::SubnetGroup
	AWS::EC2::InternetGateway AWS::EC2::LaunchTemplate AWS::EC2::NetworkInterface AWS::EC2::PrefixList AWS::EC2::Route
	AWS::EC2::RouteTable AWS::EC2::SecurityGroup AWS::EC2::SecurityGroupEgress AWS::EC2::SecurityGroupIngress
	AWS::EC2::Subnet AWS::EC2::SubnetRouteTableAssociation AWS::EC2::VPC AWS::EC2::VPCGatewayAttachment
	AWS::EC2::EIPAssociation AWS::ElastiCache::ParameterGroup AWS::ElastiCache::SubnetGroup AWS::ElastiCache::User
	AWS::ElastiCache::UserGroup AWS::ElasticLoadBalancingV2::Listener AWS::ElasticLoadBalancingV2::ListenerRule
	AWS::ElasticLoadBalancingV2::TargetGroup AWS::IAM::InstanceProfile AWS::IAM::ManagedPolicy AWS::IAM::Policy
	AWS::IAM::Role AWS::Lambda::Permission AWS::RDS::DBInstance AWS::RDS::DBParameterGroup AWS::RDS::DBSubnetGroup
	AWS::S3::BucketPolicy AWS::SecretsManager::RotationSchedule AWS::SNS::Subscription AWS::SNS::TopicPolicy
	AWS::SSM::Parameter AWS::WAFv2::WebACLAssociation Custom::PrefixList
	AWS::AutoScaling::LifecycleHook AWS::CloudFormation::WaitConditionHandle`)

func set(names string) map[string]bool {
	m := map[string]bool{}
	for _, name := range strings.Fields(names) {
		m[name] = true
	}
	return m
}

// loadBalancer is billed by the hour, by its public addresses, and by capacity units: the largest of connections made,
// connections open, and bytes (Elastic Load Balancing pricing: a unit is 25 new connections a second, 3,000 open ones, or 1
// GB an hour).
func loadBalancer(w *work, r Resource) {
	w.hours(r, "load balancer", "alb:hour", 1)
	if r.text("Scheme") == "internet-facing" {
		w.hours(r, "public IPv4 addresses, one a zone", "ipv4", float64(len(r.list("Subnets"))))
	}
	t := w.traffic
	out := t.RequestsPerSecond*t.ResponseBytes +
		w.Counts.sum(w.store, t, func(n Count) float64 { return n.ToVisitor.at(t.SessionBytes) })
	in := w.Counts.sum(w.store, t, func(n Count) float64 { return n.FromVisitor.at(t.SessionBytes) })
	made, open := t.connections(idleTimeout(r))
	units := max(made/25, open/3000, (in+out)*3600/bytesPerGB)
	w.hours(r, "capacity units of the load balancer", "alb:lcu", units)
	w.gigabytes(r, "responses to visitors, cookies included", "data-transfer:internet", out)
}

func endpoint(w *work, r Resource) {
	if r.text("VpcEndpointType") == "Interface" {
		w.hours(r, "interface endpoint, one a zone", "vpc-endpoint:hour", float64(len(r.list("SubnetIds"))))
	}
}

// autoScalingGroup is as many servers as the requests need where scaling follows requests, and else the smallest number.
func autoScalingGroup(w *work, r Resource) {
	low, high := r.number("MinSize"), r.number("MaxSize")
	count := low
	for _, policy := range w.ofType("AWS::AutoScaling::ScalingPolicy") {
		metric := policy.text("TargetTrackingConfiguration", "PredefinedMetricSpecification", "PredefinedMetricType")
		if metric != "ALBRequestCountPerTarget" || reference(policy.Properties["AutoScalingGroupName"]) != r.id {
			continue
		}
		perMinute := policy.number("TargetTrackingConfiguration", "TargetValue")
		if perMinute == 0 {
			w.notPriced(policy.Type + " (without a number of requests for each server)")
			continue
		}
		count = max(low, math.Ceil(w.traffic.RequestsPerSecond*60/perMinute))
		w.bill.Servers += count
		if count > high {
			w.limit("%.0f servers are needed for %.4g requests/s, at %.0f each, and maxServers is %.0f: the bill is for %.0f.",
				count, w.traffic.RequestsPerSecond, perMinute/60, high, count)
		}
	}
	specification := r.Properties["LaunchTemplate"]
	if mixed := r.value("MixedInstancesPolicy", "InstancesDistribution"); mixed != nil {
		specification = r.value("MixedInstancesPolicy", "LaunchTemplate", "LaunchTemplateSpecification")
		onDemand, given := r.value("MixedInstancesPolicy", "InstancesDistribution", "OnDemandPercentageAboveBaseCapacity").(float64)
		if given && onDemand < 100 {
			w.note("%.0f %% of the servers are spot instances, billed here as on-demand ones: they cost about a third, as the "+
				"market goes.", 100-onDemand)
		}
	}
	launch, found := w.find(reference(object(r, specification).Properties["LaunchTemplateId"]))
	if !found {
		w.notPriced(r.Type + " (without a launch template)")
		return
	}
	machine := object(launch, launch.Properties["LaunchTemplateData"])
	machine.Type, machine.id = r.Type, r.id
	machines(w, machine, count)
}

func instance(w *work, r Resource) { machines(w, r, 1) }

// machines are instances with their disks and their detailed monitoring of seven metrics (Amazon EC2 User Guide).
func machines(w *work, r Resource, count float64) {
	kind := r.text("InstanceType")
	w.hours(r, fmt.Sprintf("%.0f × %s", count, kind), "ec2:"+kind, count)
	for _, disk := range objects(r, r.Properties["BlockDeviceMappings"]) {
		size := disk.number("Ebs", "VolumeSize")
		w.add(r, fmt.Sprintf("disks, %.0f GB each", size), "ebs:"+disk.text("Ebs", "VolumeType"), count*size)
	}
	if on, _ := r.value("Monitoring", "Enabled").(bool); on {
		w.add(r, "detailed monitoring, 7 metrics each", "cloudwatch:metric", 7*count)
	}
	for _, network := range objects(r, r.Properties["NetworkInterfaces"]) {
		if public, _ := network.Properties["AssociatePublicIpAddress"].(bool); public {
			w.hours(r, "public IPv4 address", "ipv4", count)
		}
	}
}

// scalingPolicy brings two alarms with it, when it follows a target: one to grow, one to shrink.
func scalingPolicy(w *work, r Resource) {
	if r.Properties["TargetTrackingConfiguration"] != nil {
		w.add(r, "two alarms of scaling", "cloudwatch:alarm-metric", 2)
	}
}

// alarm is billed by the metrics that it reads.
func alarm(w *work, r Resource) {
	metrics := 0.0
	for _, query := range objects(r, r.Properties["Metrics"]) {
		if query.Properties["MetricStat"] != nil {
			metrics++
		}
	}
	w.add(r, "alarm", "cloudwatch:alarm-metric", max(1, metrics))
}

func webACL(w *work, r Resource) {
	w.add(r, "web ACL", "waf:acl", 1)
	w.add(r, "rules of the web ACL", "waf:rule", float64(len(r.list("Rules"))))
	w.million(r, "requests that the web ACL checks", "waf:request", w.traffic.RequestsPerSecond)
}

// groupOf is what a resource of the type is for, by the service that it belongs to.
func groupOf(kind string) string {
	service := strings.Split(kind, "::")[1]
	switch {
	case kind == "AWS::AutoScaling::AutoScalingGroup":
		return "servers"
	case service == "AutoScaling" || service == "CloudWatch":
		return "monitoring"
	case service == "ElasticLoadBalancingV2" || service == "WAFv2" || service == "CloudFront":
		return "load balancer"
	case service == "EC2":
		return "network"
	}
	return "store"
}
