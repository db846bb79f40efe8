// Package must ends a test at an error that is not the subject of the test.
package must

// A T is a testing.TB, or the test of another library, such as a *rapid.T.
type T interface {
	Helper()
	Fatal(...any)
}

// Succeed ends the test unless err is nil.
func Succeed(t T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Get returns a function that ends the test unless err is nil, and returns the value: must.Get(os.ReadFile(path))(t).
func Get[V any](value V, err error) func(T) V {
	return func(t T) V {
		t.Helper()
		Succeed(t, err)
		return value
	}
}
