package deploy

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"stateless-servers/session/sessiontest/must"
)

// The test deploys the lab, loses a session, and restores the table by the commands of docs/restore.md.
func TestRestoreOfATable(t *testing.T) {
	ctx, a, cdk := prepareIn(t, emulate) // on AWS a restore takes 20 minutes or more
	cdk.deploy(ctx, t)
	l, err := a.deployment(ctx, "dynamodb")
	must.Succeed(t, err)
	table, err := l.id(dynamoTable, "")
	must.Succeed(t, err)
	for _, id := range []string{"lost", "changed"} {
		putSession(ctx, t, a, table, id, "old")
	}

	commands := tableCommands(t)
	shell := newShell(t, cdk)
	// The stage lab has no continuous backup, and production needs HTTPS: the emulator restores without one.
	shell.run(ctx, t, "restoring", commands[:4], "STACK=StatelessLab", "KEYS=")
	putSession(ctx, t, a, table, "changed", "new")
	must.Get(a.dynamodb.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: aws.String(table), Key: sessionKey("lost")}))(t)
	shell.run(ctx, t, "copying", commands[4:5])
	for id, want := range map[string]string{"lost": "old", "changed": "new"} {
		if got := sessionValue(ctx, t, a, table, id); got != want {
			t.Errorf("after copying, the session %q has the value %q, want %q", id, got, want)
		}
	}

	shell.run(ctx, t, "adopting", commands[5:])
	restored := shell.variable(t, "RESTORED")
	l, err = a.deployment(ctx, "dynamodb")
	must.Succeed(t, err)
	if id, err := l.id(dynamoTable, ""); err == nil {
		t.Errorf("the stack still has the table %s", id)
	}
	data, err := l.launchTemplate(ctx)
	must.Succeed(t, err)
	script, err := base64.StdEncoding.DecodeString(data.text("userData"))
	must.Succeed(t, err)
	if !strings.Contains(string(script), restored) {
		t.Errorf("the servers don't use the table %s:\n%s", restored, script)
	}
	if got := sessionValue(ctx, t, a, restored, "lost"); got != "old" {
		t.Errorf("in the restored table the session has the value %q, want old", got)
	}
	found, err := a.dynamodb.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: aws.String(restored)})
	must.Succeed(t, err)
	indexes := found.Table.GlobalSecondaryIndexes
	if len(indexes) != 1 || aws.ToString(indexes[0].IndexName) != "owner" || !aws.ToBool(found.Table.DeletionProtectionEnabled) {
		t.Errorf("the restored table has indexes %v and deletion protection %v", indexes, aws.ToBool(found.Table.DeletionProtectionEnabled))
	}
	ttl, err := a.dynamodb.DescribeTimeToLive(ctx, &dynamodb.DescribeTimeToLiveInput{TableName: aws.String(restored)})
	must.Succeed(t, err)
	if got := ttl.TimeToLiveDescription; got.TimeToLiveStatus != types.TimeToLiveStatusEnabled || aws.ToString(got.AttributeName) != "ttl" {
		t.Errorf("time to live of the restored table is %v of %s", got.TimeToLiveStatus, aws.ToString(got.AttributeName))
	}
	backups, err := a.dynamodb.DescribeContinuousBackups(ctx, &dynamodb.DescribeContinuousBackupsInput{TableName: aws.String(restored)})
	must.Succeed(t, err)
	if got := backups.ContinuousBackupsDescription.PointInTimeRecoveryDescription.PointInTimeRecoveryStatus; got != types.PointInTimeRecoveryStatusEnabled {
		t.Errorf("the continuous backup of the restored table is %s", got)
	}
}

// The emulator can't restore caches and databases. The AWS command line checks these commands without sending them.
func TestRestoreCommandsOfOtherStoresAreValid(t *testing.T) {
	const checkOnly = `aws() {
  if [ "$2" = wait ]; then command aws "$1" wait "$3" help >/dev/null; return; fi
  command aws "$@" --generate-cli-skeleton output >/dev/null && echo available
}`
	shell := newShell(t, commandLine{folder: t.TempDir(), environment: append(cleanEnvironment(), "AWS_ACCESS_KEY_ID=test",
		"AWS_SECRET_ACCESS_KEY=test")})
	for _, section := range []string{"A cache of ElastiCache", "A database of Aurora"} {
		blocks := restoreCommands(t, section)
		if len(blocks) != 2 {
			t.Errorf("the section %q has %d blocks of commands, want 2", section, len(blocks))
		}
		shell.run(t.Context(), t, "checking", append([]string{checkOnly}, blocks...), "STACK=StatelessLab")
	}
}

