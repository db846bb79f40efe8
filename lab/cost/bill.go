package cost

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"
)

// hoursPerMonth is what AWS's own calculator takes a month for.
const hoursPerMonth = 730

const (
	secondsPerMonth = hoursPerMonth * 3600
	bytesPerGB      = 1e9
)

// A Bill is what a deployment costs a month.
type Bill struct {
	Region  string  `json:"region"`
	Traffic Traffic `json:"traffic"`
	Servers float64 `json:"servers"` // that the traffic needs
	Lines   []Line  `json:"lines"`
	Total   float64 `json:"usd_per_month"`
	// NotCounted are types of resources whose cost depends on what the traffic doesn't tell, with the reason.
	NotCounted map[string]string `json:"not_counted,omitempty"`
	// NotPriced are types of resources, or items, that the lab has no price for.
	NotPriced []string `json:"not_priced,omitempty"`
	// Limits are what the configuration is too small for, with that traffic. The bill is for what it would take.
	Limits []string `json:"limits,omitempty"`
	// Notes are what else a reader of the total should know.
	Notes []string `json:"notes,omitempty"`
}

// A Line is one thing that is paid for.
type Line struct {
	What     string  `json:"what"`
	Group    string  `json:"group"`    // store, servers, load balancer, network or monitoring
	Resource string  `json:"resource"` // its logical id
	Quantity float64 `json:"quantity"` // a month, in units of the price
	Price    Price   `json:"price"`
	USD      float64 `json:"usd_per_month"`
}

// An Estimator makes bills.
type Estimator struct {
	Region string
	Prices Prices
	Counts Counts
}

// Bill estimates what the templates of a deployment cost with the traffic.
func (e Estimator) Bill(templates []Template, t Traffic) Bill {
	w := &work{Estimator: e, traffic: t, resources: all(templates)}
	w.store = storeOf(w.resources)
	w.bill = Bill{Region: e.Region, Traffic: t, NotCounted: map[string]string{}}
	for _, r := range w.resources {
		price, priced := pricers[r.Type]
		reason, uncounted := notCounted[r.Type]
		switch {
		case priced:
			price(w, r)
		case uncounted:
			w.bill.NotCounted[r.Type] = reason
		case !free[r.Type]:
			w.notPriced(r.Type)
		}
	}
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

// work is a bill in the making.
type work struct {
	Estimator
	traffic   Traffic
	resources []Resource
	store     string // as counts.json calls it
	bill      Bill
}

// add adds a line, if there is a price.
func (w *work) add(r Resource, what, item string, quantity float64) {
	price, found := w.Prices.find(w.Region, item)
	if !found {
		w.notPriced(fmt.Sprintf("%s (no price %s in %s)", r.Type, item, w.Region))
		return
	}
	if quantity > 0 {
		w.bill.Lines = append(w.bill.Lines, Line{what, groupOf(r.Type), r.id, quantity, price, quantity * price.USD})
	}
}

func (w *work) hours(r Resource, what, item string, count float64) {
	w.add(r, what, item, count*hoursPerMonth)
}

// million adds so many a second, priced by the million.
func (w *work) million(r Resource, what, item string, perSecond float64) {
	w.add(r, what, item, perSecond*secondsPerMonth/1e6)
}

// gigabytes adds bytes a second.
func (w *work) gigabytes(r Resource, what, item string, bytesPerSecond float64) {
	w.add(r, what, item, bytesPerSecond*secondsPerMonth/bytesPerGB)
}

func (w *work) note(format string, values ...any) {
	w.bill.Notes = append(w.bill.Notes, fmt.Sprintf(format, values...))
}

func (w *work) limit(format string, values ...any) {
	w.bill.Limits = append(w.bill.Limits, fmt.Sprintf(format, values...))
}

func (w *work) notPriced(what string) {
	if !slices.Contains(w.bill.NotPriced, what) {
		w.bill.NotPriced = append(w.bill.NotPriced, what)
	}
}

// find returns the resource of a template by its id.
func (w *work) find(id string) (Resource, bool) {
	i := slices.IndexFunc(w.resources, func(r Resource) bool { return r.id == id })
	if i < 0 {
		return Resource{}, false
	}
	return w.resources[i], true
}

func (w *work) ofType(kind string) []Resource {
	return slices.DeleteFunc(slices.Clone(w.resources), func(r Resource) bool { return r.Type != kind })
}

// storeOf is the store that the resources are for, as counts.json calls it. Where sessions are with the visitors, nothing
// but the output Store says so.
func storeOf(resources []Resource) string {
	for _, r := range resources {
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
	}
	for _, r := range resources {
		if store, ok := outputStore(r.template); ok {
			return store
		}
	}
	return "memory"
}

// outputStore is what the output Store of a template says.
func outputStore(t *Template) (string, bool) {
	store := text(t.value(t.Outputs["Store"].Value))
	return store, store != ""
}

// crossZone is the share of the traffic between servers and a store that goes to another zone.
func (w *work) crossZone() float64 {
	for _, group := range w.ofType("AWS::AutoScaling::AutoScalingGroup") {
		if zones := float64(len(group.list("VPCZoneIdentifier"))); zones > 1 {
			return (zones - 1) / zones
		}
	}
	return 0
}

// toStore adds the traffic between servers and a store inside the network. Only the instance's side of it is billed, for
// both directions (Amazon ElastiCache and Amazon RDS, pricing pages, "Data transfer").
func (w *work) toStore(r Resource) {
	bytes := w.Counts.storeBytes(w.store, w.traffic)
	w.gigabytes(r, "traffic with servers in other zones", "data-transfer:zone", w.crossZone()*bytes)
}

// idleTimeout is the load balancer's.
func idleTimeout(balancer Resource) time.Duration {
	for _, attribute := range objects(balancer, balancer.Properties["LoadBalancerAttributes"]) {
		if attribute.text("Key") == "idle_timeout.timeout_seconds" {
			return time.Duration(attribute.number("Value") * float64(time.Second))
		}
	}
	return time.Minute // the default (Elastic Load Balancing, User Guide for Application Load Balancers)
}

// provisioned is the capacity that is paid for when it is scaled between bounds so that the share of it is used.
func provisioned(used, share, low, high float64) float64 {
	return math.Min(high, math.Max(low, math.Ceil(used/share)))
}

// Unverified are the items of the bill whose price nobody has checked against its source.
func (b Bill) Unverified() []string {
	items := map[string]bool{}
	for _, line := range b.Lines {
		if !line.Price.Verified {
			items[line.Price.Item] = true
		}
	}
	return slices.Sorted(maps.Keys(items))
}

// Groups are what the lines of a bill are for.
func Groups() []string { return []string{"store", "servers", "load balancer", "network", "monitoring"} }

// Group is what the lines of a group cost together.
func (b Bill) Group(group string) float64 {
	sum := 0.0
	for _, line := range b.Lines {
		if line.Group == group {
			sum += line.USD
		}
	}
	return sum
}
