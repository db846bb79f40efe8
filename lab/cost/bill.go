package cost

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"
)

// hoursPerMonth is the length of a month in the AWS Pricing Calculator.
const hoursPerMonth = 730

const (
	secondsPerMonth = hoursPerMonth * 3600
	bytesPerGB      = 1e9
)

// A Bill is the estimated monthly cost of a deployment.
type Bill struct {
	Region  string  `json:"region"`
	Traffic Traffic `json:"traffic"`
	Servers float64 `json:"servers"` // the number that the traffic needs
	Lines   []Line  `json:"lines"`
	Total   float64 `json:"usd_per_month"`
	// NotCounted gives a reason for each type of resource whose cost does not follow from the Traffic.
	NotCounted map[string]string `json:"not_counted,omitempty"`
	// NotPriced lists the types of resources, and the items, without a price. Total lacks their cost.
	NotPriced []string `json:"not_priced,omitempty"`
	// Limits has a sentence for each limit of the configuration that the traffic exceeds. The bill is for the capacity that
	// the traffic needs.
	Limits []string `json:"limits,omitempty"`
	// Quotas has the vCPUs that the deployment needs of the account's quotas.
	Quotas []Quota `json:"quotas,omitempty"`
	// Notes has further sentences about what the total contains.
	Notes []string `json:"notes,omitempty"`
}

// A Line is one item of a Bill.
type Line struct {
	What     string  `json:"what"`
	Group    string  `json:"group"`    // store, servers, load balancer, network or monitoring
	Resource string  `json:"resource"` // logical id
	Quantity float64 `json:"quantity"` // per month, in units of the price
	Price    Price   `json:"price"`
	USD      float64 `json:"usd_per_month"`
}

// An Estimator estimates the cost of deployments in one region.
type Estimator struct {
	Region string
	Prices Prices
	Counts Counts
}

// Bill estimates the monthly cost of a deployment, given by the templates of its stacks, at the traffic. Its lines are sorted
// by cost, the highest first.
func (e Estimator) Bill(templates []Template, t Traffic) Bill {
	w := &worksheet{Estimator: e, traffic: t, resources: allResources(templates)}
	w.store = storeOf(w.resources)
	w.bill = Bill{Region: e.Region, Traffic: t, NotCounted: map[string]string{}}
	for _, r := range w.resources {
		price, priced := pricers[r.Type]
		reason, uncounted := notCounted[r.Type]
		switch {
		case priced:
			w.price(price, r)
		case uncounted:
			w.bill.NotCounted[r.Type] = reason
		case !free[r.Type]:
			w.addNotPriced(r.Type)
		}
	}
	w.addQuotas()
	slices.Sort(w.bill.NotPriced)
	slices.SortStableFunc(w.bill.Lines, func(a, b Line) int {
		switch {
		case a.USD > b.USD:
			return -1
		case a.USD < b.USD:
			return 1
		}
		return 0
	})
	for _, line := range w.bill.Lines {
		w.bill.Total += line.USD
	}
	return w.bill
}

// price adds a resource to the bill. During a migration, all requests are billed in the store of the deployment, and the other
// store is billed as idle.
func (w *worksheet) price(add func(*worksheet, Resource), r Resource) {
	if store := storeKind(r); store != "" && store != w.store {
		w.addNote("Two stores are deployed, for a migration: the bill has the requests in %s, and %s idle. Moving a session takes "+
			"one write in each, once.", w.store, store)
		all := w.traffic
		w.traffic = all.Scaled(0)
		defer func() { w.traffic = all }()
	}
	add(w, r)
}

// A worksheet collects the lines of a bill.
type worksheet struct {
	Estimator
	traffic   Traffic
	resources []Resource
	store     string // its key in Counts
	bill      Bill
}

// add adds a line to the bill. Without a price for the item, it adds the item to NotPriced.
func (w *worksheet) add(r Resource, what, item string, quantity float64) {
	price, found := w.Prices.find(w.Region, item)
	if !found {
		w.addNotPriced(fmt.Sprintf("%s (no price %s in %s)", r.Type, item, w.Region))
		return
	}
	if quantity > 0 {
		w.bill.Lines = append(w.bill.Lines, Line{what, groupOf(r.Type), r.id, quantity, price, quantity * price.USD})
	}
}

// addHours adds a line for count units that are in use all month.
func (w *worksheet) addHours(r Resource, what, item string, count float64) {
	w.add(r, what, item, count*hoursPerMonth)
}

// addMillions adds a line for an item with a price per million.
func (w *worksheet) addMillions(r Resource, what, item string, perSecond float64) {
	w.add(r, what, item, perSecond*secondsPerMonth/1e6)
}

// addGigabytes adds a line for traffic.
func (w *worksheet) addGigabytes(r Resource, what, item string, bytesPerSecond float64) {
	w.add(r, what, item, bytesPerSecond*secondsPerMonth/bytesPerGB)
}

