package load

import (
	"testing"

	"stateless-servers/lab/check"
)

func TestResponsesOfTheContractAreUnderstood(t *testing.T) {
	for _, test := range []struct {
		kind       check.Kind
		body       string
		understood bool
	}{
		{check.Read, `{"user":"ada","visits":2,"cart":{"coffee":1}}`, true},
		{check.Read, `{}`, true},
		{check.Read, `{"user":null,"visits":null,"cart":null}`, true},
		{check.Read, ``, false},
		{check.Read, `null`, true},
		{check.Read, `[1]`, false},
		{check.Read, `{"visits":"two"}`, false},
		{check.Login, ``, true},
		{check.Logout, `<p>bye`, true},
		{check.Write, `{"visits":3}`, true},
		{check.Write, `done`, true},
		{check.Cart, `{"cart":{"coffee":2}}`, true},
		{check.Cart, ``, true},
	} {
		var r check.Response
		err := r.Parse(test.kind, contractBody(test.kind, []byte(test.body)))
		if (err == nil) != test.understood {
			t.Errorf("%s %q: error %v, want it understood: %t", test.kind, test.body, err, test.understood)
		}
	}
	var r check.Response
	if err := r.Parse(check.Read, contractBody(check.Read, []byte(`{"visits":1}`))); err != nil || r.Lifetime() <= 0 {
		t.Errorf("a session without dates has the lifetime %v, error %v; want a positive one", r.Lifetime(), err)
	}
	if err := r.Parse(check.Read, []byte("null")); err == nil {
		t.Error("the response null to a read is taken, want an error: the sample application always shows the session")
	}
}
