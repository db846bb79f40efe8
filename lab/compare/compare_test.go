package compare

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"stateless-servers/app/config"
	"stateless-servers/lab/cost"
	"stateless-servers/lab/load"
	"stateless-servers/session/sessiontest"
	"stateless-servers/session/sessiontest/must"
)

const root = "../.."

// golden reads the checked-in template of the lab's stack that the tests of package stacks keep up to date.
func golden(t *testing.T, name string) cost.Template {
	t.Helper()
	return must.Get(cost.ReadTemplate(filepath.Join(root, "stacks", "testdata", name+".json"), labStack))(t)
}

// withProperties returns the template with other values of properties. Their keys are like "AWS::EC2::Instance.ImageId".
func withProperties(t *testing.T, of cost.Template, values map[string]any) cost.Template {
	t.Helper()
	var whole map[string]any
	must.Succeed(t, json.Unmarshal(of.Whole, &whole))
	for _, id := range slices.Sorted(maps.Keys(of.Resources)) {
		for name, value := range values {
			if kind, property, _ := strings.Cut(name, "."); of.Resources[id].Type == kind {
				whole["Resources"].(map[string]any)[id].(map[string]any)["Properties"].(map[string]any)[property] = value
			}
		}
	}
	text := must.Get(json.Marshal(whole))(t)
	return cost.Template{Name: of.Name, Whole: text}
}

// pairs returns the differences in both directions.
func pairs(t *testing.T, from, to []cost.Template) (Pair, Pair) {
	t.Helper()
	r := Report{Variants: []Variant{{Name: "from", templates: from}, {Name: "to", templates: to}}}
	must.Succeed(t, r.Compare(t.Context(), root))
	return r.Pairs[0], r.Pairs[1]
}

// Whether a resource is replaced depends on the property that changes. A resource that refers to a replaced one is replaced
// too where that property requires it.
func TestReplacementFollowsFromTheProperty(t *testing.T) {
	valkey := golden(t, "valkey")
	p, _ := pairs(t, []cost.Template{valkey}, []cost.Template{withProperties(t, valkey, map[string]any{
		"AWS::EC2::SecurityGroup.GroupDescription":         "other",
		"AWS::ElastiCache::ReplicationGroup.NumNodeGroups": 3,
		"AWS::ElastiCache::ReplicationGroup.Port":          "6379", // the same value, quoted
		"AWS::ElastiCache::User.AccessString":              "off",
	})})
	all := strings.Join(p.changes(), "\n")
	for _, want := range []string{
		", ValkeySecurityGroup (replaced: GroupDescription)\n",
		"FleetSecurityGrouptoStatelessLabValkeySecurityGroup (replaced: DestinationSecurityGroupId, GroupId)",
		"? ElastiCache replication group: ValkeyReplicationGroup (maybe replaced: NumNodeGroups)\n",
		"~ ElastiCache user: ValkeyUser (AccessString)",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("%q is missing", want)
		}
	}
	if len(p.Replaced) != 7 || strings.Count(all, "! EC2 security group egress: ") != 1 {
		t.Errorf("%d replaced, want 7, and a line for each type:\n%s", len(p.Replaced), all)
	}
}

func TestNamesOfResources(t *testing.T) {
	for kind, want := range map[string]string{
		"AWS::DynamoDB::GlobalTable": "DynamoDB global table", "AWS::EC2::VPCEndpoint": "EC2 VPC endpoint", "AWS::EC2::EIP": "EC2 EIP",
		"AWS::RDS::DBCluster": "RDS DB cluster", "AWS::WAFv2::WebACL": "WAFv2 web ACL", "Custom::PrefixList": "Custom::PrefixList",
	} {
		if got := typeName(kind); got != want {
			t.Errorf("%s is called %q, want %q", kind, got, want)
		}
	}
	for id, want := range map[string]string{
		"SessionsTableCB734F8B": "SessionsTable", "VPCB9E5F0B4": "VPC", "${FleetRole427BC000}: on ${SessionsTableCB734F8B.Arn}/index": "${FleetRole}: on ${SessionsTable.Arn}/index",
		"GroupBFD15D7963797C112EA8": "Group", "arn:aws:iam::123456789012:role/A": "arn:aws:iam::123456789012:role/A", "StoreBusy": "StoreBusy",
	} {
		if got := plain(id); got != want {
			t.Errorf("%s is written %q, want %q", id, got, want)
		}
	}
}

// A table takes the form that fits the terminal.
func TestTablesFitTheTerminal(t *testing.T) {
	wide := table{head: []string{"variant", "load balancer"}, textColumns: 1, rows: [][]string{{"a", "1.00"}}}
	for columns, want := range map[int]string{
		0: "variant  load balancer\na                 1.00\n", 22: "variant  load balancer\na                 1.00\n",
		21: "variant      load\n         balancer\na            1.00\n", 16: "a\n  load balancer  1.00\n",
	} {
		var text strings.Builder
		if wide.writeText(&text, columns); text.String() != want {
			t.Errorf("%d columns:\n%swant\n%s", columns, text.String(), want)
		}
	}
}

