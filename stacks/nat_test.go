package stacks

import (
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2/assertions"
	"github.com/aws/jsii-runtime-go"
)

const natInstance = "AWS::EC2::Instance"

func TestNATInstance(t *testing.T) {
	network, _ := synth(t, map[string]any{"egress": "nat-instance", "natInstanceType": "t4g.micro"})
	expectProperties(t, network, natInstance, map[string]any{
		"InstanceType": "t4g.micro", "SourceDestCheck": false, "KeyName": assertions.Match_Absent(),
		"ImageId":         map[string]any{"Ref": assertions.Match_StringLikeRegexp(jsii.String("al2023amikernel.*arm64"))},
		"MetadataOptions": map[string]any{"HttpTokens": "required", "HttpPutResponseHopLimit": 1},
		"BlockDeviceMappings": []any{map[string]any{"DeviceName": "/dev/xvda",
			"Ebs": map[string]any{"Encrypted": true, "VolumeType": "gp3"}}},
		"NetworkInterfaces": []any{map[string]any{"AssociatePublicIpAddress": true}},
	})
	expect(t, func() {
		network.HasResource(jsii.String(natInstance), map[string]any{"CreationPolicy": map[string]any{
			"ResourceSignal": map[string]any{"Count": 1, "Timeout": "PT8M"}}})
		network.AllResourcesProperties(jsii.String("AWS::EC2::SecurityGroup"), map[string]any{
			"SecurityGroupIngress": []any{
				map[string]any{"CidrIp": vpcAddresses, "FromPort": 443, "ToPort": 443, "IpProtocol": "tcp"},
				map[string]any{"CidrIp": vpcAddresses, "FromPort": 80, "ToPort": 80, "IpProtocol": "tcp"}},
			"SecurityGroupEgress": []any{
				map[string]any{"CidrIp": "0.0.0.0/0", "FromPort": 443, "ToPort": 443, "IpProtocol": "tcp"},
				map[string]any{"CidrIp": "0.0.0.0/0", "FromPort": 80, "ToPort": 80, "IpProtocol": "tcp"}}})
		network.ResourcePropertiesCountIs(jsii.String("AWS::EC2::Route"), map[string]any{
			"DestinationCidrBlock": "0.0.0.0/0", "InstanceId": assertions.Match_AnyValue()}, jsii.Number(2))
	})
	for _, policy := range *network.FindResources(jsii.String("AWS::IAM::Policy"), nil) {
		for _, line := range permissions(t, *policy) {
			if !slices.Contains([]string{
				`{"Ref":"AWS::StackId"}: cloudformation:SignalResource`,
				`"*": ssm:UpdateInstanceInformation, ssmmessages:CreateControlChannel, ssmmessages:CreateDataChannel, ` +
					`ssmmessages:OpenControlChannel, ssmmessages:OpenDataChannel`,
			}, line) && !strings.Contains(line, "FlowLogs") {
				t.Errorf("the instance has the permission %s, want no such", line)
			}
		}
	}
}

func TestNATInstanceBoots(t *testing.T) {
	network, _ := synth(t, map[string]any{"egress": "nat-instance"})
	script := scriptOf(t, dig(t, onlyResource(t, network, natInstance), "Properties", "UserData"))
	checkScripts(t, map[string]string{"nat": script})
	for broken, want := range map[string]struct {
		signal string
		code   int
	}{"": {"SUCCESS", 0}, "dnf": {"FAILURE", 1}, "sysctl": {"FAILURE", 1}, "iptables": {"FAILURE", 1}} {
		t.Run("broken:"+broken, func(t *testing.T) {
			programs := map[string]string{"aws": "", "dnf": "", "mkswap": "", "swapon": "", "swapoff": "", "sysctl": "", "systemctl": "", "iptables": "",
				"iptables-save": "echo saved", "ip": "echo default via 10.0.0.1 dev ens5 proto dhcp"}
			if broken != "" {
				programs[broken] = "exit 1"
			}
			root, code, output := runScript(t, script, programs)
			if code != want.code {
				t.Fatalf("exit code %d, want %d\n%s", code, want.code, output)
			}
			journal := readFile(t, root, "journal")
			expectSignal(t, journal, want.signal)
			if want.code != 0 {
				return
			}
			masquerade := "iptables --table nat --append POSTROUTING --out-interface ens5 --source 10.0.0.0/16 --jump MASQUERADE\n"
			drop := "iptables --policy FORWARD DROP\n"
			if !strings.Contains(journal, masquerade) || !strings.Contains(journal, drop) {
				t.Errorf("the rules lack %s or %s:\n%s", masquerade, drop, journal)
			}
			if saved := readFile(t, root, "etc/sysconfig/iptables"); saved != "saved\n" {
				t.Errorf("saved rules %q, want %q", saved, "saved\n")
			}
			if forward := readFile(t, root, "etc/sysctl.d/90-nat.conf"); forward != "net.ipv4.ip_forward=1\n" {
				t.Errorf("sysctl file %q, want IP forwarding", forward)
			}
		})
	}
}

// dnf downloads packages without credentials, so the policy must not restrict the caller.
func TestS3EndpointAllowsPackages(t *testing.T) {
	network, _ := synth(t, map[string]any{"egress": "endpoints-only"})
	for id, endpoint := range *network.FindResources(jsii.String("AWS::EC2::VPCEndpoint"), map[string]any{
		"Properties": map[string]any{"VpcEndpointType": "Gateway", "PolicyDocument": assertions.Match_AnyValue()}}) {
		if !strings.Contains(id, "S3") { // the endpoint of DynamoDB has no packages
			continue
		}
		statements := dig(t, *endpoint, "Properties", "PolicyDocument", "Statement").([]any)
		if len(statements) != 2 {
			t.Fatalf("%s has %d statements", id, len(statements))
		}
		if account := dig(t, statements[0], "Condition", "StringEquals", "aws:ResourceAccount", "Ref"); account != "AWS::AccountId" {
			t.Errorf("buckets of %v are allowed, want those of this account", account)
		}
		packages := statements[1].(map[string]any)
		if packages["Action"] != "s3:GetObject" || packages["Condition"] != nil ||
			dig(t, packages, "Resource", "Fn::Join", 1, 4) != "-de612dc2/*" {
			t.Errorf("the statement about packages is %v", packages)
		}
		return
	}
	t.Error("no gateway endpoint with a policy")
}
