package stacks

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/assertions"

	"stateless-servers/session/sessiontest"
	"stateless-servers/session/sessiontest/must"
)

// readContext reads a Config in a folder whose configs/eu.json has the text.
func readContext(t *testing.T, text string, context map[string]any, region string) (Config, error) {
	t.Helper()
	t.Chdir(t.TempDir())
	must.Succeed(t, os.MkdirAll("configs", 0o755))
	must.Succeed(t, os.WriteFile(filepath.Join("configs", "eu.json"), []byte(text), 0o644))
	return ReadConfig(t.Context(), context, region)
}

func TestNamedConfiguration(t *testing.T) {
	file := `{"store": "valkey", "shards": 2, "stage": "production", "certificateArn": "` + certificate + `"}`
	eu := map[string]any{"config": "eu"}
	c, err := readContext(t, file, eu, "eu-central-1")
	if err != nil || c.Name != "eu" || c.Store != "valkey" || c.Cache.Shards != 2 || c.Stage != StageProduction {
		t.Errorf("got %+v, %v", c, err)
	}
	c, err = readContext(t, file, map[string]any{"config": "configs/eu.json"}, "")
	if err != nil || c.Name != "eu" || c.Cache.Shards != 2 {
		t.Errorf("by its path: got %+v, %v", c, err)
	}
	c, err = readContext(t, file, map[string]any{"config": "eu", "shards": "3"}, "")
	if err != nil || c.Cache.Shards != 3 || c.Stage != StageProduction {
		t.Errorf("with another number of shards: got %+v, %v", c, err)
	}
	c, err = readContext(t, file, map[string]any{"config": "eu", "store": "redis"}, "")
	if err != nil || c.Store != StoreRedis || c.Cache.Shards != 2 {
		t.Errorf("with another store that has the same options: got %+v, %v", c, err)
	}
	c, err = readContext(t, file, map[string]any{"config": "eu", "store": "dynamodb"}, "")
	if err != nil || c.Store != "dynamodb" || c.Cache.Shards != 0 {
		t.Errorf("with another store that has other options: got %+v, %v", c, err)
	}
	c, err = readContext(t, file, map[string]any{"config": "eu", "stage": "lab"}, "")
	if err != nil || c.Stage != StageLab {
		t.Errorf("with stage=lab: got %+v, %v", c, err)
	}
	c, err = readContext(t, file, nil, "")
	if err != nil || c.Name != "" || c.Store != "dynamodb" || c.Stage != StageLab {
		t.Errorf("without config: got %+v, %v", c, err)
	}
}

