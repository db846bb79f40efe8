//go:build unix

package compare

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stateless-servers/lab/cost"
)

// assembly is a folder with one template of that text.
func assembly(t testing.TB, text string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "StatelessLab.template.json"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

var usual = cost.Traffic{RequestsPerSecond: 100, Sessions: 10_000, SessionBytes: 500, ReadsPerWrite: 4, Untouched: 0.5,
	ResponseBytes: 1000, IdleTimeout: 30 * time.Minute}

func defaultEstimator(t testing.TB) cost.Estimator {
	t.Helper()
	prices, err := cost.DefaultPrices()
	if err != nil {
		t.Fatal(err)
	}
	counts, err := cost.LibraryCounts()
	if err != nil {
		t.Fatal(err)
	}
	return cost.Estimator{Region: cost.DefaultRegion, Prices: prices, Counts: counts}
}

// compareAll compares two folders as lab compare does, in all forms. Templates that can't be read are refused.
func compareAll(t testing.TB, texts ...string) (html string) {
	t.Helper()
	templates := map[string][]cost.Template{}
	var names []string
	for i, text := range texts {
		read, err := cost.ReadAssembly(assembly(t, text))
		if err != nil {
			return ""
		}
		name := fmt.Sprint("variant-", i)
		names, templates[name] = append(names, name), read
	}
	r := NewReport(defaultEstimator(t), usual, names, templates)
	replacing := spec{"AWS::DynamoDB::Table": {"TableName": "yes", "KeySchema": "maybe"}, "A": {"P": "yes"}}
	for _, from := range r.Variants {
		for _, to := range r.Variants {
			if from.Name != to.Name {
				r.Pairs = append(r.Pairs, replacing.compare(from, to))
			}
		}
	}
	var page bytes.Buffer
	for _, write := range []struct {
		to  io.Writer
		run func(io.Writer) error
	}{{io.Discard, r.WriteText}, {io.Discard, r.WriteMarkdown}, {io.Discard, r.WriteJSON}, {&page, r.WriteHTML}} {
		if err := write.run(write.to); err != nil {
			t.Error(err)
		}
	}
	return page.String()
}

// hostile are templates that nobody wrote by hand, and CloudFormation wouldn't take.
var hostile = []string{
	`{"Resources":{"A":{"Type":"AWS::SSM::Parameter"}}}`, // costs nothing
	`{"Resources":{"A":{"Type":"AWS::SecretsManager::Secret"}}}`,
	`{"Resources":{"A":null,"B":{"Type":"A","Properties":null,"DependsOn":5}}}`,
	`{"Resources":{"A":{"Type":"AWS::EC2::SecurityGroup","Properties":{"SecurityGroupIngress":["all",5,null,{"FromPort":{}}],"SecurityGroupEgress":"all"}}}}`,
	`{"Resources":{"A":{"Type":"AWS::IAM::Role","Properties":{"Policies":"x","ManagedPolicyArns":5,"AssumeRolePolicyDocument":[]}},` +
		`"B":{"Type":"AWS::IAM::Policy","Properties":{"Roles":{"Fn::Join":["",5]},"PolicyDocument":{"Statement":[1,"x",{"Action":{"a":1}}]}}}}}`,
	`{"Resources":{"A":{"Type":"A","Properties":{"P":1,"Q":{"Ref":"A"}}},"A (replaced)":{"Type":"A","Properties":{"P":{"Ref":"A"}}}}}`,
	`{"Resources":{"A":{"Type":"A","Properties":{"P":2,"Q":{"Fn::GetAtt":["A"]}}},"A (replaced)":{"Type":"A","Properties":{"P":{"Ref":"A"},"Q":{"Fn::GetAtt":[]}}}}}`,
	`{"Resources":{"A":{"Type":"A","Properties":{"P":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `}}}}`,
	`{"Resources":{"</script><script>alert(1)</script>":{"Type":"\"><img src=x onerror=alert(1)>","DeletionPolicy":"<b>","Properties":{"<i>":"<u>"}}}}`,
	`{"Resources":{"A\n| b |":{"Type":"x\n\n# heading","Properties":{"` + "`" + `\n":1}}}}`,
	`{"Resources":{"G":{"Type":"AWS::AutoScaling::AutoScalingGroup","Properties":{"MinSize":"1e308","MaxSize":"NaN"}},` +
		`"P":{"Type":"AWS::AutoScaling::ScalingPolicy","Properties":{"AutoScalingGroupName":{"Ref":"G"},"TargetTrackingConfiguration":` +
		`{"TargetValue":0,"PredefinedMetricSpecification":{"PredefinedMetricType":"ALBRequestCountPerTarget"}}}}}}`,
	`{"Resources":{"T":{"Type":"AWS::DynamoDB::Table","Properties":{"BillingMode":"PAY_PER_REQUEST"}},"N":{"Type":"AWS::EC2::NatGateway"}},"Outputs":{"Store":{"Value":"\u0000"}}}`,
}

// Whatever two templates say, comparing them ends, with a report.
func TestHostileTemplates(t *testing.T) {
	for i, from := range hostile {
		for j, to := range hostile {
			t.Run(fmt.Sprint(i, " to ", j), func(t *testing.T) {
				if page := compareAll(t, from, to); !strings.HasSuffix(strings.TrimSpace(page), "</html>") {
					t.Error("no page")
				}
			})
		}
	}
}

func TestPageHasNoMarkupOfTemplates(t *testing.T) {
	page := compareAll(t, hostile[0], hostile[8])
	for _, markup := range []string{"<script", "<img", "<b>", "<i>", "<u>"} {
		if strings.Contains(page, markup) {
			t.Errorf("%s is in the page", markup)
		}
	}
	if !strings.Contains(page, "&lt;script&gt;") {
		t.Error("the resource is not in the page")
	}
}

// A line end in a name is no line end of the Markdown.
func TestMarkdownKeepsItsLines(t *testing.T) {
	var d document
	d.heading("one\n# two")
	d.text("one\n\n# two")
	d.list([]string{"one\n- two\r- three"})
	d.table(table{head: []string{"a\nb"}, rows: [][]string{{"c\n| d |"}}})
	var out strings.Builder
	if err := d.writeMarkdown(&out); err != nil {
		t.Fatal(err)
	}
	want := "## one # two\n\none  # two\n\n- `one - two - three`\n\n| a b |\n| ---: |\n| c \\| d \\| |\n"
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

// Many permissions and rules take time in proportion to their number: a template of some megabytes has as many as these.
func TestManyPermissions(t *testing.T) {
	many := func(prefix string) string {
		var statements []string
		for i := range 60_000 {
			statements = append(statements, fmt.Sprintf(`{"Effect":"Allow","Action":"%s:%d","Resource":"*"}`, prefix, i))
		}
		return `{"Resources":{"R":{"Type":"AWS::IAM::Role","Properties":{"AssumeRolePolicyDocument":{"Statement":[` + strings.Join(statements, ",") + `]}}}}}`
	}
	var variants []Variant
	for _, prefix := range []string{"a", "b"} {
		read, err := cost.ReadAssembly(assembly(t, many(prefix)))
		if err != nil {
			t.Fatal(err)
		}
		variants = append(variants, Variant{Name: prefix, templates: read})
	}
	p := spec{}.compare(variants[0], variants[1])
	if len(p.Permissions.Added) != 60_000 || len(p.Permissions.Removed) != 60_000 {
		t.Errorf("%d come and %d go", len(p.Permissions.Added), len(p.Permissions.Removed))
	}
}

// Variants are synthesized into folders of their own, even one called "..", before the CDK refuses it.
func TestOutputsStayInTheFolder(t *testing.T) {
	s := &Synthesizer{root: t.TempDir(), folder: t.TempDir(), cdk: filepath.Join(t.TempDir(), "cdk")}
	if err := os.WriteFile(s.cdk, []byte("#!/bin/sh\nfor a; do case $last in --output) echo \"context $a\"; esac; last=$a; done; exit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, name := range []string{"..", ".", "a+b=c,d", "a+b=c-d", `..\..`, "a+b=" + strings.Repeat("x", 10_000), "cdk-app"} {
		_, err := s.Synthesize(t.Context(), name)
		_, output, found := strings.Cut(fmt.Sprint(err), "context ")
		if !found || filepath.Dir(output) != s.folder || seen[output] {
			t.Errorf("%.20q: %v", name, err)
		}
		seen[output] = true
	}
}

// FuzzTemplates compares whatever it is given.
func FuzzTemplates(f *testing.F) {
	for i, text := range hostile {
		f.Add(text, hostile[(i+1)%len(hostile)])
	}
	f.Fuzz(func(t *testing.T, from, to string) {
		var any map[string]any
		if json.Unmarshal([]byte(from), &any) == nil {
			compareAll(t, from, to)
		}
	})
}
