package session

import (
	"net/http"
	"strings"
)

// finishHeader adds the session's cookie to the header of the response, and keeps caches from showing one visitor's
// response to another.
func (s *Session) finishHeader(header http.Header) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cookie != "" {
		header.Add("Set-Cookie", s.cookie)
	}
	if s.cookie == "" && (s.state == stateNew || s.state == stateUnread && s.readErr == nil) {
		return // the response doesn't depend on the session
	}
	header.Add("Vary", "Cookie")
	header["Cache-Control"] = private(header["Cache-Control"])
}

// private returns the directives of a Cache-Control header without those that let a shared cache store the response
// (RFC 9111, section 5.2.2). Without any directive it is no-store.
func private(lines []string) []string {
	var kept []string
	safe := false
	for _, line := range lines {
		for directive := range strings.SplitSeq(line, ",") {
			directive = strings.TrimSpace(directive)
			name, _, hasValue := strings.Cut(strings.ToLower(directive), "=")
			switch {
			case name == "" || name == "public" || name == "s-maxage":
				continue
			case name == "no-store", name == "private" && !hasValue: // private="field" is about a field alone
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