func TestNamedConfigurationIsChecked(t *testing.T) {
	tests := []struct {
		name    string
		file    string
		context map[string]any
		want    string // a part of the error, which has one line
	}{
		{"an unknown key", `{"sotre": "valkey"}`, nil, `configs/eu.json sotre="valkey": no such key; allowed are config, store, `},
		{"a bad value", `{"minServers": 0}`, nil, `configs/eu.json minServers="0": allowed is a whole number from 1 to 100`},
		{"a bad value in the context", `{"minServers": 3}`, map[string]any{"minServers": "0"},
			`context minServers="0": allowed is a whole number from 1 to 100`},
		{"a conflict in the file", `{"domain": "lab.example.com"}`, nil,
			`configs/eu.json domain="lab.example.com" and hostedZoneId="": both or neither`},
		{"another file", `{}`, map[string]any{"config": "us"}, `context config="us": open configs/us.json: no such file`},
		{"no JSON", `store: valkey`, nil, `context config="eu": configs/eu.json is not a JSON object of keys and values: invalid`},
		{"no object", `null`, nil, `context config="eu": configs/eu.json is not a JSON object of keys and values`},
		{"a configuration in a configuration", `{"config": "us"}`, nil, `configs/eu.json has the key config, which is allowed in the context only`},
		{"a feature flag", `{"@aws-cdk/core:x": true}`, nil, `configs/eu.json has the key @aws-cdk/core:x, which is allowed in the context only`},
		{"production over plain HTTP", `{"stage": "production"}`, nil, `configs/eu.json stage="production": only with HTTPS, by `},
		{"production from the command line", `{"cloudfront": true}`, map[string]any{"stage": "production"},
			`context stage="production": only in the file configs/eu.json`},
		{"production without HTTPS from the command line", `{"stage": "production", "cloudfront": true}`,
			map[string]any{"cloudfront": "false"}, `configs/eu.json stage="production": only with HTTPS, by `},
		{"the region", `{"certificateArn": "` + strings.Replace(certificate, "eu-central-1", "us-east-1", 1) + `"}`, nil,
			`configs/eu.json certificateArn="arn:aws:acm:us-east-1:123456789012:certificate/01234567-89ab-cdef-0123-456789abcdef": ` +
				`the certificate is in us-east-1, and the lab in eu-central-1`},
		{"the server", `{"server": "./nosuch"}`, nil, `configs/eu.json server="./nosuch": allowed is the folder of a Go program: `},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			context := map[string]any{"config": "eu"}
			for key, value := range test.context {
				context[key] = value
			}
			c, err := readContext(t, test.file, context, "eu-central-1")
			if err == nil || !strings.HasPrefix(err.Error(), test.want) && !strings.Contains(err.Error(), test.want) ||
				strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want one line with %s", err, test.want)
			}
			if c != (Config{}) {
				t.Errorf("got %+v with the error, want the zero Config", c)
			}
		})
	}
}

func TestNamesOfConfigurations(t *testing.T) {
	for _, name := range []string{"a", "prod", "eu-1", "abcdefghijklmnop"} {
		if _, err := ParseConfig(map[string]any{"config": name}); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"", "Prod", "1a", "a_b", "a--b", "a-", "-a", "abcdefghijklmnopq", "../x", "a/b", "a.json.json",
		"{{resolve:ssm:x}}", "{{resolve:ssm:x}}/a.json"} {
		if _, err := ParseConfig(map[string]any{"config": name}); err == nil || !strings.HasPrefix(err.Error(), "context config=") {
			t.Errorf("%q: got %v, want an error", name, err)
		}
	}
}

// Production belongs into the file of a configuration: a command that forgets -c can't reach it.
func TestProductionNeedsANameAndHTTPS(t *testing.T) {
	const unnamed = `context stage="production": only in the file configs/NAME.json of a named configuration, which config=NAME selects`
	if _, err := ParseConfig(map[string]any{"stage": "production", "certificateArn": certificate}); err == nil || err.Error() != unnamed {
		t.Errorf("got %v, want %s", err, unnamed)
	}
	const plain = `context stage="production": only with HTTPS, by certificateArn, by domain and hostedZoneId, or by cloudfront=true`
	if _, err := ParseConfig(map[string]any{"config": "prod", "stage": "production"}); err == nil || err.Error() != plain {
		t.Errorf("got %v, want %s", err, plain)
	}
}

