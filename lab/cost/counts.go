package cost

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"math"
)

//go:generate go test -run ^TestCountsAreTheLibrarys$ -update .

//go:embed counts.json
var ownCounts []byte

// Counts are what the session library does for one request, by store and kind of request. counts.json has them; it is
// measured, see TestCountsAreTheLibrarys.
type Counts map[string]map[string]Count

// A Count is what one request of a kind does.
type Count struct {
	// Calls of the store by name, as session.Observer sees them.
	Calls map[string]float64 `json:"calls"`
	// FromVisitor and ToVisitor are the bytes of HTTP, headers and cookies included; the response's body is empty.
	FromVisitor Linear `json:"from_visitor"`
	ToVisitor   Linear `json:"to_visitor"`
	// ToStore and FromStore are the bytes between server and store, without TLS.
	ToStore   Linear `json:"to_store"`
	FromStore Linear `json:"from_store"`
	// Commands are those that the store executes for a client.
	Commands float64 `json:"commands,omitempty"`
	// Item is the size of the session as DynamoDB counts it, ReadUnits and WriteUnits the request units that it reported,
	// for sessions of MeasuredBytes.
	Item       *Linear   `json:"item,omitempty"`
	ReadUnits  []float64 `json:"read_units,omitempty"`
	WriteUnits []float64 `json:"write_units,omitempty"`
}

// MeasuredBytes are the sizes of the sessions that were measured.
var MeasuredBytes = [2]int{400, 1600}

// Linear is a number of bytes that grows with the size of the session.
type Linear struct {
	Base    float64 `json:"base"`
	PerByte float64 `json:"per_byte"`
}

func (l Linear) at(bytes float64) float64 { return l.Base + l.PerByte*bytes }

// LibraryCounts are those of counts.json.
func LibraryCounts() (Counts, error) {
	var c Counts
	if err := json.Unmarshal(ownCounts, &c); err != nil {
		return nil, fmt.Errorf("counts.json: %w", err)
	}
	return c, nil
}

// sum adds up what f says of each request, for a second of the traffic.
func (c Counts) sum(store string, t Traffic, f func(Count) float64) float64 {
	sum := 0.0
	for kind, rate := range t.rates() {
		count, found := c[store][kind]
		if !found {
			count = c[store][Read] // a token doesn't change
		}
		sum += rate * f(count)
	}
	return sum
}

// storeBytes are the bytes a second between servers and the store.
func (c Counts) storeBytes(store string, t Traffic) float64 {
	return c.sum(store, t, func(n Count) float64 { return n.ToStore.at(t.SessionBytes) + n.FromStore.at(t.SessionBytes) })
}

// units are the DynamoDB request units per second: a read is billed by 4 KiB of the item, a write by 1 KiB (Amazon DynamoDB
// Developer Guide, "Read/write capacity mode"). A renewal is a transaction of two items and an entry of the index, each at twice
// the price of a write. It reads the session unless the request has done so before.
func (c Counts) units(t Traffic) (reads, writes float64) {
	reads = c.sum("dynamodb", t, func(n Count) float64 {
		return math.Max(n.Calls["load"], n.Calls["renew"]) * math.Ceil(n.item(t)/4096)
	})
	writes = c.sum("dynamodb", t, func(n Count) float64 {
		writes := n.Calls["create"] + n.Calls["update"] + n.Calls["touch"] + 2*2*n.Calls["renew"]
		return writes*math.Ceil(n.item(t)/1024) + 2*n.Calls["renew"]
	})
	return reads, writes
}

func (n Count) item(t Traffic) float64 {
	if n.Item == nil {
		return 0
	}
	return n.Item.at(t.SessionBytes)
}

// stored is about how many bytes a session takes in a store that is no DynamoDB: what a read returns.
func (c Counts) stored(store string, t Traffic) float64 {
	return c[store][Read].FromStore.at(t.SessionBytes)
}
