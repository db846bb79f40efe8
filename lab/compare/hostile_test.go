//go:build unix

package compare

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"stateless-servers/lab/cost"
	"stateless-servers/session/sessiontest/must"
)

// assembly makes a folder with one template of that text.
func assembly(t testing.TB, text string) string {
	t.Helper()
	dir := t.TempDir()
	must.Succeed(t, os.WriteFile(filepath.Join(dir, "StatelessLab.template.json"), []byte(text), 0o600))
	return dir
}

var usual = cost.Traffic{RequestsPerSecond: 100, Sessions: 10_000, SessionBytes: 500, ReadsPerWrite: 4, Untouched: 0.5,
	ResponseBytes: 1000, IdleTimeout: 30 * time.Minute}

func defaultEstimator(t testing.TB) cost.Estimator {
	t.Helper()
	prices := must.Get(cost.DefaultPrices())(t)
	counts := must.Get(cost.LibraryCounts())(t)
	return cost.Estimator{Region: cost.DefaultRegion, Prices: prices, Counts: counts}
}

// reportOf returns a report about one variant for each text of a template, without differences. It leaves out templates that
// can't be read.
func reportOf(t testing.TB, texts ...string) Report {
	t.Helper()
	templates := map[string][]cost.Template{}
	var names []string
	for i, text := range texts {
		if read, err := cost.ReadAssembly(assembly(t, text)); err == nil {
			name := fmt.Sprint("variant-", i)
			names, templates[name] = append(names, name), read
		}
	}
	return NewReport(defaultEstimator(t), usual, names, templates)
}

// writeAll writes a report in every format and returns the HTML page.
func writeAll(t testing.TB, r Report) (html string) {
	t.Helper()
	var page bytes.Buffer
	for _, err := range []error{r.WriteText(io.Discard, 0), r.WriteMarkdown(io.Discard), r.WriteJSON(io.Discard), r.WriteHTML(&page)} {
		if err != nil {
			t.Error(err)
		}
	}
	return page.String()
}

// hostile holds templates that CloudFormation would refuse, but that can be compared.
var hostile = []string{
	`{"Resources":{"A":{"Type":"AWS::SSM::Parameter"}}}`, // costs nothing
	`{"Resources":{"A":{"Type":"AWS::SecretsManager::Secret"}}}`,
	`{"Resources":{"B":{"Type":"A","Properties":null,"DependsOn":5}}}`,
	`{"Resources":{"A":{"Type":"AWS::EC2::SecurityGroup","Properties":{"SecurityGroupIngress":["all",5,{"FromPort":{}}],"SecurityGroupEgress":"all"}}}}`,
	`{"Resources":{"A":{"Type":"A","Properties":{"P":1,"Q":{"Ref":"A"}}},"A (replaced)":{"Type":"A","Properties":{"P":{"Ref":"A"}}}}}`,
	`{"Resources":{"A":{"Type":"A","Properties":{"P":2,"Q":{"Fn::GetAtt":["A"]}}},"A (replaced)":{"Type":"A","Properties":{"P":{"Ref":"A"},"Q":{"Fn::GetAtt":[]}}}}}`,
	`{"Resources":{"</script><script>alert(1)</script>":{"Type":"\"><img src=x onerror=alert(1)>","DeletionPolicy":"<b>","Properties":{"<i>":"<u>"}}}}`,
	`{"Resources":{"A\n| b |":{"Type":"x\n\n# heading","Properties":{"` + "`" + `\n":1}}}}`,
	`{"Resources":{"G":{"Type":"AWS::AutoScaling::AutoScalingGroup","Properties":{"MinSize":"1e308","MaxSize":"NaN"}},` +
		`"P":{"Type":"AWS::AutoScaling::ScalingPolicy","Properties":{"AutoScalingGroupName":{"Ref":"G"},"TargetTrackingConfiguration":` +
		`{"TargetValue":0,"PredefinedMetricSpecification":{"PredefinedMetricType":"ALBRequestCountPerTarget"}}}}}}`,
	`{"Resources":{"T":{"Type":"AWS::DynamoDB::GlobalTable","Properties":{"BillingMode":"PAY_PER_REQUEST"}},"N":{"Type":"AWS::EC2::NatGateway"}},"Outputs":{"Store":{"Value":"\u0000"}}}`,
}

