package postgres

// SweepAt does the same as Sweep at a given time.
var SweepAt = (*Store).sweep
