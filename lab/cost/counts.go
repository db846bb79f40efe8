package cost

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"math"
)

//go:generate go test -run ^TestCountsMatchTheLibrary$ -update .

//go:embed counts.json
var embeddedCounts []byte

// Counts has, by store and kind of request, what one request makes the session library do. TestCountsMatchTheLibrary measures
// the numbers in counts.json.
type Counts map[string]map[string]Count

// A Count is the average work of one request of a kind.
type Count struct {
	// Calls is the number of store operations by name, as session.Observer reports them.
	Calls map[string]float64 `json:"calls"`
	// FromVisitor and ToVisitor are the bytes of the HTTP messages with headers and cookies, but without the response's body.
	FromVisitor Linear `json:"from_visitor"`
	ToVisitor   Linear `json:"to_visitor"`
	// ToStore and FromStore are the bytes between server and store, without TLS.
	ToStore   Linear `json:"to_store"`
	FromStore Linear `json:"from_store"`
	// Commands is the number of commands that the client sends to the store.
	Commands float64 `json:"commands,omitempty"`
	// Item is the size of the session as DynamoDB counts it. ReadUnits and WriteUnits are the request units that it reported
	// for the two sizes in MeasuredBytes.
	Item       *Linear   `json:"item,omitempty"`
	ReadUnits  []float64 `json:"read_units,omitempty"`
	WriteUnits []float64 `json:"write_units,omitempty"`
}

// MeasuredBytes has the sizes, in bytes, of the sessions that were measured.
var MeasuredBytes = [2]int{400, 1600}

// Linear is a number of bytes that grows with the size of the session.
type Linear struct {
	Base    float64 `json:"base"`
	PerByte float64 `json:"per_byte"`
}

func (l Linear) at(bytes float64) float64 { return l.Base + l.PerByte*bytes }

// LibraryCounts returns the counts in counts.json.
func LibraryCounts() (Counts, error) {
	var c Counts
	if err := json.Unmarshal(embeddedCounts, &c); err != nil {
		return nil, fmt.Errorf("counts.json: %w", err)
	}
	return c, nil
}

// sum returns the sum of f over the requests of one second.
func (c Counts) sum(store string, t Traffic, f func(Count) float64) float64 {
	sum := 0.0
	for kind, rate := range t.rates() {
		count, found := c[store][kind]
		if !found {
			count = c[store][Read] // a token can't be changed, so these requests only read it
		}
		sum += rate * f(count)
	}
	return sum
}

// storeBytes returns the bytes per second between servers and the store, in both directions.
func (c Counts) storeBytes(store string, t Traffic) float64 {
	return c.sum(store, t, func(n Count) float64 { return n.ToStore.at(t.SessionBytes) + n.FromStore.at(t.SessionBytes) })
}

// units returns the DynamoDB request units per second. A read takes one for each 4 KiB of the item, a write one for each 1 KiB
// (Amazon DynamoDB Developer Guide, "Read/write capacity mode"). A renewal is a transaction of two items and an entry of the
// index, each at twice the price of a write. It reads the session unless the request has already done so.
func (c Counts) units(t Traffic) (reads, writes float64) {
	reads = c.sum("dynamodb", t, func(n Count) float64 {
		return math.Max(n.Calls["load"], n.Calls["renew"]) * math.Ceil(n.itemBytes(t)/4096)
	})
	writes = c.sum("dynamodb", t, func(n Count) float64 {
		writes := n.Calls["create"] + n.Calls["update"] + n.Calls["touch"] + 2*2*n.Calls["renew"]
		return writes*math.Ceil(n.itemBytes(t)/1024) + 2*n.Calls["renew"]
	})
	return reads, writes
}

// itemBytes returns the size of a session's item in DynamoDB.
func (n Count) itemBytes(t Traffic) float64 {
	if n.Item == nil {
		return 0
	}
	return n.Item.at(t.SessionBytes)
}
