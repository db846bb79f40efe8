package stacks

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/assertions"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/jsii-runtime-go"

	"stateless-servers/app/config"
	"stateless-servers/session/sessiontest/must"
)

// The whole lab and each store fit into a VPC with the CDK's defaults, which has no subnet groups of the lab's names.
func TestConstructsTakeAPlainVpc(t *testing.T) {
	program := filepath.Join(t.TempDir(), "program.bin")
	must.Succeed(t, os.WriteFile(program, []byte("a server\n"), 0o755))
	tests := map[string]map[string]any{"dax": {"dax": "true"}, "cloudfront": {"cloudfront": "true"}, "loaders": {"loaders": "1"}}
	for _, store := range append(config.StoreKinds(), StoreRedis) {
		if store != config.StoreMemory {
			tests[string(store)] = map[string]any{"store": string(store)}
		}
	}
	for name, keys := range tests {
		t.Run(name, func(t *testing.T) {
			app := awscdk.NewApp(nil)
			network := awscdk.NewStack(app, jsii.String("Mine"), nil)
			vpc := awsec2.NewVpc(network, jsii.String("Vpc"), nil)
			c := readConfig(t, keys)
			lab := NewLab(app, "Lab", &LabProps{Config: c, Vpc: vpc, ServerBinary: program})
			if c.Load.Loaders > 0 {
				NewLoad(app, "Load", &LoadProps{Vpc: vpc, Lab: lab.Stack, Config: c.Load, Program: program})
			}
			app.Synth(nil)
		})
	}
}

// The subnets of the props win over the defaults.
func TestConstructsTakeSubnets(t *testing.T) {
	app := awscdk.NewApp(nil)
	stack := awscdk.NewStack(app, jsii.String("Mine"), nil)
	vpc := awsec2.NewVpc(stack, jsii.String("Vpc"), &awsec2.VpcProps{SubnetConfiguration: &[]*awsec2.SubnetConfiguration{
		{Name: jsii.String("front"), SubnetType: awsec2.SubnetType_PUBLIC},
		{Name: jsii.String("middle"), SubnetType: awsec2.SubnetType_PRIVATE_WITH_EGRESS},
		{Name: jsii.String("back"), SubnetType: awsec2.SubnetType_PRIVATE_ISOLATED},
	}})
	c := readConfig(t, map[string]any{"store": "valkey"})
	NewSessionStore(stack, vpc, &awsec2.SubnetSelection{SubnetGroupName: jsii.String("back")}, c)
	got := dig(t, onlyResource(t, assertions.Template_FromStack(stack, nil), "AWS::ElastiCache::SubnetGroup"), "Properties", "SubnetIds")
	for _, id := range got.([]any) {
		if ref, _ := dig(t, id, "Ref").(string); !strings.HasPrefix(ref, "Vpcback") {
			t.Errorf("the cache is in the subnet %v, want one of the group back", id)
		}
	}
}

