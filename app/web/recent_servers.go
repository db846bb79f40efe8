package web

import (
	"hash/fnv"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// The page shows which servers sent the last responses. A cookie in the browser holds the names of these servers, the oldest
// first, so that viewing the page changes no session. static/script.js updates the cookie too.
const (
	servedCookie    = "served"
	servedSeparator = "~"
	servedLength    = 20
)

var serverName = regexp.MustCompile(`^[A-Za-z0-9.-]{1,64}$`)

// recentServers returns the names in the cookie. It omits invalid names, because the client may have set the cookie.
func recentServers(r *http.Request) []string {
	cookie, err := r.Cookie(servedCookie)
	if err != nil {
		return nil
	}
	names := strings.Split(cookie.Value, servedSeparator)
	names = slices.DeleteFunc(names, func(name string) bool { return !serverName.MatchString(name) })
	return newest(names)
}

// recordServer appends the server's name to the cookie and returns all names in it.
func (s *server) recordServer(w http.ResponseWriter, r *http.Request) []string {
	names := newest(append(recentServers(r), s.Server))
	http.SetCookie(w, &http.Cookie{
		Name: servedCookie, Value: strings.Join(names, servedSeparator), Path: "/", SameSite: http.SameSiteLaxMode,
		Secure: !s.PlainHTTP,
	})
	return names
}

func newest(names []string) []string { return names[max(0, len(names)-servedLength):] }

// colours is the number of classes server-0, server-1 … in static/style.css.
const colours = 8

// serverSlots assigns a number to each server, which selects its colour and letter. The numbers are different. They depend on
// the names, so that a server mostly keeps its colour from one page to the next. Up to as many servers as there are colours
// have different colours. static/script.js computes the same.
func serverSlots(names []string) map[string]int {
	distinct := slices.Compact(slices.Sorted(slices.Values(names)))
	slots := make(map[string]int, len(distinct))
	for i, name := range distinct {
		hash := fnv.New32a()
		hash.Write([]byte(name))
		slot := int(hash.Sum32() % colours)
		taken := slices.Collect(maps.Values(slots))
		for slices.Contains(taken, slot) && i < colours {
			slot = (slot + 1) % colours
		}
		if i >= colours {
			slot = i
		}
		slots[name] = slot
	}
	return slots
}
