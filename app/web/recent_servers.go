package web

import (
	"net/http"
	"regexp"
	"slices"
	"strconv"
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

var numberedName = regexp.MustCompile(`-([1-9][0-9]{0,3})$`)

// serverNumbers assigns a number to each server, which the page shows in the server's colour. server-12 has the number 12, as
// on the lab's page about the fleet. Names without a number, such as ids of EC2 instances, are numbered in their order.
// static/script.js computes the same.
func serverNumbers(names []string) map[string]int {
	numbers := map[string]int{}
	for i, name := range slices.Compact(slices.Sorted(slices.Values(names))) {
		numbers[name] = i + 1
		if found := numberedName.FindStringSubmatch(name); found != nil {
			numbers[name], _ = strconv.Atoi(found[1])
		}
	}
	return numbers
}
