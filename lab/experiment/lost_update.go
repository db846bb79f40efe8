package experiment

import (
	"context"
	"fmt"
)

// lostUpdate races additions to one session, with this library and with others.
type lostUpdate struct{ own, other string }

func newLostUpdate() lostUpdate { return lostUpdate{ownLibrary, scsLibrary} }

func (lostUpdate) Name() string { return "lost-update" }

func (lostUpdate) Claim() string {
	return "Of requests of one session that overlap, a library that reads the session, changes it and writes it " +
		"back whole loses updates. This one, which has the store apply each change, loses none, on the same store."
}

func (e lostUpdate) Run(ctx context.Context, runner *Runner) (Observation, error) {
	o := Observation{Advice: "A page that sends several requests at once, or a visitor with two tabs, is enough to " +
		"lose an update."}
	p, err := runner.race(ctx, e.own, e.other, scsIdle, gorillaStore)
	if err != nil {
		return o, err
	}
	o.set("servers", "two of each library, with a client each, on one Valkey")
	o.set("requests", "%d additions of 1 to one session, 16 at a time over both servers; once at once, once with 5 "+
		"ms between reading and writing", p.Of.Increments)
	table := Table{
		Title:   fmt.Sprintf("Additions retained, of %d", p.Of.Increments),
		Columns: []string{"library", "at once", "with 5 ms between"},
	}
	for _, k := range p.Kept {
		table.Rows = append(table.Rows, []any{libraryName(k.Variant), k.Increments, k.SlowIncrements})
	}
	o.Tables = append(o.Tables, table)
	all, own, other := float64(p.Of.Increments), p.of(e.own), p.of(e.other)
	o.assertAtLeast("additions retained by this library, of "+cell(p.Of.Increments), float64(own.Increments), all)
	o.assertAtLeast("additions retained by this library with 5 ms between, of "+cell(p.Of.Increments), float64(own.SlowIncrements), all)
	o.assertAtMost("additions retained by scs, of "+cell(p.Of.Increments), float64(other.Increments), all-1)
	o.assertAtMost("additions retained by scs with 5 ms between, of "+cell(p.Of.Increments), float64(other.SlowIncrements), all-1)
	return o, nil
}