func TestOwnVpc(t *testing.T) {
	keys := maps.Clone(variants["own-vpc"])
	templates := synthAll(t, keys)
	if len(templates) != 1 {
		t.Errorf("%d stacks, want only the lab's", len(templates))
	}
	lab := templates["StatelessLab"]
	const subnet = "subnet-0123456789abcdef"
	expectProperties(t, lab, loadBalancer, map[string]any{"Subnets": []any{subnet + "1", subnet + "2"}, "Scheme": "internet-facing"})
	expectProperties(t, lab, scalingGroup, map[string]any{"VPCZoneIdentifier": []any{subnet + "3", subnet + "4"}})
	expectProperties(t, lab, "AWS::ElastiCache::SubnetGroup", map[string]any{"SubnetIds": []any{subnet + "5", subnet + "6"}})
	for id, group := range *lab.FindResources(jsii.String("AWS::EC2::SecurityGroup"), nil) {
		if vpc := dig(t, *group, "Properties", "VpcId"); vpc != "vpc-0123456789abcdef0" {
			t.Errorf("%s is in the VPC %v", id, vpc)
		}
	}
	for _, stack := range stacksOf(defineStacks(t, keys)) {
		expect(t, func() {
			assertions.Annotations_FromStack(stack).HasNoWarning(jsii.String("*"), assertions.Match_AnyValue())
		})
	}

	delete(keys, "storeSubnets")
	_, lab = synth(t, keys)
	expectProperties(t, lab, "AWS::ElastiCache::SubnetGroup", map[string]any{"SubnetIds": []any{subnet + "3", subnet + "4"}})

	delete(keys, "balancerSubnets")
	delete(keys, "certificateArn")
	delete(keys, "allowFrom")
	keys["cloudfront"], keys["loaders"] = "true", "1"
	templates = synthAll(t, keys)
	expectProperties(t, templates["StatelessLab"], loadBalancer,
		map[string]any{"Subnets": []any{subnet + "3", subnet + "4"}, "Scheme": "internal"})
	expect(t, func() {
		templates["StatelessLoad"].HasOutput(jsii.String("Start"), map[string]any{"Value": map[string]any{
			"Fn::Join": assertions.Match_ArrayWith(&[]any{assertions.Match_ArrayWith(&[]any{
				assertions.Match_StringLikeRegexp(jsii.String("--subnet-id " + subnet + "3 "))})})}})
	})
}

func TestOptionsOfTheNetworkAreChecked(t *testing.T) {
	const vpc, zones = "vpc-0123456789abcdef0", "eu-west-1a,eu-west-1b"
	const one, two, three = "subnet-00000001", "subnet-00000001,subnet-00000002", "subnet-00000001,subnet-00000002,subnet-00000003"
	const listed = "the ids of 2 or 3 subnets, such as subnet-0123456789abcdef0, each once, with commas between them"
	const needs = `only with availabilityZones, fleetSubnets and, without cloudfront=true, balancerSubnets`
	const named = "the names of 2 or 3 availability zones such as eu-west-1a, each once, with commas between them"
	const ranges = "1 to 25 IPv4 ranges such as 192.0.2.0/24, each once, with commas between them"
	tests := []struct {
		name    string
		context map[string]any
		want    string
	}{
		{"a VPC without subnets", map[string]any{"vpcId": vpc}, `context vpcId="` + vpc + `": ` + needs},
		{"a VPC without public subnets", map[string]any{"vpcId": vpc, "availabilityZones": zones, "fleetSubnets": two},
			`context vpcId="` + vpc + `": ` + needs},
		{"public subnets with CloudFront", map[string]any{"vpcId": vpc, "availabilityZones": zones, "fleetSubnets": two,
			"balancerSubnets": two, "cloudfront": "true"},
			`context balancerSubnets="` + two + `": not with cloudfront=true, whose load balancer is in the fleetSubnets`},
		{"a subnet too many", map[string]any{"vpcId": vpc, "availabilityZones": zones, "fleetSubnets": two, "balancerSubnets": three},
			`context balancerSubnets="` + three + `": allowed is one subnet for each of the availabilityZones (` + zones + `), in their order`},
		{"one subnet", map[string]any{"vpcId": vpc, "availabilityZones": zones, "fleetSubnets": one, "balancerSubnets": two},
			`context fleetSubnets="` + one + `": allowed is ` + listed},
		{"subnets without a VPC", map[string]any{"storeSubnets": two}, `context storeSubnets="` + two + `": only with vpcId`},
		{"a VPC with a way out", map[string]any{"vpcId": vpc, "availabilityZones": zones, "fleetSubnets": two, "balancerSubnets": two,
			"egress": "nat-instance", "zones": "2"}, `context zones="2": only with a VPC that the deployment creates, in zones that it chooses` +
			"\n" + `context egress="nat-instance": only with a VPC that the deployment creates`},
		{"no VPC", map[string]any{"vpcId": "10.0.0.0/16"},
			`context vpcId="10.0.0.0/16": allowed is the id of a VPC, such as vpc-0123456789abcdef0`},
		{"zones of two regions", map[string]any{"availabilityZones": "eu-west-1a,eu-west-2b"},
			`context availabilityZones="eu-west-1a,eu-west-2b": allowed are zones of one region`},
		{"a zone twice", map[string]any{"availabilityZones": "eu-west-1a,eu-west-1a"},
			`context availabilityZones="eu-west-1a,eu-west-1a": allowed is ` + named},
		{"the id of a zone", map[string]any{"availabilityZones": "euw1-az1,euw1-az2"},
			`context availabilityZones="euw1-az1,euw1-az2": allowed is ` + named},
		{"zones and their number", map[string]any{"availabilityZones": zones, "zones": "2"},
			`context zones="2": only with a VPC that the deployment creates, in zones that it chooses`},
		{"IPv6", map[string]any{"allowFrom": "2001:db8::/32"}, `context allowFrom="2001:db8::/32": allowed is ` + ranges},
		{"an address", map[string]any{"allowFrom": "192.0.2.1"}, `context allowFrom="192.0.2.1": allowed is ` + ranges},
		{"bits after the prefix", map[string]any{"allowFrom": "192.0.2.1/24"}, `context allowFrom="192.0.2.1/24": allowed is ` + ranges},
		{"no address", map[string]any{"allowFrom": ""}, `context allowFrom="": allowed is ` + ranges},
		{"allowFrom with CloudFront", map[string]any{"allowFrom": "192.0.2.0/24", "cloudfront": "true"},
			`context allowFrom="192.0.2.0/24": not with cloudfront=true, whose load balancer accepts connections from CloudFront only`},
		{"the name of a policy", map[string]any{"permissionsBoundary": "boundary"},
			`context permissionsBoundary="boundary": allowed is the ARN of an IAM policy`},
		{"a tag twice", map[string]any{"tags": "a=1,a=2"}, `context tags="a=1,a=2": allowed is each key once`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := ParseConfig(test.context); err == nil || err.Error() != test.want {
				t.Errorf("got:\n%v\nwant:\n%s", err, test.want)
			}
		})
	}
	for _, tags := range []string{"", "team", "=web", "Name=lab", "aws:x=1", "AWS:x=1", "a=1,", "a=<", strings.Repeat("a", 129) + "=1",
		"a=" + strings.Repeat("b", 257)} {
		if _, err := ParseConfig(map[string]any{"tags": tags}); err == nil || !strings.HasPrefix(err.Error(), "context tags=") {
			t.Errorf("tags=%q: got %v, want an error", tags, err)
		}
	}
}