func (w *worksheet) addNote(format string, values ...any) {
	w.bill.Notes = append(w.bill.Notes, fmt.Sprintf(format, values...))
}

func (w *worksheet) addLimit(format string, values ...any) {
	w.bill.Limits = append(w.bill.Limits, fmt.Sprintf(format, values...))
}

func (w *worksheet) addNotPriced(what string) {
	if !slices.Contains(w.bill.NotPriced, what) {
		w.bill.NotPriced = append(w.bill.NotPriced, what)
	}
}

// find returns the resource with the logical id.
func (w *worksheet) find(id string) (Resource, bool) {
	i := slices.IndexFunc(w.resources, func(r Resource) bool { return r.id == id })
	if i < 0 {
		return Resource{}, false
	}
	return w.resources[i], true
}

func (w *worksheet) ofType(kind string) []Resource {
	return slices.DeleteFunc(slices.Clone(w.resources), func(r Resource) bool { return r.Type != kind })
}

// storeOf returns the store of the deployment, as a key of Counts. It follows the resources. If two of them are different stores,
// for a migration, or none is a store, it follows the stack's output Store. A store beside cookie or token holds a list of
// revocations.
func storeOf(resources []Resource) string {
	found, stated := "", ""
	for _, r := range resources {
		if stated == "" {
			stated, _ = outputStore(r.template)
		}
	}
	if stated == "redis" {
		stated = "valkey" // servers use both the same way
	}
	if stated == "cookie" || stated == "token" {
		return stated
	}
	for _, r := range resources {
		switch kind := storeKind(r); {
		case kind != "" && kind == stated:
			return kind
		case found == "":
			found = kind
		}
	}
	return cmp.Or(found, stated, "memory")
}

// storeKind returns the store that the resource is, as a key of Counts, or "".
func storeKind(r Resource) string {
	switch r.Type {
	case "AWS::DynamoDB::Table", "AWS::DynamoDB::GlobalTable":
		return "dynamodb"
	case "AWS::ElastiCache::ReplicationGroup":
		return "valkey"
	case "AWS::ElastiCache::CacheCluster":
		return "memcached"
	case "AWS::ElastiCache::ServerlessCache":
		if r.text("Engine") == "memcached" {
			return "memcached"
		}
		return "valkey"
	case "AWS::RDS::DBCluster":
		return "postgres"
	}
	return ""
}

// outputStore returns the value of the output Store of the template.
func outputStore(t *Template) (string, bool) {
	store := text(t.value(t.Outputs["Store"].Value))
	return store, store != ""
}

// crossZone returns the share, from 0 to 1, of the traffic between servers and a store that crosses zones.
func (w *worksheet) crossZone() float64 {
	for _, group := range w.ofType("AWS::AutoScaling::AutoScalingGroup") {
		if zones := float64(len(group.list("VPCZoneIdentifier"))); zones > 1 {
			return (zones - 1) / zones
		}
	}
	return 0
}

// addStoreTraffic adds the traffic between servers and a store in the same network. AWS bills it at the instance's end only,
// in both directions (Amazon ElastiCache and Amazon RDS, pricing pages, "Data transfer").
func (w *worksheet) addStoreTraffic(r Resource) {
	bytes := w.Counts.storeBytes(w.store, w.traffic)
	w.addGigabytes(r, "traffic with servers in other zones", "data-transfer:zone", w.crossZone()*bytes)
}

// idleTimeout returns the idle timeout of connections to the load balancer.
func idleTimeout(balancer Resource) time.Duration {
	for _, attribute := range objects(balancer, balancer.Properties["LoadBalancerAttributes"]) {
		if attribute.text("Key") == "idle_timeout.timeout_seconds" {
			return time.Duration(attribute.number("Value") * float64(time.Second))
		}
	}
	return time.Minute // the default (Elastic Load Balancing, User Guide for Application Load Balancers)
}

// provisioned returns the capacity, from low to high, to which autoscaling with that target utilization brings a load of used.
func provisioned(used, utilization, low, high float64) float64 {
	return math.Min(high, math.Max(low, math.Ceil(used/utilization)))
}

// Unverified returns the items of the bill with an unverified price, sorted.
func (b Bill) Unverified() []string {
	items := map[string]bool{}
	for _, line := range b.Lines {
		if !line.Price.Verified {
			items[line.Price.Item] = true
		}
	}
	return slices.Sorted(maps.Keys(items))
}

// Groups returns the groups of lines, in the order in which reports show them.
func Groups() []string { return []string{"store", "servers", "load balancer", "network", "monitoring"} }

// Group returns the cost of the lines in the group.
func (b Bill) Group(group string) float64 {
	sum := 0.0
	for _, line := range b.Lines {
		if line.Group == group {
			sum += line.USD
		}
	}
	return sum
}
