package load

import (
	"net/http"
	"strings"
	"time"
)

// cookies is the cookie jar of one virtual user for one origin. It sends every cookie with every request, whatever its path.
type cookies struct {
	list   []http.Cookie
	header string // the Cookie header of a request
}

// maxCookies is the number of cookies that a browser must keep for one origin (RFC 6265, section 6.1). The jar keeps no more.
const maxCookies = 50

// apply applies the Set-Cookie headers of a response.
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

// balancerPrefix is the prefix of the stickiness cookies of an Application Load Balancer.
const balancerPrefix = "AWSALB"

// nextVisit returns the jar without the session's cookies: only those of the load balancer remain.
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