func TestChosenZones(t *testing.T) {
	network, _ := synth(t, map[string]any{"availabilityZones": "us-west-1a,us-west-1c"})
	var zones []string
	for _, subnet := range *network.FindResources(jsii.String("AWS::EC2::Subnet"), nil) {
		zones = append(zones, dig(t, *subnet, "Properties", "AvailabilityZone").(string))
	}
	slices.Sort(zones)
	if got := strings.Join(zones, " "); got != "us-west-1a us-west-1a us-west-1a us-west-1c us-west-1c us-west-1c" {
		t.Errorf("the subnets are in %s, want three in each of us-west-1a and us-west-1c", got)
	}
}

func TestAllowFrom(t *testing.T) {
	for name, test := range map[string]struct {
		keys map[string]any
		want []string
	}{
		"anybody":              {nil, []string{"0.0.0.0/0 80"}},
		"anybody, with HTTPS":  {map[string]any{"certificateArn": certificate}, []string{"0.0.0.0/0 443", "0.0.0.0/0 80"}},
		"some":                 {map[string]any{"allowFrom": "192.0.2.0/24,198.51.100.7/32"}, []string{"192.0.2.0/24 80", "198.51.100.7/32 80"}},
		"some, with HTTPS":     {map[string]any{"certificateArn": certificate, "allowFrom": "192.0.2.0/24"}, []string{"192.0.2.0/24 443", "192.0.2.0/24 80"}},
		"anybody among others": {map[string]any{"allowFrom": "192.0.2.0/24,0.0.0.0/0"}, []string{"0.0.0.0/0 80"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, lab := synth(t, test.keys)
			var got []string
			for _, group := range *lab.FindResources(jsii.String("AWS::EC2::SecurityGroup"), nil) {
				rules, _ := dig(t, *group, "Properties").(map[string]any)["SecurityGroupIngress"].([]any)
				for _, rule := range rules {
					if from, to := dig(t, rule, "FromPort"), dig(t, rule, "ToPort"); from != to {
						t.Errorf("a rule about ports %v to %v", from, to)
					}
					got = append(got, dig(t, rule, "CidrIp").(string)+" "+map[float64]string{80: "80", 443: "443"}[dig(t, rule, "FromPort").(float64)])
				}
			}
			slices.Sort(got)
			if !slices.Equal(got, test.want) {
				t.Errorf("the load balancer accepts %q, want %q", got, test.want)
			}
		})
	}
}

