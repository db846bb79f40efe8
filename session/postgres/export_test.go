package postgres

// SweepAt is Sweep on a server with another clock.
var SweepAt = (*Store).sweep
