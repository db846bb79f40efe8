package stacks

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/jsii-runtime-go"

	"stateless-servers/session/sessiontest/must"
)

func TestServersHaveLeastPermissions(t *testing.T) {
	boot := []string{
		`"*": elasticloadbalancing:DescribeTargetHealth, ssm:UpdateInstanceInformation, ` +
			`ssmmessages:CreateControlChannel, ssmmessages:CreateDataChannel, ` +
			`ssmmessages:OpenControlChannel, ssmmessages:OpenDataChannel`,
		`the binary: s3:GetObject`,
		`{"Fn::GetAtt":["FleetLog","Arn"]}: logs:CreateLogStream, logs:DescribeLogStreams, logs:PutLogEvents`,
		`{"Ref":"AWS::StackId"}: cloudformation:SignalResource`,
	}
	connect := func(id string) string {
		return `[{"Fn::GetAtt":["` + id + `User","Arn"]},{"Fn::Join":["",["arn:",{"Ref":"AWS::Partition"},":elasticache:",` +
			`{"Ref":"AWS::Region"},":",{"Ref":"AWS::AccountId"},":replicationgroup:",` +
			`{"Ref":"` + id + `ReplicationGroup"}]]}]: elasticache:Connect`
	}
	serverless := func(id string) string {
		return `[{"Fn::GetAtt":["` + id + `Cache","ARN"]},{"Fn::GetAtt":["` + id + `User","Arn"]}]: elasticache:Connect`
	}
	items := []string{
		`{"Fn::GetAtt":["SessionsTable","Arn"]}: ` +
			`dynamodb:BatchGetItem, dynamodb:DeleteItem, dynamodb:GetItem, dynamodb:PutItem, dynamodb:UpdateItem`,
		`{"Fn::Join":["",[{"Fn::GetAtt":["SessionsTable","Arn"]},"/index/owner"]]}: dynamodb:Query`,
	}
	key := `{"Fn::GetAtt":["SessionsKey","Arn"]}: kms:Decrypt, kms:DescribeKey, kms:Encrypt, ` +
		`kms:GenerateDataKey, kms:ReEncryptFrom, kms:ReEncryptTo`
	database := `{"Fn::Join":["",["arn:",{"Ref":"AWS::Partition"},":rds-db:",{"Ref":"AWS::Region"},":",` +
		`{"Ref":"AWS::AccountId"},":dbuser:",{"Fn::GetAtt":["PostgresCluster","DBClusterResourceId"]},` +
		`"/stateless"]]}: rds-db:connect`
	replica := `"arn:",{"Ref":"AWS::Partition"},":dynamodb:",{"Ref":"AWS::Region"},":",{"Ref":"AWS::AccountId"},` +
		`":table/StatelessLab-SessionsTable`
	tests := map[string][]string{
		"dynamodb":             items,
		"dynamodb-replicas":    items,
		"dynamodb-provisioned": append(slices.Clone(items), key),
		"dynamodb-replica": {
			`{"Fn::Join":["",[` + replica + `"]]}: ` +
				`dynamodb:BatchGetItem, dynamodb:DeleteItem, dynamodb:GetItem, dynamodb:PutItem, dynamodb:UpdateItem`,
			`{"Fn::Join":["",[` + replica + `/index/owner"]]}: dynamodb:Query`,
		},
		"dynamodb-dax": append(slices.Clone(items), key, key, // the role of DAX has the second and the last
			`{"Fn::GetAtt":["SessionsDaxCluster","Arn"]}: dax:BatchGetItem, dax:GetItem, dax:PutItem, dax:UpdateItem`,
			`{"Fn::GetAtt":["SessionsTable","Arn"]}: `+
				`dynamodb:BatchGetItem, dynamodb:DescribeTable, dynamodb:GetItem, dynamodb:PutItem, dynamodb:UpdateItem`),
		"dynamodb-to-valkey":      append(slices.Clone(items), connect("Valkey")),
		"valkey-from-dynamodb":    append(slices.Clone(items), connect("Valkey")),
		"memcached-from-postgres": {database},
		"valkey-durable":          {connect("ValkeyDurable")},
		"valkey-serverless":       {serverless("ValkeyServerless")},
		"redis-serverless":        {serverless("RedisServerless")},
		"valkey":                  {connect("Valkey")},
		"valkey-cluster":          {connect("ValkeyCluster")},
		"redis":                   {connect("Redis")},
		"memcached":               nil,
		"postgres":                {database},
		"cookie":                  {`{"Ref":"CookieKeys"}: secretsmanager:GetSecretValue`},
		"token":                   {`{"Ref":"TokenKeys"}: secretsmanager:GetSecretValue`},
		"token-dynamodb": {
			`{"Ref":"TokenKeys"}: secretsmanager:GetSecretValue`,
			`{"Fn::GetAtt":["RevocationsTable","Arn"]}: dynamodb:GetItem, dynamodb:PutItem`,
			`{"Fn::Join":["",[{"Fn::GetAtt":["RevocationsTable","Arn"]},"/index/by-time"]]}: dynamodb:Query`,
		},
		"token-valkey": {`{"Ref":"TokenKeys"}: secretsmanager:GetSecretValue`, connect("RevocationCache")},
		"cognito":      append(slices.Clone(items), `{"Ref":"LoginKeys"}: secretsmanager:GetSecretValue`),
		"memory":       nil,
	}
	for variant, more := range tests {
		t.Run(variant, func(t *testing.T) {
			_, lab := synth(t, variants[variant])
			for id, role := range *lab.FindResources(jsii.String("AWS::IAM::Role"), nil) {
				if managed, has := dig(t, *role, "Properties").(map[string]any)["ManagedPolicyArns"]; has {
					t.Errorf("managed policies of %s: %v", id, managed)
				}
			}
			var got []string
			for id, policy := range *lab.FindResources(jsii.String("AWS::IAM::Policy"), nil) {
				if !strings.Contains(id, "Rotation") {
					got = append(got, permissions(t, *policy)...)
				}
			}
			slices.Sort(got)
			want := slices.Sorted(slices.Values(append(more, boot...)))
			if !slices.Equal(got, want) {
				t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

// logicalIDHash matches the logical id of a store's resource. Its last eight digits are a hash that the CDK appends.
var logicalIDHash = regexp.MustCompile(`"((?:FleetLog|Login|Cookie|Token|Postgres|Valkey|Redis|Revocation|Sessions)[A-Za-z]*?)[0-9A-F]{8}"`)

// permissions renders each statement of a policy as "resource: actions". The key of the binary in S3, a hash, becomes "the
// binary".
func permissions(t *testing.T, policy map[string]any) []string {
	t.Helper()
	var list []string
	for _, statement := range dig(t, policy, "Properties", "PolicyDocument", "Statement").([]any) {
		if effect := dig(t, statement, "Effect"); effect != "Allow" {
			t.Errorf("effect %v, want Allow", effect)
		}
		var actions []string
		switch action := dig(t, statement, "Action").(type) {
		case string:
			actions = []string{action}
		case []any:
			for _, a := range action {
				actions = append(actions, a.(string))
			}
		}
		resource := must.Get(json.Marshal(dig(t, statement, "Resource")))(t)
		name := string(resource)
		if strings.Contains(name, ":s3:::") && strings.Contains(name, ".bin") && !strings.Contains(name, "*") {
			name = "the binary"
		}
		name = logicalIDHash.ReplaceAllString(name, `"$1"`)
		list = append(list, name+": "+strings.Join(actions, ", "))
	}
	return list
}
