package experiment

import (
	"context"
	"fmt"

	"stateless-servers/app/config"
	"stateless-servers/lab/load"
)

// Measured has the results of the experiment latency for one store.
type Measured struct {
	Servers   int
	Same      []load.Result // at the rate that is the same for every store
	Sustained float64       // the highest sustained rate, in requests per second; 0 if not even that of Same
}

// Measure runs the experiment latency for one store.
func Measure(ctx context.Context, runner *Runner, store config.StoreKind) (Measured, error) {
	e := newLatency()
	for _, s := range e.setups {
		if s.store == store {
			same, held, err := e.observe(ctx, runner, s)
			return Measured{s.servers, same, held}, err
		}
	}
	return Measured{}, fmt.Errorf("store %q can't be measured here", store)
}
