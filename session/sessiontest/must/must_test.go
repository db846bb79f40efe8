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
