package cost

import (
	"fmt"
	"math"
	"strings"
)

// pricers has, for each type of resource with a price, the function that adds it to the bill.
var pricers = map[string]func(*worksheet, Resource){
	"AWS::AutoScaling::AutoScalingGroup":        autoScalingGroup,
	"AWS::AutoScaling::ScalingPolicy":           scalingPolicy,
	"AWS::EC2::Instance":                        instance,
	"AWS::ElasticLoadBalancingV2::LoadBalancer": loadBalancer,
	"AWS::EC2::NatGateway":                      func(w *worksheet, r Resource) { w.addHours(r, "NAT gateway", "nat-gateway:hour", 1) },
	"AWS::EC2::EIP":                             func(w *worksheet, r Resource) { w.addHours(r, "public IPv4 address", "ipv4", 1) },
	"AWS::EC2::VPCEndpoint":                     endpoint,
	"AWS::DynamoDB::GlobalTable":                table,
	"AWS::DynamoDB::Table":                      revocations,
	"AWS::DAX::Cluster":                         dax,
	"AWS::ElastiCache::ReplicationGroup":        replicationGroup,
	"AWS::ElastiCache::CacheCluster":            cacheCluster,
	"AWS::ElastiCache::ServerlessCache":         serverlessCache,
	"AWS::RDS::DBCluster":                       databaseCluster,
	"AWS::SecretsManager::Secret":               func(w *worksheet, r Resource) { w.add(r, "secret", "secret", 1) },
	"AWS::KMS::Key":                             func(w *worksheet, r Resource) { w.add(r, "customer key", "kms:key", 1) },
	"AWS::CloudWatch::Alarm":                    alarm,
	"AWS::CloudWatch::Dashboard":                func(w *worksheet, r Resource) { w.add(r, "dashboard", "cloudwatch:dashboard", 1) },
	"AWS::WAFv2::WebACL":                        webACL,
}

// notCounted has the types of resources whose cost depends on use that Traffic does not describe.
var notCounted = map[string]string{
	"AWS::Logs::LogGroup":              "by volume of logs, about 0.50 USD per GB",
	"AWS::EC2::FlowLog":                "by volume of logs",
	"AWS::WAFv2::LoggingConfiguration": "by volume of logs",
	"AWS::S3::Bucket":                  "access logs, by volume",
	"AWS::Lambda::Function":            "runs rarely: cents",
	"AWS::CloudFront::Distribution":    "by bytes and requests; a terabyte and ten million requests per month are free",
	"AWS::Cognito::UserPool":           "by users who log in; 10,000 per month are free, then 0.0055 USD each",
	"AWS::SNS::Topic":                  "messages of alarms: cents",
	"AWS::CloudFront::Function":        "two million calls per month are free, then 0.10 USD per million",
	"AWS::Route53::RecordSet":          "queries of an alias are free; the zone is not part of the stack",
}

