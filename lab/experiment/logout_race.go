package experiment

import "context"

// logoutRace runs every order of a logout and a change of one session, with this library and with scs.
type logoutRace struct{ own, other string }

func newLogoutRace() logoutRace { return logoutRace{ownLibrary, scsLibrary} }

func (logoutRace) Name() string { return "logout-race" }

func (logoutRace) Claim() string {
	return "Libraries that write back the whole session can bring it back after a logout, if a request overlaps the " +
		"logout. With this library logout is final in every order of the store calls, on the same store."
}

func (e logoutRace) Run(ctx context.Context, runner *Runner) (Observation, error) {
	o := Observation{Advice: "After logout a stolen cookie must be useless. Nobody notices that it still works until " +
		"somebody uses it. lab explore runs the same orders on any application."}
	o.set("servers", "two of each library on Valkey, whose store calls lab explore holds and releases in every order")
	err := runner.raceTable(ctx, &o, e.own, e.other, "visits + logout", "orders that leave the session alive after logout")
	return o, err
}
