package session

import (
	"net/http"
	"strings"
)

// setHeader adds the session's cookie to the header of the response. If the response depends on the session, setHeader
// forbids shared caches to store it.
func (s *Session) setHeader(header http.Header) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cookie != "" {
		header.Add("Set-Cookie", s.cookie)
	}
	if s.cookie == "" && (s.state == stateNew || s.state == stateUnread && s.readErr == nil) {
		return // the response doesn't depend on the session
	}
	header.Add("Vary", "Cookie")
	if s.manager.options.Bearer {
		header.Add("Vary", "Authorization")
	}
	header["Cache-Control"] = restrictCaching(header["Cache-Control"])
}

// bearer returns the token in the header "Authorization: Bearer", or "" if there is none.
func bearer(header http.Header) string {
	scheme, value, _ := strings.Cut(header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimLeft(value, " ")
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