// A narrow terminal omits the spare column before it breaks rows apart.
func TestTablesOmitTheSpareColumn(t *testing.T) {
	bill := table{head: []string{"what", "resource", "USD"}, textColumns: 2, spare: 1, rows: [][]string{{"alarm", "StoreErrors", "0.50"}}}
	for columns, want := range map[int]string{
		24: "what   resource      USD\nalarm  StoreErrors  0.50\n", 23: "what    USD\nalarm  0.50\n",
	} {
		var text strings.Builder
		if bill.writeText(&text, columns); text.String() != want {
			t.Errorf("%d columns:\n%swant\n%s", columns, text.String(), want)
		}
	}
}

// The lines of an item are indented, and a command can be pasted.
func TestListsFitTheTerminal(t *testing.T) {
	for want, b := range map[string]block{
		"  + resource:\n    Table\n":   {list: []string{"+ resource: Table"}},
		"  aws get \\\n    --code 1\n": {list: []string{"aws get --code 1"}, shell: true},
	} {
		var text strings.Builder
		if err := (document{b}).writeText(&text, 18); err != nil || text.String() != want {
			t.Errorf("got %v\n%swant\n%s", err, text.String(), want)
		}
	}
}

// The page has a heading for the chart, which belongs to no other section.
func TestChartHasAHeading(t *testing.T) {
	page := writeAll(t, reportOf(t, hostile[0]))
	if heading := strings.Index(page, "<h2>Cost over traffic</h2>"); heading < 0 || !strings.HasPrefix(page[heading+len("<h2>Cost over traffic</h2>"):], "<figure") {
		t.Error("no heading stands just above the chart")
	}
}

func TestRuleWithoutTrafficIsExplained(t *testing.T) {
	lines := ListDiff{Added: []string{"${A} to 255.255.255.255/32: ICMP 252-86", "${A} from ${B}: TCP 6379"}}.lines()
	if want := []string{"+ ${A} to 255.255.255.255/32: ICMP 252-86 (matches nothing: no outbound traffic)", "+ ${A} from ${B}: TCP 6379"}; !slices.Equal(lines, want) {
		t.Errorf("got %q, want %q", lines, want)
	}
}

func TestEveryStoreOfTheServerCanBeCompared(t *testing.T) {
	for _, store := range config.StoreKinds() {
		if !slices.Contains(Stores(), string(store)) {
			t.Errorf("%s can't be compared", store)
		}
	}
	if len(Stores()) != len(config.StoreKinds())+1 { // redis has no kind of its own: the server treats it as valkey
		t.Errorf("got %v, want the stores of the server and redis", Stores())
	}
	for _, store := range Stores() {
		if _, err := DefaultTemplates(root, store); err != nil {
			t.Error(err)
		}
	}
}

func TestPermissionsAndNetworkRulesFollowTheStore(t *testing.T) {
	p, _ := pairs(t, []cost.Template{golden(t, "dynamodb")}, []cost.Template{golden(t, "valkey")})
	tests := []struct {
		name string
		list []string
		want []string // each is part of a line of the list
	}{
		{"added permissions", p.Permissions.Added, []string{"elasticache:Connect on ${ValkeyUser"}},
		{"removed permissions", p.Permissions.Removed, []string{"dynamodb:BatchGetItem, dynamodb:DeleteItem, dynamodb:GetItem, dynamodb:PutItem, dynamodb:UpdateItem on ${Sessions", "dynamodb:Query on ${Sessions"}},
		{"added rules", p.Network.Added, []string{"to ${ValkeySecurityGroup", "from ${FleetSecurityGroup"}},
		{"removed rules", p.Network.Removed, nil},
	}
	for _, test := range tests {
		for _, want := range test.want {
			if !slices.ContainsFunc(test.list, func(text string) bool { return strings.Contains(text, want) }) {
				t.Errorf("%s: no line has %q:\n%s", test.name, want, strings.Join(test.list, "\n"))
			}
		}
		if len(test.want) == 0 && len(test.list) != 0 {
			t.Errorf("%s: got %v, want none", test.name, test.list)
		}
	}
}

func TestDatabasesAreRetained(t *testing.T) {
	aurora, dynamodb := []cost.Template{golden(t, "postgres-production")}, []cost.Template{golden(t, "dynamodb-production")}
	p, back := pairs(t, aurora, dynamodb)
	if len(p.Retained) != 1 || p.Retained[0].Type != "AWS::RDS::DBCluster" || p.Retained[0].Policy != "Snapshot" {
		t.Errorf("got %+v, want a snapshot of the cluster", p.Retained)
	}
	if len(back.Retained) != 1 || back.Retained[0].Policy != "RetainExceptOnCreate" {
		t.Errorf("got %+v, want the table", back.Retained)
	}
}

