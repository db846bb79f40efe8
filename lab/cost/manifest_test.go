package cost

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stateless-servers/session/sessiontest/must"
)

// Templates of stacks that were synthesized earlier, such as those of another configuration, are not part of the deployment.
func TestAssemblyHasTheLastStacksOnly(t *testing.T) {
	folder := t.TempDir()
	write := func(name, text string) {
		must.Succeed(t, os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600))
	}
	const template = `{"Resources": {"R": {"Type": "AWS::EC2::VPC"}}}`
	for _, stack := range []string{"StatelessLab", "eu-Lab", "eu-Network"} {
		write(stack+templateSuffix, template)
	}
	names := func() string {
		t.Helper()
		templates := must.Get(ReadAssembly(folder))(t)
		var names []string
		for _, read := range templates {
			names = append(names, read.Name)
		}
		return strings.Join(names, " ")
	}
	if got := names(); got != "StatelessLab eu-Lab eu-Network" {
		t.Errorf("without a manifest: got %s, want all stacks", got)
	}
	write("manifest.json", `{"version": "1", "artifacts": {
		"eu-Lab": {"type": "aws:cloudformation:stack", "properties": {"templateFile": "eu-Lab.template.json"}},
		"eu-Network": {"type": "aws:cloudformation:stack", "properties": {"templateFile": "eu-Network.template.json"}},
		"Tree": {"type": "cdk:tree", "properties": {"file": "tree.json"}}}}`)
	if got := names(); got != "eu-Lab eu-Network" {
		t.Errorf("got %s, want the stacks of the manifest", got)
	}
	write("manifest.json", `[]`)
	if _, err := ReadAssembly(folder); err == nil || !strings.Contains(err.Error(), "is not a manifest of the CDK") {
		t.Errorf("got %v, want an error about the manifest", err)
	}
}
