package stacks

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/aws/jsii-runtime-go"

	"stateless-servers/session/sessiontest/must"
)

func TestNetwork(t *testing.T) {
	tests := []struct {
		name                                 string
		keys                                 map[string]any
		subnets, gateways, endpoints, routes float64
	}{
		{"lab", nil, 6, 1, 0, 4},
		{"production", map[string]any{"stage": "production", "zones": "3"}, 9, 3, 0, 6},
		{"a NAT instance", map[string]any{"egress": "nat-instance"}, 6, 0, 0, 4},
		{"endpoints only", map[string]any{"egress": "endpoints-only"}, 6, 0, 6, 2},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			network, _ := synth(t, test.keys)
			expect(t, func() {
				network.ResourceCountIs(jsii.String("AWS::EC2::Subnet"), &test.subnets)
				network.ResourceCountIs(jsii.String("AWS::EC2::NatGateway"), &test.gateways)
				network.ResourceCountIs(jsii.String("AWS::EC2::Route"), &test.routes)
				network.ResourcePropertiesCountIs(jsii.String("AWS::EC2::VPCEndpoint"),
					map[string]any{"VpcEndpointType": "Interface"}, &test.endpoints)
				network.ResourcePropertiesCountIs(jsii.String("AWS::EC2::VPCEndpoint"),
					map[string]any{"VpcEndpointType": "Gateway"}, jsii.Number(2))
				network.ResourceCountIs(jsii.String("AWS::Lambda::Function"), jsii.Number(0))
			})
		})
	}
}

// The network is deployed before the lab, and CloudFormation refuses to remove an export that the lab still imports.
func TestNetworkIsTheSameForEveryStore(t *testing.T) {
	var templates []string
	for _, store := range []string{"dynamodb", "valkey"} {
		network, _ := synth(t, map[string]any{"store": store})
		text := must.Get(json.Marshal(network.ToJSON()))(t)
		templates = append(templates, string(text))
	}
	if templates[0] != templates[1] {
		t.Error("the network differs between stores, want the same template")
	}
}

func TestAddingAZoneKeepsAddresses(t *testing.T) {
	blocks := func(zones string) map[string]any {
		network, _ := synth(t, map[string]any{"zones": zones})
		found := map[string]any{}
		for id, subnet := range *network.FindResources(jsii.String("AWS::EC2::Subnet"), nil) {
			found[id] = dig(t, *subnet, "Properties", "CidrBlock")
		}
		return found
	}
	two, three := blocks("2"), blocks("3")
	if len(two) != 6 || len(three) != 9 {
		t.Fatalf("%d and %d subnets, want 6 and 9", len(two), len(three))
	}
	for id, block := range two {
		if three[id] != block {
			t.Errorf("%s is %v with two zones and %v with three", id, block, three[id])
		}
	}
}

func TestFlowLogsHaveWritePermissionsOnly(t *testing.T) {
	network, _ := synth(t, nil)
	got := permissions(t, onlyResource(t, network, "AWS::IAM::Policy"))
	want := []string{
		`{"Fn::GetAtt":["VpcFlowLogs3A4A3791","Arn"]}: logs:CreateLogStream, logs:DescribeLogStreams, logs:PutLogEvents`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	expectProperties(t, network, "AWS::EC2::FlowLog", map[string]any{"TrafficType": "ALL"})
	expectProperties(t, network, "AWS::Logs::LogGroup", map[string]any{"RetentionInDays": 30})
}

// Without a policy, an endpoint lets whoever runs code on a server send data to any account's table, log or secret.
func TestEndpointsReachOnlyTheOwnAccount(t *testing.T) {
	for egress, want := range map[string]int{"nat-gateway": 2, "endpoints-only": 8} {
		network, _ := synth(t, map[string]any{"egress": egress})
		endpoints := *network.FindResources(jsii.String("AWS::EC2::VPCEndpoint"), nil)
		if len(endpoints) != want {
			t.Errorf("%s: %d endpoints, want %d", egress, len(endpoints), want)
		}
		for id, endpoint := range endpoints {
			properties := dig(t, *endpoint, "Properties").(map[string]any)
			if properties["PolicyDocument"] == nil {
				t.Errorf("%s: %s has no policy", egress, id)
				continue
			}
			for _, statement := range dig(t, properties, "PolicyDocument", "Statement").([]any) {
				statement := statement.(map[string]any)
				if text, _ := json.Marshal(statement["Resource"]); strings.Contains(string(text), ":s3:::al2023-repos-") {
					continue // packages of Amazon Linux are in a bucket of AWS
				}
				if account := dig(t, statement, "Condition", "StringEquals", "aws:ResourceAccount", "Ref"); account != "AWS::AccountId" {
					t.Errorf("%s: %s allows the resources of %v", egress, id, account)
				}
			}
		}
	}
}
