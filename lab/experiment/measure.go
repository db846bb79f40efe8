package experiment

import (
	"context"
	"fmt"

	"stateless-servers/app/config"
	"stateless-servers/lab/load"
)

// Measured is what the experiment latency finds of one store.
type Measured struct {
	Servers int
	Same    load.Result // at the rate that every store gets
	Held    float64     // the highest rate that was held, in requests a second; 0 if not even that one
}

// Measure does for one store what the experiment latency does for all.
func Measure(ctx context.Context, lab *Lab, store config.StoreKind) (Measured, error) {
	e := newLatency()
	for _, s := range e.setups {
		if s.store == store {
			same, held, err := e.observe(ctx, lab, s)
			return Measured{s.servers, same, held}, err
		}
	}
	return Measured{}, fmt.Errorf("store %q can't be measured here", store)
}
