package compare

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"stateless-servers/lab/cost"
)

const root = "../.."

// golden is the lab's stack of a variant, as the tests of stacks keep it.
func golden(t *testing.T, name string) cost.Template {
	t.Helper()
	template, err := cost.ReadTemplate(filepath.Join(root, "stacks", "testdata", name+".json"), labStack)
	if err != nil {
		t.Fatal(err)
	}
	return template
}

// edited is a template in which properties were changed.
func edited(t *testing.T, of cost.Template, edit func(resources object)) cost.Template {
	t.Helper()
	text, err := json.Marshal(of.Whole)
	if err != nil {
		t.Fatal(err)
	}
	changed := object{}
	if err := json.Unmarshal(text, &changed); err != nil {
		t.Fatal(err)
	}
	edit(changed["Resources"].(object))
	return cost.Template{Name: of.Name, Whole: changed}
}

func set(t *testing.T, resources object, kind, property string, value any) {
	t.Helper()
	for _, r := range resources {
		if r := r.(object); r["Type"] == kind {
			r["Properties"].(object)[property] = value
			return
		}
	}
	t.Fatalf("no %s", kind)
}

// The pinned cdk diff must say the same of every pair: what is added, removed, left behind, replaced and updated.
func TestAgreesWithCDKDiff(t *testing.T) {
	s, err := readSpec(root)
	if err != nil {
		t.Fatal(err)
	}
	valkey := golden(t, "valkey")
	tests := []struct {
		name     string
		from, to cost.Template
	}{
		{"another store", golden(t, "dynamodb"), valkey},
		{"back", valkey, golden(t, "dynamodb")},
		{"what is protected", golden(t, "dynamodb-production"), golden(t, "postgres-production")},
		{"another edge", golden(t, "dynamodb"), golden(t, "cloudfront")},
		{"a name that can't change, and what refers to it", valkey, edited(t, valkey, func(r object) {
			set(t, r, "AWS::ElastiCache::SubnetGroup", "CacheSubnetGroupName", "other")
			set(t, r, "AWS::EC2::LaunchTemplate", "LaunchTemplateName", "other")
		})},
		{"a security group that is made anew", valkey, edited(t, valkey, func(r object) {
			set(t, r, "AWS::EC2::SecurityGroup", "GroupDescription", "other")
		})},
		{"maybe", valkey, edited(t, valkey, func(r object) {
			set(t, r, "AWS::ElastiCache::ReplicationGroup", "NumNodeGroups", 3)
			set(t, r, "AWS::ElastiCache::ReplicationGroup", "EngineVersion", "9.0")
			set(t, r, "AWS::ElastiCache::ReplicationGroup", "Engine", "redis")
		})},
		{"numbers and truths in quotes", valkey, edited(t, valkey, func(r object) {
			set(t, r, "AWS::ElastiCache::ReplicationGroup", "Port", "6379")
			set(t, r, "AWS::ElastiCache::ReplicationGroup", "MultiAZEnabled", "true")
		})},
	}
	replacements := 0
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			pair := s.compare(Variant{Name: "a", templates: []cost.Template{test.from}}, Variant{Name: "b", templates: []cost.Template{test.to}})
			got, want := ours(pair), cdkDiff(t, test.from, test.to)
			if !slices.Equal(got, want) {
				t.Errorf("lab compare:\n%s\ncdk diff:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			replacements += len(pair.Replaced) + len(pair.MayBeReplaced)
		})
	}
	if replacements < 4 {
		t.Errorf("%d replacements in all: the test shows too little", replacements)
	}
}

// ours are the changes in the words of cdk diff.
func ours(p Pair) []string {
	var list []string
	add := func(sign, note string, changes []Change) {
		for _, c := range changes {
			list = append(list, strings.TrimSpace(sign+" "+c.Type+" "+c.ID+" "+note))
		}
	}
	add("[+]", "", p.Added)
	for _, c := range p.Removed {
		note := "destroy"
		for _, kept := range p.Kept {
			if kept.ID == c.ID && strings.HasPrefix(kept.Policy, "Retain") { // a snapshot is none to cdk diff
				note = "orphan"
			}
		}
		add("[-]", note, []Change{c})
	}
	add("[~]", "replace", p.Replaced)
	add("[~]", "may be replaced", p.MayBeReplaced)
	add("[~]", "", p.Updated)
	slices.Sort(list)
	return list
}

// resourceLine is one of cdk diff: sign, type, path (where there is one), logical id, impact.
var resourceLine = regexp.MustCompile(`^(\[[-+~]\]) ([A-Za-z0-9]+::\S+) (.*?)( destroy| orphan| replace| may be replaced)?$`)

// cdkDiff are the changes that the pinned command line prints, offline and without credentials.
func cdkDiff(t *testing.T, from, to cost.Template) []string {
	t.Helper()
	dir := t.TempDir()
	write := func(name string, content any) string {
		text, err := json.Marshal(content)
		path := filepath.Join(dir, name)
		if err == nil {
			err = os.MkdirAll(filepath.Dir(path), 0o755)
		}
		if err == nil {
			err = os.WriteFile(path, text, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	old := write("old.template.json", from.Whole)
	write("app/"+labStack+".template.json", to.Whole)
	write("app/manifest.json", object{"version": "48.0.0", "artifacts": object{labStack: object{
		"type": "aws:cloudformation:stack", "environment": "aws://unknown-account/unknown-region",
		"properties": object{"templateFile": labStack + ".template.json"},
	}}})
	command := exec.CommandContext(t.Context(), filepath.Join(root, "node_modules", ".bin", "cdk"), "diff", labStack, "--exclusively",
		"--no-color", "--no-notices", "--app", filepath.Join(dir, "app"), "--template", old)
	command.Env = environment(os.Environ())
	output, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("cdk diff: %v\n%s", err, output)
	}
	if !strings.Contains(string(output), "Number of stacks with differences") {
		t.Fatalf("cdk diff said:\n%s", output)
	}
	var list []string
	for line := range strings.Lines(string(output)) {
		if found := resourceLine.FindStringSubmatch(strings.TrimRight(line, "\r\n ")); found != nil {
			names := strings.Fields(found[3])
			list = append(list, found[1]+" "+found[2]+" "+names[len(names)-1]+found[4])
		}
	}
	slices.Sort(list)
	return list
}
