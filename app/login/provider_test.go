package login

import (
	"testing"

	"golang.org/x/oauth2"
)

func TestAuthStyle(t *testing.T) {
	const header, params = oauth2.AuthStyleInHeader, oauth2.AuthStyleInParams
	for _, test := range []struct {
		secret  string
		methods []string
		want    oauth2.AuthStyle
	}{
		{"", nil, params},
		{"", []string{"client_secret_basic", "none"}, params},
		{"s", nil, header},
		{"s", []string{"client_secret_post", "client_secret_basic"}, header},
		{"s", []string{"client_secret_post"}, params},
	} {
		if got := (&configuration{AuthMethods: test.methods}).authStyle(test.secret); got != test.want {
			t.Errorf("secret %q, %v: got %v, want %v", test.secret, test.methods, got, test.want)
		}
	}
}
