package sessiontest

import (
	"context"
	"fmt"

	"stateless-servers/session"
)

// FaultsBeneath runs a fault operation on what wrap makes of a store whose calls fail.
func FaultsBeneath(ctx context.Context, name string, store session.Store, wrap func(session.Store) session.Store) error {
	for _, o := range faultOperations() {
		if o.name == name {
			_, err := o.run(ctx, store, func(i *injector) (session.Store, error) { return wrap(newFaulty(store, i)), nil })
			return err
		}
	}
	return fmt.Errorf("there is no operation %q", name)
}

// AllChecks returns the checks of Run and of RunStoreFaults.
func AllChecks() []Check { return append(Checks(), faultChecks()...) }
