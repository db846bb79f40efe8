package stacks

import (
	"strings"
	"testing"

	"stateless-servers/app/config"
)

func TestParseConfig(t *testing.T) {
	defaults := Config{Store: config.StoreDynamoDB, Stage: StageLab, InstanceType: "t4g.small",
		MinServers: 2, MaxServers: 6, Zones: 2, Egress: EgressNATGateway}
	with := func(change func(*Config)) Config {
		c := defaults
		change(&c)
		return c
	}
	tests := []struct {
		name    string
		context map[string]any
		want    Config
	}{
		{"nothing", nil, defaults},
		{"the CDK's own keys", map[string]any{"@aws-cdk/core:x": true, "aws:cdk:y": "1", "cdk-migrate": true,
			"availability-zones:account=1:region=eu-west-1": []any{"a"}}, defaults},
		{"strings, as of -c", map[string]any{"store": "valkey", "minServers": "1", "maxServers": "3", "zones": "3"},
			with(func(c *Config) { c.Store, c.MinServers, c.MaxServers, c.Zones = config.StoreValkey, 1, 3, 3 })},
		{"JSON, as of cdk.json", map[string]any{"minServers": 4.0, "maxServers": 8.0},
			with(func(c *Config) { c.MinServers, c.MaxServers = 4, 8 })},
		{"everything else", map[string]any{"stage": "production", "egress": "endpoints-only",
			"certificateArn": certificate, "instanceType": "im4gn.large"},
			with(func(c *Config) {
				c.Stage, c.Egress, c.CertificateARN, c.InstanceType = StageProduction, EgressEndpointsOnly, certificate, "im4gn.large"
			})},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := ParseConfig(test.context)
			if err != nil {
				t.Fatal(err)
			}
			if got != test.want {
				t.Errorf("got  %+v\nwant %+v", got, test.want)
			}
		})
	}
}

func TestParseConfigNamesEveryProblem(t *testing.T) {
	const keys = "store, stage, certificateArn, instanceType, minServers, maxServers, zones, egress"
	const arm = "an ARM (Graviton) instance type such as t4g.small"
	tests := []struct {
		name    string
		context map[string]any
		want    []string // lines
	}{
		{"unknown store", map[string]any{"store": "nosuch"}, []string{`context store="nosuch": allowed is dynamodb or valkey`}},
		{"memory, which a fleet doesn't share", map[string]any{"store": "memory"},
			[]string{`context store="memory": allowed is dynamodb or valkey`}},
		{"misspelt keys", map[string]any{"sotre": "valkey", "Store": "valkey", "min-servers": 3.0}, []string{
			`context Store="valkey": no such key; allowed are ` + keys,
			`context min-servers="3": no such key; allowed are ` + keys,
			`context sotre="valkey": no such key; allowed are ` + keys,
		}},
		{"several", map[string]any{"zones": "4", "stage": true, "egress": "", "minServers": 0.5}, []string{
			`context stage="true": allowed is lab or production`,
			`context minServers="0.5": allowed is a whole number from 1 to 100`,
			`context zones="4": allowed is a whole number from 2 to 3`,
			`context egress="": allowed is nat-gateway or endpoints-only`,
		}},
		{"a certificate that a script left empty", map[string]any{"certificateArn": ""},
			[]string{`context certificateArn="": allowed is the ARN of an ACM certificate`}},
		{"an x86 server", map[string]any{"instanceType": "t3.small"},
			[]string{`context instanceType="t3.small": allowed is ` + arm}},
		{"an x86 server with a g", map[string]any{"instanceType": "g4dn.xlarge"},
			[]string{`context instanceType="g4dn.xlarge": allowed is ` + arm}},
		{"no room for a deploy", map[string]any{"minServers": "6"}, []string{`context maxServers="6": allowed is a number ` +
			`above minServers (6), so that a deploy has room for one server more`}},
		{"a list", map[string]any{"store": []any{"valkey"}},
			[]string{`context store="[\"valkey\"]": allowed is dynamodb or valkey`}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := ParseConfig(test.context)
			if err == nil {
				t.Fatalf("no error, but %+v", got)
			}
			if want := strings.Join(test.want, "\n"); err.Error() != want {
				t.Errorf("got:\n%s\nwant:\n%s", err, want)
			}
			if got != (Config{}) {
				t.Errorf("half a Config came with the error: %+v", got)
			}
		})
	}
}