// Every name that must be unique in an account and region contains the name of the configuration: those of stacks and
// exports, and those of resources that CloudFormation doesn't name.
func TestFixedNamesContainTheName(t *testing.T) {
	const name = "abcdefghijklmnop" // of maximum length
	seen := map[string]bool{}
	everyKind := []string{"valkey", "valkey-serverless", "cognito", "cloudfront"} // of fixed names
	for variant, keys := range variants {
		t.Run(variant, func(t *testing.T) {
			if !slices.Contains(everyKind, variant) {
				sessiontest.Long(t)
			}
			c := must.Get(ReadConfig(t.Context(), map[string]any{"config": writeConfig(t, name, keys)}, ""))(t)
			for _, stack := range stacksOf(defineConfig(t, c)) {
				for what, fixed := range fixedNames(t, stack) {
					kind, _, _ := strings.Cut(what, " ")
					seen[kind] = true
					limit := map[string]int{"AWS::ElastiCache::User": 40, "AWS::ElastiCache::UserGroup": 40,
						"AWS::ElastiCache::ServerlessCache": 40}[kind]
					if !strings.Contains(fixed, name) || limit > 0 && len(fixed) > limit {
						t.Errorf("%s is %s, want a name with %s, and at most %d characters if there is a limit", what, fixed, name, limit)
					}
				}
			}
		})
	}
	for _, kind := range []string{"stack", "export", "AWS::ElastiCache::User", "AWS::ElastiCache::UserGroup",
		"AWS::ElastiCache::ServerlessCache", "AWS::Logs::LogGroup", "AWS::Cognito::UserPoolDomain", "AWS::CloudFront::VpcOrigin"} {
		if !seen[kind] {
			t.Errorf("no variant has a fixed name of a %s", kind)
		}
	}
}

// fixedNames returns the names in the template of a stack that CloudFormation doesn't choose.
func fixedNames(t *testing.T, stack awscdk.Stack) map[string]string {
	t.Helper()
	// The names that are properties of resources. Those of IAM policies and of databases are unique in their owners only.
	properties := []string{"AlarmName", "AutoScalingGroupName", "BucketName", "CacheSubnetGroupName", "ClusterName", "DashboardName",
		"DBClusterIdentifier", "DBInstanceIdentifier", "DBSubnetGroupName", "Domain", "FinalSnapshotName", "FunctionName", "GroupName",
		"LaunchTemplateName", "LogGroupName", "Name", "ReplicationGroupId", "RoleName", "ServerlessCacheName", "TableName", "TopicName",
		"UserGroupId", "UserId", "UserPoolName", "VpcOriginEndpointConfig"}
	names := map[string]string{"stack " + *stack.StackName(): *stack.StackName()}
	pseudo := strings.NewReplacer(`{"Ref":"AWS::StackName"}`, *stack.StackName(), `{"Ref":"AWS::StackId"}`, *stack.StackName())
	text := func(value any) string {
		encoded := must.Get(json.Marshal(value))(t)
		return strings.Trim(pseudo.Replace(string(encoded)), `"`)
	}
	template := *assertions.Template_FromStack(stack, nil).ToJSON()
	outputs, _ := template["Outputs"].(map[string]any)
	for id, output := range outputs {
		if export, has := output.(map[string]any)["Export"]; has {
			names["export "+id] = text(dig(t, export, "Name"))
		}
	}
	for id, r := range dig(t, template, "Resources").(map[string]any) {
		kind := dig(t, r, "Type").(string)
		all, _ := r.(map[string]any)["Properties"].(map[string]any)
		for _, property := range properties {
			value := all[property]
			if origin, ok := value.(map[string]any); ok && property == "VpcOriginEndpointConfig" {
				value = origin["Name"]
			}
			reference, _ := value.(map[string]any)
			owned := kind == "AWS::EC2::EIP" || kind == "AWS::Route53::RecordSet" || kind == "AWS::Lambda::Permission"
			if value == nil || owned || reference["Ref"] != nil || reference["Fn::GetAtt"] != nil {
				continue
			}
			names[kind+" "+id+"."+property] = text(value)
		}
	}
	return names
}

func TestStackNames(t *testing.T) {
	keys := map[string]any{"loaders": "1"}
	unnamed := readConfig(t, keys)
	named := must.Get(ReadConfig(t.Context(), map[string]any{"config": writeConfig(t, "eu", keys)}, ""))(t)
	for want, c := range map[string]Config{"StatelessNetwork StatelessLab StatelessLoad": unnamed, "eu-Network eu-Lab eu-Load": named} {
		var names []string
		for _, stack := range stacksOf(defineConfig(t, c)) {
			names = append(names, *stack.StackName())
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("got the stacks %s, want %s", got, want)
		}
	}
}
