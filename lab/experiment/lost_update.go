package experiment

import "context"

// lostUpdate runs every order of two changes of one session, with this library and with scs.
type lostUpdate struct{ own, other string }

func newLostUpdate() lostUpdate { return lostUpdate{ownLibrary, scsLibrary} }

func (lostUpdate) Name() string { return "lost-update" }

func (lostUpdate) Claim() string {
	return "Libraries that read, modify and write back the whole session lose concurrent updates, in most orders of " +
		"the store calls. With this library the store applies each change, and no order loses an update, on the same " +
		"store."
}

func (e lostUpdate) Run(ctx context.Context, runner *Runner) (Observation, error) {
	o := Observation{Advice: "A page that sends several requests at once, or a visitor with two tabs, is enough to " +
		"lose an update. lab explore runs the same orders on any application."}
	o.set("servers", "two of each library on Valkey, whose store calls lab explore holds and releases in every order")
	err := runner.raceTable(ctx, &o, e.own, e.other, "visits + visits", "orders that lose an update")
	return o, err
}
