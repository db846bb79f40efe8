package stacks

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2/assertions"
	"github.com/aws/jsii-runtime-go"

	"stateless-servers/session/sealing"
	"stateless-servers/session/sessiontest/must"
)

func TestKeyStore(t *testing.T) {
	for _, store := range []string{"cookie", "token"} {
		_, lab := synth(t, variants[store])
		expectProperties(t, lab, "AWS::SecretsManager::Secret", map[string]any{
			"GenerateSecretString": map[string]any{"PasswordLength": 42, "ExcludePunctuation": true}})
		expectProperties(t, lab, "AWS::SecretsManager::RotationSchedule", map[string]any{
			"RotationRules": map[string]any{"AutomaticallyAfterDays": 30}, "RotationLambdaARN": assertions.Match_AnyValue()})
		expectProperties(t, lab, "AWS::Lambda::Permission", map[string]any{
			"Principal": "secretsmanager.amazonaws.com", "SourceArn": assertions.Match_AnyValue()})
		for id, policy := range *lab.FindResources(jsii.String("AWS::IAM::Policy"), nil) {
			if !strings.Contains(id, "RotationRole") {
				continue
			}
			actions := strings.Join(permissions(t, *policy), "\n")
			if strings.Contains(actions, "*") {
				t.Errorf("the rotation has a permission with a wildcard:\n%s", actions)
			}
		}
		if environment := environmentFile(t, lab); !strings.Contains(environment, "SESSION_KEYS=\""+keysPlaceholder+"\"\n") {
			t.Errorf("the environment lacks the keys:\n%s", environment)
		}
	}
}

// Servers must be replaced more often than keys rotate: see keyRotationDays.
func TestServersAreYoungerThanKeys(t *testing.T) {
	if serverLifetimeDays >= keyRotationDays {
		t.Errorf("servers live for up to %d days, want less than the key rotation's %d", serverLifetimeDays, keyRotationDays)
	}
	_, lab := synth(t, variants["cookie"])
	expectProperties(t, lab, scalingGroup, map[string]any{"MaxInstanceLifetime": serverLifetimeDays * 24 * 60 * 60})
}

// fakeBoto replaces the AWS SDK for Python by a secret in memory.
const fakeBoto = `
class NotFound(Exception): pass
class Client:
    class exceptions: ResourceNotFoundException = NotFound
    def __init__(self):
        self.values, self.stages = {"v0": "A" * 42}, {"v0": ["AWSCURRENT"]}
    def describe_secret(self, SecretId):
        return {"VersionIdsToStages": self.stages}
    def get_secret_value(self, SecretId, VersionStage, VersionId=None):
        for version, stages in self.stages.items():
            if VersionStage in stages and VersionId in (None, version):
                return {"SecretString": self.values[version]}
        raise NotFound()
    def put_secret_value(self, SecretId, ClientRequestToken, VersionStages, SecretString):
        assert ClientRequestToken not in self.values
        self.values[ClientRequestToken], self.stages[ClientRequestToken] = SecretString, VersionStages
    def update_secret_version_stage(self, SecretId, VersionStage, MoveToVersionId, RemoveFromVersionId):
        self.stages[RemoveFromVersionId].remove(VersionStage)
        self.stages[MoveToVersionId] = [VersionStage]
the_client = Client()
def client(name):
    return the_client
`

// TestRotation runs the function for four rotations as Secrets Manager does, with repeated steps.
func TestRotation(t *testing.T) {
	folder := t.TempDir()
	for name, text := range map[string]string{"boto3.py": fakeBoto, "index.py": rotationProgram, "run.py": `
import boto3, index
print(boto3.the_client.get_secret_value("s", "AWSCURRENT")["SecretString"])
for rotation in range(1, 5):
    for step in "createSecret", "createSecret", "setSecret", "testSecret", "finishSecret", "finishSecret", "createSecret":
        index.handler({"SecretId": "s", "ClientRequestToken": "v%d" % rotation, "Step": step}, None)
    print(boto3.the_client.get_secret_value("s", "AWSCURRENT")["SecretString"])
`} {
		must.Succeed(t, os.WriteFile(filepath.Join(folder, name), []byte(text), 0o644))
	}
	run := exec.CommandContext(t.Context(), requireProgram(t, "python3", "https://www.python.org"), "run.py")
	run.Dir = folder
	output, err := run.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	versions := strings.Fields(string(output))
	if len(versions) != 5 {
		t.Fatalf("versions: %q", versions)
	}
	for i, version := range versions {
		completed := strings.ReplaceAll(version, ",", keySuffix+",") + keySuffix // as the boot does
		if _, err := sealing.ParseKeys(completed); err != nil {
			t.Errorf("version %d: %v", i, err)
		}
		if i == 0 {
			continue
		}
		// Servers with this version and with the one before run side by side.
		seals, sealed := strings.Split(version, ",")[0], strings.Split(versions[i-1], ",")[0]
		if !strings.Contains(versions[i-1], seals) {
			t.Errorf("servers of version %d can't open what those of version %d seal", i-1, i)
		}
		if !strings.Contains(version, sealed) {
			t.Errorf("servers of version %d can't open what those of version %d seal", i, i-1)
		}
		if i > 1 && seals == sealed {
			t.Errorf("version %d seals with the old key", i)
		}
	}
}
