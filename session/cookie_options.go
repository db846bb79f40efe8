package session

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	// maxCookieAge is the maximum lifetime of a cookie (draft-ietf-httpbis-rfc6265bis-22, 5.5).
	maxCookieAge = 400 * 24 * time.Hour
	// maxCookieRest is the maximum length of a cookie's name and attributes if a Codec encodes its value: see
	// sealing.MaxValue.
	maxCookieRest = 128
)

func (o Options) checkRemember() error {
	if o.RememberIdleTimeout < time.Second {
		return fmt.Errorf("session option RememberIdleTimeout is %v: allowed is 1s or more", o.RememberIdleTimeout)
	}
	if o.RememberLifetime < o.RememberIdleTimeout || o.RememberLifetime > max(maxCookieAge, o.Lifetime) {
		return fmt.Errorf("session option RememberLifetime is %v: allowed is RememberIdleTimeout (%v) to %v",
			o.RememberLifetime, o.RememberIdleTimeout, maxCookieAge)
	}
	return nil
}

// newCookie returns the session's cookie without value and lifetime. It returns an error if browsers would ignore such a
// cookie.
func (o Options) newCookie() (http.Cookie, error) {
	cookie := http.Cookie{
		Name: o.CookieName, Value: "x", Domain: o.CookieDomain, Path: o.CookiePath, Secure: !o.PlainHTTP, HttpOnly: true,
		SameSite: o.SameSite, Partitioned: o.Partitioned,
	}
	hostOnly := o.CookieDomain == "" && o.CookiePath == "/"
	switch {
	case o.PlainHTTP:
	case hostOnly:
		cookie.Name = "__Host-" + o.CookieName
	default:
		cookie.Name = "__Secure-" + o.CookieName
	}
	refuse := func(option string, value any, reason string) (http.Cookie, error) {
		return http.Cookie{}, fmt.Errorf("session option %s is %v: %s", option, value, reason)
	}
	prefixed := func(prefix string) bool { return strings.HasPrefix(strings.ToLower(o.CookieName), prefix) }
	switch {
	case prefixed("__host-"):
		return refuse("CookieName", o.CookieName,
			"browsers accept the prefix __Host- only with Secure, Path=/ and no Domain; New adds it where it is allowed")
	case prefixed("__secure-"), prefixed("__http-"):
		return refuse("CookieName", o.CookieName, "browsers accept this prefix only with Secure; New adds the prefix that is allowed")
	case !slices.Contains([]http.SameSite{http.SameSiteLaxMode, http.SameSiteStrictMode, http.SameSiteNoneMode}, o.SameSite):
		return refuse("SameSite", int(o.SameSite), "allowed are http.SameSiteLaxMode, http.SameSiteStrictMode and http.SameSiteNoneMode")
	case o.SameSite == http.SameSiteNoneMode && o.PlainHTTP:
		return refuse("SameSite", "None", "browsers ignore such a cookie without Secure, which PlainHTTP leaves out")
	case o.Partitioned && o.PlainHTTP:
		return refuse("Partitioned", true, "browsers ignore such a cookie without Secure, which PlainHTTP leaves out")
	case !strings.HasPrefix(o.CookiePath, "/"):
		return refuse("CookiePath", fmt.Sprintf("%q", o.CookiePath), "browsers ignore a path that doesn't begin with /")
	case o.CookieDomain != "" && !strings.Contains(strings.TrimPrefix(o.CookieDomain, "."), "."):
		return refuse("CookieDomain", fmt.Sprintf("%q", o.CookieDomain), "browsers ignore a cookie for a whole top-level domain")
	}
	if err := cookie.Valid(); err != nil {
		return http.Cookie{}, fmt.Errorf("session options CookieName %q, CookieDomain %q, CookiePath %q: %w",
			o.CookieName, o.CookieDomain, o.CookiePath, err)
	}
	cookie.Value = ""
	return cookie, nil
}

// checkCookieSize returns an error if the name and the attributes of the cookie leave too little room for the value of a Codec.
func (m *Manager) checkCookieSize() error {
	cookie := m.cookie
	cookie.MaxAge = int(m.options.RememberLifetime / time.Second)
	if size := len(cookie.String()); m.isClientSide() && size > maxCookieRest {
		return fmt.Errorf("session options CookieName, CookieDomain and CookiePath: the cookie's name and attributes take %d bytes:"+
			" allowed are %d, because browsers ignore a cookie of more than 4096 bytes with its value", size, maxCookieRest)
	}
	return nil
}

// siteDataTypes are the types of data that Clear-Site-Data can name (W3C Clear Site Data, 3.1).
var siteDataTypes = []string{`"cache"`, `"clientHints"`, `"cookies"`, `"executionContexts"`, `"prefetchCache"`, `"prerenderCache"`, `"storage"`, `"*"`}

// checkHeaders checks the options TokenHeader and ClearSiteData.
func (o Options) checkHeaders() error {
	if name := o.TokenHeader; name != "" {
		token := http.Cookie{Name: name, Value: "x"} // names of cookies and of headers have the same syntax (RFC 9110, 5.6.2)
		reserved := []string{"Cookie", "Set-Cookie", "Host", "Connection", "Content-Length", "Transfer-Encoding"}
		if token.Valid() != nil || slices.Contains(reserved, http.CanonicalHeaderKey(name)) {
			return fmt.Errorf("session option TokenHeader is %q: allowed is Authorization or the name of a header of your own", name)
		}
	}
	if o.ClearSiteData == "" {
		return nil
	}
	for kind := range strings.SplitSeq(o.ClearSiteData, ",") {
		if !slices.Contains(siteDataTypes, strings.TrimSpace(kind)) {
			return fmt.Errorf("session option ClearSiteData is %s: browsers ignore %s: allowed are %s, separated by commas",
				o.ClearSiteData, strings.TrimSpace(kind), strings.Join(siteDataTypes, ", "))
		}
	}
	return nil
}