// refused holds templates that cdk diff fails on: a malformed resource, a malformed policy, and very deep nesting.
var refused = []string{
	`{"Resources":{"A":null}}`,
	`{"Resources":{"A":{"Type":"AWS::IAM::Role","Properties":{"Policies":"x","ManagedPolicyArns":5,"AssumeRolePolicyDocument":[]}},` +
		`"B":{"Type":"AWS::IAM::Policy","Properties":{"Roles":{"Fn::Join":["",5]},"PolicyDocument":{"Statement":[1,"x",{"Action":{"a":1}}]}}}}}`,
	`{"Resources":{"A":{"Type":"A","Properties":{"P":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `}}}}`,
}

// Comparing hostile templates ends either with a report, whose page has no markup of theirs, or with an error that names the
// two variants.
func TestHostileTemplates(t *testing.T) {
	for _, text := range refused {
		r := reportOf(t, `{"Resources":{"Z":{"Type":"A"}}}`, text)
		if err := r.Compare(t.Context(), root); err == nil || !strings.Contains(err.Error(), "variant-1") {
			t.Errorf("%.100s: got the error %v, want one that names variant-1", text, err)
		}
		writeAll(t, r)
	}
	r := reportOf(t, hostile...)
	must.Succeed(t, r.Compare(t.Context(), root))
	if n := len(hostile); len(r.Pairs) != n*(n-1) {
		t.Errorf("%d pairs of %d templates, want %d", len(r.Pairs), n, n*(n-1))
	}
	page := writeAll(t, r)
	if !strings.HasSuffix(strings.TrimSpace(page), "</html>") {
		t.Error("the page is incomplete")
	}
	for _, markup := range []string{"<script", "<img", "<b>", "<i>", "<u>"} {
		if strings.Contains(page, markup) {
			t.Errorf("%s is in the page", markup)
		}
	}
	if !strings.Contains(page, "&lt;script&gt;") {
		t.Error("the resource is not in the page")
	}
}

// A line end in a name does not start a new line in Markdown.
func TestMarkdownEscapesLineEnds(t *testing.T) {
	var d document
	d.heading("one\n# two")
	d.text("one\n\n# two")
	d.list([]string{"one\n- two\r- three"})
	d.table(table{head: []string{"a\nb"}, rows: [][]string{{"c\n| d |"}}})
	var out strings.Builder
	must.Succeed(t, d.writeMarkdown(&out))
	want := "## one # two\n\none  # two\n\n- `one - two - three`\n\n| a b |\n| ---: |\n| c \\| d \\| |\n"
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

// Each variant is synthesized into its own folder below the temporary one, even if its name is "..".
func TestOutputFoldersStayInTheTemporaryFolder(t *testing.T) {
	s := &Synthesizer{root: t.TempDir(), folder: t.TempDir(), cdk: filepath.Join(t.TempDir(), "cdk")}
	must.Succeed(t, os.WriteFile(s.cdk, []byte("#!/bin/sh\nfor a; do case $last in --output) echo \"context $a\"; esac; last=$a; done; exit 1\n"), 0o700))
	seen := map[string]bool{}
	for _, name := range []string{"..", ".", "a+b=c,d", "a+b=c-d", `..\..`, "a+b=" + strings.Repeat("x", 10_000), "cdk-app"} {
		_, err := s.Synthesize(t.Context(), name)
		_, output, found := strings.Cut(fmt.Sprint(err), "context ")
		if !found || filepath.Dir(output) != s.folder || seen[output] {
			t.Errorf("%.20q: got %v, want a new folder in %s", name, err, s.folder)
		}
		seen[output] = true
	}
}

// FuzzTemplates estimates the cost of arbitrary templates and writes the report.
func FuzzTemplates(f *testing.F) {
	texts := slices.Concat(hostile, refused)
	for i, text := range texts {
		f.Add(text, texts[(i+1)%len(texts)])
	}
	f.Add("0", "0") // neither can be read
	f.Fuzz(func(t *testing.T, from, to string) { writeAll(t, reportOf(t, from, to)) })
}
