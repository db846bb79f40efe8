package browser

import (
	"fmt"
	"testing"
)

// These tests leave the fleet as it is, so that they share one.
func TestWithAllServers(t *testing.T) {
	l := labUp(t)
	for name, test := range map[string]func(*testing.T, *runningLab){
		"sample page script":        samplePageScript,
		"cookie over plain HTTP":    cookieOverPlainHTTP,
		"servers on both pages":     serversLookTheSameOnBothPages,
		"other sites and the fleet": otherSitesCannotReachTheFleet,
	} {
		t.Run(name, func(t *testing.T) { test(t, l) })
	}
}

// A visitor logs in, fills a cart while a server is killed, and logs out, with JavaScript and without.
func TestSamplePage(t *testing.T) {
	l := labUp(t) // each visit kills one of its three servers
	for _, javaScript := range []bool{true, false} {
		t.Run(fmt.Sprintf("JavaScript %t", javaScript), func(t *testing.T) {
			b := newTab(t)
			if !javaScript {
				b.withoutJavaScript()
			}
			b.open(l.url)
			b.shows("#session-title + form", "Log in with any name")
			b.enter("#user", "Ada")
			b.click("form[action='/login'] button")
			b.shows(".who", "Logged in as Ada")

			b.click("[data-sku=coffee] [value='1']")
			b.shows("[data-sku=coffee] [data-quantity]", "1")
			l.kill(evaluate[string](b, "document.querySelector('#server').textContent"))
			b.click("[data-sku=coffee] [value='1']")
			b.shows("[data-sku=coffee] [data-quantity]", "2")
			b.click("[data-sku=cactus] [value='1']")
			b.shows("#total", "18.90")
			b.click("#visit-form button")
			b.shows("#visits", "1")
			b.open(l.url)
			b.shows("[data-sku=coffee] [data-quantity]", "2")
			b.shows("#total", "18.90")
			b.shows(".who", "Logged in as Ada")

			b.click("form[action='/logout'] button")
			b.shows("#no-session", "You have no session yet")
			b.shows("[data-sku=coffee] [data-quantity]", "0")
			b.shows("#visits", "0")
			b.checkProblems()
		})
	}
}

// The parts that need JavaScript: the dice, and many requests at once.
func samplePageScript(t *testing.T, l *runningLab) {
	b := newTab(t)
	b.open(l.url)
	b.click("#burst")
	b.shows("#visits-title ~ .status", "20 of 20 acknowledged by 3 servers, 20 counted.")
	b.click("#roll")
	b.shows("#game-title ~ .status", "recorded by server-")
	b.shows("#board .own", "") // the visitor's own line of the leaderboard
	b.checkProblems()
}

// A session in the memory of a server dies with it, and the page says so.
func TestSamplePageOfALostSession(t *testing.T) {
	l := labUp(t, "--store", "memory", "--sticky") // each visit kills one of its three servers
	for _, javaScript := range []bool{true, false} {
		t.Run(fmt.Sprintf("JavaScript %t", javaScript), func(t *testing.T) {
			b := newTab(t)
			if !javaScript {
				b.withoutJavaScript()
			}
			b.open(l.url)
			b.enter("#user", "Ada")
			b.click("[name=remember]")
			b.click("form[action='/login'] button")
			b.shows(".who", "Logged in as Ada")
			for _, visits := range []string{"1", "2"} {
				b.click("#visit-form button")
				b.shows("#visits", visits)
			}
			home := evaluate[string](b, "document.querySelector('#server').textContent")
			b.shows("#hero", "lives in the memory of "+home)
			l.kill(home)
			b.click("#visit-form button")
			b.shows("#lost", "Session lost It lived only in the memory of "+home+", but server-")
			b.shows("#lost", "You were logged out; 2 visits are gone. A new session began on")
			b.open(l.url)
			b.shows("#lost", "Session lost")
			b.shows("#visits", "1")
			if javaScript {
				b.checkLooks("sample-lost")
			}
			b.checkProblems()
		})
	}
}

// While the load balancer hasn't noticed that a server is dead, it answers itself, with a page that links the fleet.
func TestBadGateway(t *testing.T) {
	l, b := labUp(t, "--sticky", "--health-interval", "5m"), newTab(t)
	b.open(l.url)
	l.killUnnoticed(evaluate[string](b, "document.querySelector('#server').textContent"))
	b.click("#visit-form button")
	b.shows("#visits-title ~ .status", "The server failed before it answered. Your change may or may not have been made.")
	b.open(l.url)
	b.shows("h1", "502 Bad Gateway")
	b.checkLooks("balancer-502")
	b.takeProblems() // the browser reports each 502
	b.click("a[href='/_lab']")
	b.await("location.pathname == '/_lab'")
	b.checkProblems()
}

func TestSamplePageLooks(t *testing.T) {
	l, b := labUp(t), newTab(t)
	b.open(l.url)
	b.checkLooks("sample-new")
	b.enter("#user", "Ada")
	b.click("form[action='/login'] button")
	b.shows(".who", "Logged in as Ada")
	b.click("#burst")
	b.shows("#visits-title ~ .status", "20 of 20")
	for range 2 {
		b.click("[data-sku=coffee] [value='1']")
	}
	b.shows("[data-sku=coffee] [data-quantity]", "2")
	b.click("#roll")
	b.shows("#game-title ~ .status", "recorded by server-")
	b.checkLooks("sample")
	b.checkProblems()

	b.open(l.url + "/nowhere")
	b.shows("h1", "404")
	b.checkLooks("sample-error")
}

// With stores that lack features, the page says so and disables what would fail.
func TestSamplePageOfLimitedStores(t *testing.T) {
	for _, store := range []string{"cookie", "token"} {
		t.Run(store, func(t *testing.T) {
			l, b := labUp(t, "--store", store), newTab(t)
			b.open(l.url)
			b.enter("#user", "Ada")
			b.click("form[action='/login'] button")
			b.shows(".who", "Logged in as Ada")
			b.shows("#store-title ~ .limits", "a copy of its cookie still works until it expires")
			b.checkLooks("sample-" + store)
			b.checkProblems()
		})
	}
}
