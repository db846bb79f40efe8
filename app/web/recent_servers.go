package web

import (
	"hash/fnv"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// The page shows which servers gave the last answers. The browser keeps that itself, in a plain cookie, so that looking
// at the page changes no session: names of servers, the oldest first. static/script.js goes on with it.
const (
	servedCookie    = "served"
	servedSeparator = "~"
	servedLength    = 20
)

var serverName = regexp.MustCompile(`^[A-Za-z0-9.-]{1,64}$`)

// recentServers reads the cookie. What isn't a name is left out: the cookie is the visitor's.
func recentServers(r *http.Request) []string {
	cookie, err := r.Cookie(servedCookie)
	if err != nil {
		return nil
	}
	names := strings.Split(cookie.Value, servedSeparator)
	names = slices.DeleteFunc(names, func(name string) bool { return !serverName.MatchString(name) })
	return newest(names)
}

// recordServer appends the server's name to the cookie and returns the names that the cookie then has.
func (s *server) recordServer(w http.ResponseWriter, r *http.Request) []string {
	names := newest(append(recentServers(r), s.Server))
	http.SetCookie(w, &http.Cookie{
		Name: servedCookie, Value: strings.Join(names, servedSeparator), Path: "/", SameSite: http.SameSiteLaxMode,
		Secure: !s.PlainHTTP,
	})
	return names
}

func newest(names []string) []string { return names[max(0, len(names)-servedLength):] }

// colours is how many classes server-0, server-1 … static/style.css has.
const colours = 8

// serverSlots gives each server a number, from which its colour and letter follow. It depends on the name, so that a server
// mostly looks the same from one page to the next, and differs between the servers at hand, in colour too while there
// are no more than colours. static/script.js computes the same.
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