func TestLoadersAndAllowFromWarn(t *testing.T) {
	for want, keys := range map[string]map[string]any{
		"": {"loaders": "1"},
		"warning: the loaders connect to the load balancer from the addresses of the NAT: add those to allowFrom\n": {"loaders": "1",
			"allowFrom": "192.0.2.0/24"},
	} {
		var log strings.Builder
		readConfig(t, keys).Warn(&log)
		if log.String() != want {
			t.Errorf("got %q, want %q", log.String(), want)
		}
	}
}

// Every role has the boundary, and every resource that can have tags has them.
func TestPermissionsBoundaryAndTags(t *testing.T) {
	untaggable := []string{"AWS::S3::BucketPolicy", "AWS::IAM::Policy", "AWS::AutoScaling::ScalingPolicy", "AWS::IAM::InstanceProfile",
		"AWS::EC2::SecurityGroupIngress", "AWS::EC2::SecurityGroupEgress", "AWS::Lambda::Permission", "AWS::SecretsManager::RotationSchedule",
		"AWS::Cognito::UserPoolDomain", "AWS::Cognito::UserPoolClient", "AWS::EC2::Route", "AWS::EC2::SubnetRouteTableAssociation",
		"AWS::EC2::VPCGatewayAttachment", "AWS::CloudWatch::Dashboard", "Custom::PrefixList",
		listener}
	roles := 0
	for name, template := range synthAll(t, variants["governed"]) {
		for id, r := range resources(t, template) {
			if r.Type == "AWS::IAM::Role" {
				if roles++; r.property("PermissionsBoundary") != "arn:aws:iam::123456789012:policy/boundary" {
					t.Errorf("%s %s has the boundary %v", name, id, r.property("PermissionsBoundary"))
				}
			}
			if slices.Contains(untaggable, r.Type) {
				continue
			}
			lists := [][]map[string]any{r.objects("Tags")}
			for _, s := range r.objects("TagSpecifications") {
				lists = append(lists, cfnResource{Properties: s}.objects("Tags"))
			}
			data, _ := r.property("LaunchTemplateData").(map[string]any)
			for _, s := range (cfnResource{Properties: data}).objects("TagSpecifications") {
				lists = append(lists, cfnResource{Properties: s}.objects("Tags"))
			}
			for _, replica := range r.objects("Replicas") {
				lists = append(lists, cfnResource{Properties: replica}.objects("Tags"))
			}
			has := func(key, value string) bool {
				return r.property("UserPoolTags", key) == value || slices.ContainsFunc(lists, func(list []map[string]any) bool {
					return slices.ContainsFunc(list, func(tag map[string]any) bool { return tag["Key"] == key && tag["Value"] == value })
				})
			}
			if !has("team", "web") || !has("cost-center", "42") {
				t.Errorf("%s %s of type %s lacks the tags", name, id, r.Type)
			}
		}
	}
	if roles < 5 {
		t.Errorf("%d roles, want at least 5", roles)
	}
	replicas := onlyResource(t, synthAll(t, map[string]any{"tags": "a=1", "replicas": "eu-west-1"})["StatelessLab"], table)
	for i := range 2 {
		if tag := dig(t, replicas, "Properties", "Replicas", i, "Tags", 0, "Key"); tag != "a" {
			t.Errorf("replica %d has the tag %v, want a", i, tag)
		}
	}
}
