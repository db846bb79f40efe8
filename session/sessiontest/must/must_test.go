package must

import (
	"errors"
	"testing"
)

type recorder struct{ fatal []any }

func (*recorder) Helper() {}

func (r *recorder) Fatal(args ...any) { r.fatal = args }

func TestSucceed(t *testing.T) {
	var r recorder
	Succeed(&r, nil)
	if r.fatal != nil {
		t.Errorf("without an error, the test ended with %v", r.fatal)
	}
	failed := errors.New("failed")
	Succeed(&r, failed)
	if len(r.fatal) != 1 || r.fatal[0] != failed {
		t.Errorf("the test ended with %v, want %v", r.fatal, failed)
	}
}

func TestGet(t *testing.T) {
	var r recorder
	if got := Get(7, nil)(&r); got != 7 || r.fatal != nil {
		t.Errorf("got %d, and the test ended with %v", got, r.fatal)
	}
	failed := errors.New("failed")
	Get(7, failed)(&r)
	if len(r.fatal) != 1 || r.fatal[0] != failed {
		t.Errorf("the test ended with %v, want %v", r.fatal, failed)
	}
}
