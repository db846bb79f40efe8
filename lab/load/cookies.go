package load

import (
	"net/http"
	"strings"
	"time"
)

// cookies are those of one visitor for the one origin that is tested. They are a tiny jar: every cookie goes with every
// request, whatever its path.
type cookies struct {
	list   []http.Cookie
	header string // what a request sends
}

// maxCookies is how many a browser must keep of one origin (RFC 6265, section 6.1), and a visitor keeps.
const maxCookies = 50

// apply does what the answer's Set-Cookie headers say.
func (c *cookies) apply(lines []string) {
	if len(lines) == 0 {
		return
	}
	for _, line := range lines {
		cookie, err := http.ParseSetCookie(line)
		if err != nil {
			continue // as browsers do
		}
		removed := cookie.MaxAge < 0 || cookie.MaxAge == 0 && !cookie.Expires.IsZero() && cookie.Expires.Before(time.Now())
		c.set(*cookie, removed)
	}
	c.render()
}

func (c *cookies) set(cookie http.Cookie, removed bool) {
	for i, other := range c.list {
		if other.Name != cookie.Name {
			continue
		}
		c.list[i] = cookie
		if removed {
			c.list = append(c.list[:i], c.list[i+1:]...)
		}
		return
	}
	if !removed && len(c.list) < maxCookies {
		c.list = append(c.list, cookie)
	}
}

func (c *cookies) render() {
	pairs := make([]string, len(c.list))
	for i, cookie := range c.list {
		pairs[i] = cookie.Name + "=" + cookie.Value
	}
	c.header = strings.Join(pairs, "; ")
}

// balancerPrefix begins the names of the cookies with which an Application Load Balancer pins visitors.
const balancerPrefix = "AWSALB"

// nextVisit are the cookies of the same browser without the session that it had: those of the load balancer.
func (c *cookies) nextVisit() *cookies {
	next := &cookies{}
	for _, cookie := range c.list {
		if strings.HasPrefix(cookie.Name, balancerPrefix) {
			next.list = append(next.list, cookie)
		}
	}
	next.render()
	return next
}