func TestArgumentsOfVariants(t *testing.T) {
	for name, want := range map[string]string{
		"valkey":                     "-c store=valkey",
		"memory":                     "-c store=memory -c sticky=true",
		"valkey+shards=2+replicas=1": "-c store=valkey -c shards=2 -c replicas=1",
		"dynamodb+instanceType=t4g.small,m7g.large": "-c store=dynamodb -c instanceType=t4g.small,m7g.large",
	} {
		if got, err := contextArguments(name); err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s: got %v (%v), want %s", name, got, err, want)
		}
	}
	for _, name := range []string{"", "+a=b", "a=b", "valkey+x", "valkey+=1", "valkey+x=", "out/valkey", "two words"} {
		if _, err := contextArguments(name); err == nil || !strings.Contains(err.Error(), "allowed is") {
			t.Errorf("%q: got the error %v, want one that says what is allowed", name, err)
		}
	}
}

func TestTheCDKGetsNoCredentials(t *testing.T) {
	got := cdkEnvironment([]string{"PATH=/bin", "AWS_SECRET_ACCESS_KEY=x", "AWS_PROFILE=x", "AWS_ENDPOINT_URL=x", "CDK_DEFAULT_ACCOUNT=1", "HOME=/h"})
	for _, variable := range got {
		if strings.HasSuffix(variable, "=x") || strings.HasPrefix(variable, "CDK_DEFAULT") {
			t.Errorf("the CDK gets %s", variable)
		}
	}
	if !slices.Contains(got, "PATH=/bin") || !slices.Contains(got, "AWS_EC2_METADATA_DISABLED=true") || !slices.Contains(got, "AWS_CONFIG_FILE="+os.DevNull) {
		t.Errorf("got %v, want PATH and variables that hide the user's AWS configuration", got)
	}
}

// The checked-in templates, which lab cost uses, equal the CDK's. A value that the CDK app refuses gives an error of one line.
func TestSynthesize(t *testing.T) {
	sessiontest.Long(t)
	s := must.Get(NewSynthesizer(t.Context(), root, "", func(string) {}))(t)
	folder := s.folder
	got := must.Get(s.Synthesize(t.Context(), "valkey"))(t)
	want := must.Get(DefaultTemplates(root, "valkey"))(t)
	p, _ := pairs(t, want, got)
	if len(p.Added)+len(p.Removed) > 0 {
		t.Errorf("the checked-in templates lack %v and have in addition %v", p.Added, p.Removed)
	}
	prices, _ := cost.DefaultPrices()
	counts, _ := cost.LibraryCounts()
	e := cost.Estimator{Region: cost.DefaultRegion, Prices: prices, Counts: counts}
	traffic := cost.Traffic{RequestsPerSecond: 10}
	if a, b := e.Bill(want, traffic).Total, e.Bill(got, traffic).Total; a != b {
		t.Errorf("the checked-in templates cost %v, and those of the CDK %v", a, b)
	}
	if _, err := s.Synthesize(t.Context(), "valky"); err == nil || !strings.HasPrefix(err.Error(), `valky: context store="valky": allowed is `) ||
		strings.Contains(err.Error(), "\n") {
		t.Errorf("got the error %v, want one line about the context value", err)
	}
	must.Succeed(t, s.Close())
	if _, err := os.Stat(folder); !os.IsNotExist(err) {
		t.Errorf("%s still exists after Close", folder)
	}
}

func TestErrorNamesTheMissingTool(t *testing.T) {
	if _, err := NewSynthesizer(t.Context(), t.TempDir(), "", nil); err == nil || !strings.Contains(err.Error(), "npm ci") {
		t.Errorf("without node_modules: %v", err)
	}
	t.Setenv("PATH", "")
	if _, err := os.Stat(filepath.Join(root, "node_modules")); err == nil {
		if _, err := NewSynthesizer(t.Context(), root, "", nil); err == nil || !strings.Contains(err.Error(), "node is missing") {
			t.Errorf("without node: %v", err)
		}
	}
}

func TestReportHasMeasurements(t *testing.T) {
	r := Report{Traffic: cost.Traffic{RequestsPerSecond: 1}, Variants: []Variant{{Name: "valkey"}, {Name: "valkey+shards=2"}, {Name: "cookie"}}}
	r.AddMeasurement("valkey", Measurement{Servers: 2, Runs: 5, P50: load.Spread{Median: 1.5, Low: 1, High: 2}, P99: load.Spread{Median: 9.25, Low: 3, High: 80}, Lost: 3, Highest: 800})
	var text, markdown bytes.Buffer
	must.Succeed(t, r.WriteText(&text, 0))
	must.Succeed(t, r.WriteMarkdown(&markdown))
	for _, row := range []string{"| valkey | 1.50 (1.00–2.00) | 9.25 (3.00–80.00) | 0 | 3 | 800 | 0.00 |", "| valkey+shards=2 | 1.50 (", "medians of 5 runs"} {
		if !strings.Contains(markdown.String(), row) {
			t.Errorf("no row %s in\n%s", row, markdown.String())
		}
	}
	if strings.Contains(markdown.String(), "| cookie | 1.50") || !strings.Contains(text.String(), "Measured on this machine") {
		t.Error("a variant that wasn't measured has figures, or the heading is missing")
	}
}