// tableCommands returns the shell commands of the section about tables: four steps to restore, and two ways to use the result.
func tableCommands(t *testing.T) []string {
	t.Helper()
	blocks := restoreCommands(t, "A table of DynamoDB")
	if len(blocks) != 7 || !regexp.MustCompile(`^STACK=.*\nKEYS=.*\n$`).MatchString(blocks[0]) {
		t.Fatalf("the section has %d blocks of commands, want 7, of which the first sets STACK and KEYS", len(blocks))
	}
	return blocks[1:]
}

// restoreCommands returns the blocks of shell commands in a section of docs/restore.md.
func restoreCommands(t *testing.T, heading string) []string {
	t.Helper()
	text := must.Get(os.ReadFile(filepath.Join(root, "docs", "restore.md")))(t)
	_, section, found := strings.Cut(string(text), "## "+heading+"\n")
	section, _, ends := strings.Cut(section, "\n## ")
	if !found || !ends {
		t.Fatalf("docs/restore.md has no section %q", heading)
	}
	var blocks []string
	for _, block := range regexp.MustCompile("(?ms)^ *```sh\n(.*?)^ *```$").FindAllStringSubmatch(section, -1) {
		blocks = append(blocks, block[1])
	}
	return blocks
}

// A shell runs blocks of commands one after the other, as a user's shell does: variables stay.
type shell struct {
	folder, path string // the folder has the variables; path is the PATH
	cdk          commandLine
}

// newShell returns a shell in which npx cdk is the test's command line of the CDK.
func newShell(t *testing.T, cdk commandLine) shell {
	t.Helper()
	if _, err := exec.LookPath("aws"); err != nil {
		t.Fatalf("this test needs the AWS command line; test/setup installs it: %v", err)
	}
	folder := t.TempDir()
	script := fmt.Sprintf("#!/bin/sh\nshift\nexec %q \"$@\" --app %q --output %q --require-approval never --method=direct --no-notices\n",
		cdk.program, cdk.app, cdk.output)
	must.Succeed(t, os.WriteFile(filepath.Join(folder, "npx"), []byte(script), 0o755))
	must.Succeed(t, os.WriteFile(filepath.Join(folder, "variables"), nil, 0o644))
	return shell{folder, "PATH=" + folder + string(os.PathListSeparator) + os.Getenv("PATH"), cdk}
}

// run runs the blocks after setting the variables, and fails the test at the first command that fails.
func (s shell) run(ctx context.Context, t *testing.T, what string, blocks []string, variables ...string) {
	t.Helper()
	kept := filepath.Join(s.folder, "variables")
	lines := append([]string{"set -euo pipefail", ". " + kept}, variables...)
	lines = append(lines, blocks...)
	lines = append(lines, `for name in STACK KEYS TABLE RESTORED; do printf '%s=%q\n' "$name" "${!name-}"; done >`+kept)
	script := filepath.Join(s.folder, what+".sh")
	must.Succeed(t, os.WriteFile(script, []byte(strings.Join(lines, "\n")+"\n"), 0o644))
	with := s.cdk
	with.environment = append(with.environment[:len(with.environment):len(with.environment)], s.path, "AWS_DEFAULT_REGION=us-east-1", "AWS_PAGER=")
	t.Log(with.run(ctx, t, with.folder, 0, "bash", script))
}

// variable returns the value of a variable after the last run.
func (s shell) variable(t *testing.T, name string) string {
	t.Helper()
	text := must.Get(os.ReadFile(filepath.Join(s.folder, "variables")))(t)
	_, value, found := strings.Cut(string(text), name+"=")
	value, _, _ = strings.Cut(value, "\n")
	if !found || value == "" {
		t.Fatalf("the commands didn't set %s", name)
	}
	return value
}

func sessionKey(id string) map[string]types.AttributeValue {
	return map[string]types.AttributeValue{"id": &types.AttributeValueMemberS{Value: id}}
}

// putSession writes an item like that of a session which ends in the year 2100.
func putSession(ctx context.Context, t *testing.T, a account, table, id, value string) {
	t.Helper()
	item := sessionKey(id)
	item["ttl"] = &types.AttributeValueMemberN{Value: "4102444800"}
	item["value"] = &types.AttributeValueMemberS{Value: value}
	must.Get(a.dynamodb.PutItem(ctx, &dynamodb.PutItemInput{TableName: aws.String(table), Item: item}))(t)
}

// sessionValue returns the value of an item of putSession, or "" if there is none.
func sessionValue(ctx context.Context, t *testing.T, a account, table, id string) string {
	t.Helper()
	found := must.Get(a.dynamodb.GetItem(ctx, &dynamodb.GetItemInput{TableName: aws.String(table), Key: sessionKey(id)}))(t)
	value, _ := found.Item["value"].(*types.AttributeValueMemberS)
	if value == nil {
		return ""
	}
	return value.Value
}