// free has the types of resources that cost nothing.
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
	AWS::Budgets::Budget
	AWS::AutoScaling::LifecycleHook AWS::CloudFormation::WaitConditionHandle`)

func set(names string) map[string]bool {
	m := map[string]bool{}
	for _, name := range strings.Fields(names) {
		m[name] = true
	}
	return m
}

// loadBalancer adds the load balancer, billed by the hour, by public addresses, and by capacity units. A unit is 25 new
// connections per second, 3,000 open ones, or 1 GB per hour; the largest of the three counts (Elastic Load Balancing pricing).
func loadBalancer(w *worksheet, r Resource) {
	w.addHours(r, "load balancer", "alb:hour", 1)
	if r.text("Scheme") == "internet-facing" {
		w.addHours(r, "public IPv4 addresses, one per zone", "ipv4", float64(len(r.list("Subnets"))))
	}
	t := w.traffic
	out := t.RequestsPerSecond*t.ResponseBytes +
		w.Counts.sum(w.store, t, func(n Count) float64 { return n.ToVisitor.at(t.SessionBytes) })
	in := w.Counts.sum(w.store, t, func(n Count) float64 { return n.FromVisitor.at(t.SessionBytes) })
	made, open := t.connections(idleTimeout(r))
	units := max(made/25, open/3000, (in+out)*3600/bytesPerGB)
	w.addHours(r, "capacity units of the load balancer", "alb:lcu", units)
	w.addGigabytes(r, "responses to visitors, cookies included", "data-transfer:internet", out)
}

func endpoint(w *worksheet, r Resource) {
	if r.text("VpcEndpointType") == "Interface" {
		w.addHours(r, "interface endpoint, one per zone", "vpc-endpoint:hour", float64(len(r.list("SubnetIds"))))
	}
}

// autoScalingGroup adds as many servers as the requests need if scaling follows requests, and otherwise the minimum.
func autoScalingGroup(w *worksheet, r Resource) {
	low, high := r.number("MinSize"), r.number("MaxSize")
	count := low
	for _, policy := range w.ofType("AWS::AutoScaling::ScalingPolicy") {
		metric := policy.text("TargetTrackingConfiguration", "PredefinedMetricSpecification", "PredefinedMetricType")
		if metric != "ALBRequestCountPerTarget" || reference(policy.Properties["AutoScalingGroupName"]) != r.id {
			continue
		}
		perMinute := policy.number("TargetTrackingConfiguration", "TargetValue")
		if perMinute == 0 {
			w.addNotPriced(policy.Type + " (without a number of requests for each server)")
			continue
		}
		count = max(low, math.Ceil(w.traffic.RequestsPerSecond*60/perMinute))
		w.bill.Servers += count
		if count > high {
			w.addLimit("%.0f servers are needed for %.4g requests/s, at %.0f each, but maxServers is %.0f: the bill is for %.0f.",
				count, w.traffic.RequestsPerSecond, perMinute/60, high, count)
		}
	}
	if spot := 100 - onDemandPercent(r); spot > 0 {
		w.addNote("%.0f %% of the servers are spot instances, billed here as on-demand ones. They cost about a third; the price "+
			"varies.", spot)
	}
	machine, found := w.machine(r)
	if !found {
		w.addNotPriced(r.Type + " (without a launch template)")
		return
	}
	addInstances(w, machine, count)
	w.addCredits(r, machine, count)
}

// machine returns the data of the group's launch template as a resource of the group.
func (w *worksheet) machine(group Resource) (machine Resource, found bool) {
	specification := group.Properties["LaunchTemplate"]
	if mixed := group.value("MixedInstancesPolicy", "LaunchTemplate", "LaunchTemplateSpecification"); mixed != nil {
		specification = mixed
	}
	launch, found := w.find(reference(object(group, specification).Properties["LaunchTemplateId"]))
	if !found {
		return Resource{}, false
	}
	machine = object(launch, launch.Properties["LaunchTemplateData"])
	machine.Type, machine.id = group.Type, group.id
	return machine, true
}

func instance(w *worksheet, r Resource) { addInstances(w, r, 1) }

// addInstances adds instances with their disks and their detailed monitoring of seven metrics (Amazon EC2 User Guide).
func addInstances(w *worksheet, r Resource, count float64) {
	kind := r.text("InstanceType")
	w.addHours(r, fmt.Sprintf("%.0f × %s", count, kind), "ec2:"+kind, count)
	for _, disk := range objects(r, r.Properties["BlockDeviceMappings"]) {
		size := disk.number("Ebs", "VolumeSize")
		w.add(r, fmt.Sprintf("disks, %.0f GB each", size), "ebs:"+disk.text("Ebs", "VolumeType"), count*size)
	}
	if on, _ := r.value("Monitoring", "Enabled").(bool); on {
		w.add(r, "detailed monitoring, 7 metrics each", "cloudwatch:metric", 7*count)
	}
	for _, network := range objects(r, r.Properties["NetworkInterfaces"]) {
		if public, _ := network.Properties["AssociatePublicIpAddress"].(bool); public {
			w.addHours(r, "public IPv4 address", "ipv4", count)
		}
	}
}

// scalingPolicy adds the two alarms, to grow and to shrink, that AWS makes for a target tracking policy.
func scalingPolicy(w *worksheet, r Resource) {
	if r.Properties["TargetTrackingConfiguration"] != nil {
		w.add(r, "two scaling alarms", "cloudwatch:alarm-metric", 2)
	}
}

// alarm adds an alarm, billed by the number of metrics that it reads.
func alarm(w *worksheet, r Resource) {
	metrics := 0.0
	for _, query := range objects(r, r.Properties["Metrics"]) {
		if query.Properties["MetricStat"] != nil {
			metrics++
		}
	}
	w.add(r, "alarm", "cloudwatch:alarm-metric", max(1, metrics))
}

func webACL(w *worksheet, r Resource) {
	w.add(r, "web ACL", "waf:acl", 1)
	w.add(r, "rules of the web ACL", "waf:rule", float64(len(r.list("Rules"))))
	w.addMillions(r, "requests that the web ACL checks", "waf:request", w.traffic.RequestsPerSecond)
}

// groupOf returns the group of the bill to which a type of resource belongs.
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
