// Command pictures draws what -c store=NAME deploys, as docs/images/store-NAME.svg, from the templates that the tests of package
// stacks keep up to date. Start reading at layers.
package main

//go:generate go run .

import (
	"encoding/json"
	"fmt"
	"html"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"stateless-servers/lab/compare"
)

const root = "../.."

func main() {
	for _, store := range compare.Stores() {
		picture, err := draw(store)
		if err == nil {
			err = os.WriteFile(path(store), []byte(picture), 0o644)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

func path(store string) string { return filepath.Join(root, "docs", "images", "store-"+store+".svg") }

// A layer is a box of the picture: a title, and lines below it.
type layer []string

// A deployment has the properties of all resources of the stacks, by type.
type deployment map[string][]properties

type properties map[string]any

// read reads the templates of a store with default options.
func read(store string) (deployment, error) {
	templates, err := compare.DefaultTemplates(root, store)
	if err != nil {
		return nil, err
	}
	d := deployment{}
	for _, t := range templates {
		var content struct {
			Resources map[string]struct {
				Type       string
				Properties properties
			}
		}
		if err := json.Unmarshal(t.Whole, &content); err != nil {
			return nil, err
		}
		for _, r := range content.Resources {
			kind := strings.TrimPrefix(r.Type, "AWS::")
			d[kind] = append(d[kind], r.Properties)
		}
	}
	return d, nil
}

// first returns the properties of the first resource of a type, or nil.
func (d deployment) first(kind string) properties {
	if len(d[kind]) == 0 {
		return nil
	}
	return d[kind][0]
}

// at returns the value of a nested property as text, or "".
func (p properties) at(names ...string) string {
	var value any = map[string]any(p)
	for _, name := range names {
		object, _ := value.(map[string]any)
		value = object[name]
	}
	if value == nil {
		return ""
	}
	return fmt.Sprint(value)
}

// count returns the length of a list, with a noun.
func (p properties) count(name, noun string) string {
	list, _ := p[name].([]any)
	return plural(len(list), noun)
}

func plural(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}

// layers returns the layers of a deployment, in the order of a request.
func layers(d deployment) []layer {
	balancer, group := d.first("ElasticLoadBalancingV2::LoadBalancer"), d.first("AutoScaling::AutoScalingGroup")
	sticky := "no sticky sessions"
	for _, target := range d["ElasticLoadBalancingV2::TargetGroup"] {
		attributes, _ := target["TargetGroupAttributes"].([]any)
		if slices.ContainsFunc(attributes, func(a any) bool {
			attribute := properties(a.(map[string]any))
			return attribute.at("Key") == "stickiness.enabled" && attribute.at("Value") == "true"
		}) {
			sticky = "sticky sessions"
		}
	}
	servers := layer{
		group.at("MinSize") + " to " + group.at("MaxSize") + " servers",
		d.first("EC2::LaunchTemplate").at("LaunchTemplateData", "InstanceType"), group.count("VPCZoneIdentifier", "zone"),
	}
	list := []layer{
		{"Visitors", d.first("ElasticLoadBalancingV2::Listener").at("Protocol")},
		{"Load balancer", balancer.at("Scheme"), balancer.count("Subnets", "zone"), sticky},
		servers,
	}
	switch store := store(d); {
	case store != nil:
		list = append(list, store)
	case d.first("SecretsManager::Secret") != nil: // the visitors hold the sessions
		list[0] = append(list[0], "sessions in cookies")
		list = append(list, layer{"Secrets Manager", plural(len(d["SecretsManager::Secret"]), "secret"), "keys of the cookies"})
	default:
		list[2] = append(servers, "sessions in memory")
	}
	return list
}

// store returns the layer of the store, or nil if the deployment has none.
func store(d deployment) layer {
	if table := d.first("DynamoDB::GlobalTable"); table != nil {
		billing := "provisioned capacity"
		if table.at("BillingMode") == "PAY_PER_REQUEST" {
			billing = "on demand"
		}
		return layer{"DynamoDB table", billing, table.count("Replicas", "region")}
	}
	if cache := d.first("ElastiCache::ReplicationGroup"); cache != nil {
		zones := "1 zone"
		if cache.at("MultiAZEnabled") == "true" {
			zones = "several zones, failover"
		}
		return layer{"ElastiCache", cache.at("Engine") + " " + cache.at("EngineVersion"), cache.at("NumCacheClusters") + " × " + cache.at("CacheNodeType"), zones}
	}
	if cache := d.first("ElastiCache::CacheCluster"); cache != nil {
		return layer{"ElastiCache", cache.at("Engine") + " " + cache.at("EngineVersion"), cache.at("NumCacheNodes") + " × " + cache.at("CacheNodeType"),
			cache.count("PreferredAvailabilityZones", "zone")}
	}
	if cluster := d.first("RDS::DBCluster"); cluster != nil {
		const scaling = "ServerlessV2ScalingConfiguration"
		return layer{"Aurora", cluster.at("Engine") + " " + cluster.at("EngineVersion"), plural(len(d["RDS::DBInstance"]), "serverless instance"),
			cluster.at(scaling, "MinCapacity") + " to " + cluster.at(scaling, "MaxCapacity") + " ACU each"}
	}
	return nil
}

// extras returns what the deployment has beside the layers.
func extras(d deployment) string {
	var list []string
	for _, extra := range []struct{ kind, noun string }{
		{"EC2::NatGateway", "NAT gateway"}, {"EC2::VPCEndpoint", "VPC endpoint"}, {"S3::Bucket", "log bucket"}, {"Logs::LogGroup", "log group"},
		{"CloudWatch::Alarm", "alarm"}, {"CloudWatch::Dashboard", "dashboard"}, {"Lambda::Function", "rotation function"},
	} {
		if n := len(d[extra.kind]); n > 0 {
			list = append(list, plural(n, extra.noun))
		}
	}
	return "Beside them: " + strings.Join(list, ", ")
}

// draw returns the picture of a store.
func draw(store string) (string, error) {
	d, err := read(store)
	if err != nil {
		return "", err
	}
	const box, gap, left, top, height = 156, 30, 10, 10, 92
	list := layers(d)
	width := 4*(box+gap) - gap + 2*left // the same for all stores
	var p strings.Builder
	fmt.Fprintf(&p, `<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="t" viewBox="0 0 %d %d" width="%[1]d" height="%[2]d">
<title id="t">What -c store=%s deploys: %s</title>
<style>
text{font:12px system-ui,Liberation Sans,Arial,sans-serif;fill:#1c1c1c}.t{font-weight:600;font-size:13px}rect{fill:#f4f6f8;stroke:#8a949e}
path{stroke:#5b5b5b;fill:none;stroke-width:1.5}
@media (prefers-color-scheme:dark){text{fill:#e6e6e6}rect{fill:#22262b;stroke:#707a84}path{stroke:#c0c0c0}}
</style>
`, width, top+height+30, store, html.EscapeString(describe(list)))
	for i, l := range list {
		x := left + i*(box+gap)
		fmt.Fprintf(&p, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"6\"/>\n", x, top, box, height)
		for n, line := range l {
			class := ""
			if n == 0 {
				class = ` class="t"`
			}
			fmt.Fprintf(&p, "<text%s x=\"%d\" y=\"%d\">%s</text>\n", class, x+10, top+22+n*19, html.EscapeString(line))
		}
		if i > 0 {
			fmt.Fprintf(&p, "<path d=\"M%d %dh%dm-6 -4l6 4l-6 4\"/>\n", x-gap+3, top+height/2, gap-6)
		}
	}
	fmt.Fprintf(&p, "<text x=\"%d\" y=\"%d\">%s</text>\n</svg>\n", left, top+height+20, html.EscapeString(extras(d)))
	return p.String(), nil
}

// describe returns the layers as one sentence, for readers who don't see the picture.
func describe(list []layer) string {
	var parts []string
	for _, l := range list {
		parts = append(parts, l[0]+" ("+strings.Join(l[1:], ", ")+")")
	}
	return strings.Join(parts, ", then ")
}
