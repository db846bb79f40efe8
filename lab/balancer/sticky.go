package balancer

import (
	"net/http"
	"time"
)

// stickyCookie is the name of the cookie with the name of a client's target. An ALB encrypts the value; this balancer does not.
const stickyCookie = "AWSALB"

// stickyLifetime is the lifetime of the cookie, as on an ALB. Every response renews it.
const stickyLifetime = 7 * 24 * time.Hour

// stickyTarget returns the target named in the client's cookie, or nil if it is not among targets.
func (b *Balancer) stickyTarget(r *http.Request, targets []*target) *target {
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

func setStickyCookie(header http.Header, name string) {
	cookie := http.Cookie{Name: stickyCookie, Value: name, Path: "/", Expires: time.Now().Add(stickyLifetime)}
	header.Add("Set-Cookie", cookie.String())
}
