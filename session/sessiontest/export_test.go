package sessiontest

import (
	"context"
	"fmt"

	"stateless-servers/session"
)

// FaultsBeneath runs the named fault operation on wrap(s), where s is a store whose calls fail.
func FaultsBeneath(ctx context.Context, name string, store session.Store, wrap func(session.Store) session.Store) error {
	for _, o := range faultOperations() {
		if o.name == name {
			_, err := o.run(ctx, store, func(i *injector) (session.Store, error) { return wrap(newFaulty(store, i)), nil })
			return err
		}
	}
	return fmt.Errorf("there is no operation %q", name)
}

// AllCases returns the cases of Run and of RunStoreFaults.
func AllCases() []Case { return append(Cases(), faultCases()...) }
