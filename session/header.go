package session

import (
	"net/http"
	"strings"
)

// setHeader adds the session's cookie, or the value of Options.TokenHeader, to the header of the response. If the response depends on the session, setHeader
// forbids shared caches to store it.
func (s *Session) setHeader(header http.Header) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.hasToken && s.byHeader:
		header.Set(s.manager.options.TokenHeader, s.token)
	case s.hasToken:
		header.Add("Set-Cookie", s.token)
	}
	if s.loggedOut && s.manager.options.ClearSiteData != "" {
		header.Set("Clear-Site-Data", s.manager.options.ClearSiteData)
	}
	if !s.hasToken && (s.state == stateNew || s.state == stateUnread && s.readErr == nil) {
		return // the response doesn't depend on the session
	}
	header.Add("Vary", s.manager.vary)
	header["Cache-Control"] = restrictCaching(header["Cache-Control"])
}

// restrictCaching removes the directives of a Cache-Control header that let a shared cache store the response (RFC 9111,
// section 5.2.2), and adds private unless private or no-store is there. For an empty header it returns no-store.
func restrictCaching(lines []string) []string {
	var kept []string
	safe := false
	for _, line := range lines {
		for directive := range strings.SplitSeq(line, ",") {
			directive = strings.TrimSpace(directive)
			name, _, hasValue := strings.Cut(strings.ToLower(directive), "=")
			switch {
			case name == "" || name == "public" || name == "s-maxage":
				continue
			case name == "no-store", name == "private" && !hasValue: // private="field" covers only that header field
				safe = true
			}
			kept = append(kept, directive)
		}
	}
	switch {
	case len(kept) == 0 && len(lines) == 0:
		return []string{"no-store"}
	case !safe:
		kept = append(kept, "private")
	}
	return []string{strings.Join(kept, ", ")}
}

// bearer reports whether the token is in the header Authorization, after the word Bearer (RFC 6750, 2.1).
func (o Options) bearer() bool { return http.CanonicalHeaderKey(o.TokenHeader) == "Authorization" }

// headerToken returns the token in Options.TokenHeader. It reports false if the request does not have the header.
func (m *Manager) headerToken(header http.Header) (string, bool) {
	if m.options.TokenHeader == "" {
		return "", false
	}
	values := header.Values(m.options.TokenHeader)
	switch {
	case len(values) == 0:
		return "", false
	case !m.options.bearer():
		return values[0], true
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	return strings.TrimSpace(token), strings.EqualFold(scheme, "Bearer")
}

// setToken sets the session's cookie, or its header, on the response. maxAge is as in http.Cookie. setToken is called only
// before the response begins.
func (s *Session) setToken(value string, maxAge int) {
	s.hasToken = true
	switch {
	case !s.byHeader:
		cookie := s.manager.cookie
		cookie.Value, cookie.MaxAge = value, maxAge
		s.token = cookie.String()
	case value != "" && s.manager.options.bearer():
		s.token = "Bearer " + value
	default:
		s.token = value
	}
}
