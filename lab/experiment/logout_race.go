package experiment

import (
	"context"
	"fmt"
)

// logoutRace logs sessions out while a request of each is in flight, with this library and with others.
type logoutRace struct{ own, other string }

func newLogoutRace() logoutRace { return logoutRace{ownLibrary, scsLibrary} }

func (logoutRace) Name() string { return "logout-race" }

func (logoutRace) Claim() string {
	return "A request that is under way at logout brings the session back where a library writes it back whole. " +
		"With this one logout is final, on the same store."
}

func (e logoutRace) Run(ctx context.Context, runner *Runner) (Observation, error) {
	o := Observation{Advice: "After logout a stolen cookie must be worth nothing. Nobody notices that it still is, " +
		"until somebody uses it."}
	p, err := runner.race(ctx, e.own, e.other, scsIdle, gorillaStore)
	if err != nil {
		return o, err
	}
	o.set("servers", "two of each library, with a client each, on one Valkey")
	o.set("sessions", "%d, each logged out on one server while the other is busy with a request of it: once one that "+
		"writes, once one that reads", p.Of.Trials)
	table := Table{
		Title:   fmt.Sprintf("Sessions alive after logout, of %d", p.Of.Trials),
		Columns: []string{"library", "after a write", "after a read"},
	}
	for _, k := range p.Kept {
		table.Rows = append(table.Rows, []any{libraryName(k.Variant), k.ByWrite, k.ByRead})
	}
	o.Tables = append(o.Tables, table)
	own, other := p.of(e.own), p.of(e.other)
	o.assertAtMost("sessions alive after a write with this library, of "+cell(p.Of.Trials), float64(own.ByWrite), 0)
	o.assertAtMost("sessions alive after a read with this library, of "+cell(p.Of.Trials), float64(own.ByRead), 0)
	o.assertAtLeast("sessions alive after a write with scs, of "+cell(p.Of.Trials), float64(other.ByWrite), 1)
	return o, nil
}
