package balancer

import (
	"net/http"
	"time"
)

// stickyCookie names the target that a visitor is pinned to. An ALB encrypts the name; here it is plain to see.
const stickyCookie = "AWSALB"

// stickyFor is the life of an ALB's cookie, which every answer renews.
const stickyFor = 7 * 24 * time.Hour

// pinned is the target that the visitor's cookie names, if it gets requests.
func (b *Balancer) pinned(r *http.Request, targets []*target) *target {
	if !b.options.Sticky {
		return nil
	}
	cookie, err := r.Cookie(stickyCookie)
	if err != nil {
		return nil
	}
	for _, t := range targets {
		if t.name == cookie.Value {
			return t
		}
	}
	return nil
}

func pin(header http.Header, name string) {
	cookie := http.Cookie{Name: stickyCookie, Value: name, Path: "/", Expires: time.Now().Add(stickyFor)}
	header.Add("Set-Cookie", cookie.String())
}
