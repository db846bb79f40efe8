package browser

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"stateless-servers/session/sessiontest"
	"stateless-servers/session/sessiontest/storeserver"
)

// row returns the selector of a server's row in the table.
func row(name string) string { return "tr[data-key=" + name + "]" }

// The page follows the fleet without reloading.
func TestFleetPageIsLive(t *testing.T) {
	l, b := labUp(t), newTab(t)
	b.open(l.url + "/_lab")
	evaluate[chromedp.Void](b, "window.witness = document.querySelector('tbody tr')")
	b.shows(".figures", "3 of 3")
	b.shows(".figures", "answers in")

	for range 30 {
		response, err := http.Get(l.url + "/none")
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
	}
	for _, name := range []string{"server-1", "server-2", "server-3"} {
		b.shows(row(name)+" td:nth-child(4)", "10") // total requests
		b.shows(".legend", name)
	}
	b.await("document.querySelectorAll('.chart path[class^=server-][d*=M]').length === 3")

	b.click(row("server-2") + " .danger")
	b.shows(".events", "server-2 killed")
	b.shows(row("server-2"), "unhealthy")
	b.shows(".events", "server-2 unhealthy: connection refused")
	b.shows("#status", "server-2 unhealthy: connection refused.") // announced to screen readers
	b.shows(".figures", "2 of 3")

	b.click("form[action='/_lab/servers'] button")
	b.shows(row("server-4"), "healthy")
	b.shows(".events", "server-4 added")
	b.click(row("server-2") + " [action$=stop] button")
	b.await("!document.querySelector('" + row("server-2") + "')")
	b.shows(".figures", "3 of 3")
	if !evaluate[bool](b, "window.witness === document.querySelector('tbody tr')") {
		t.Error("the page or its first row was replaced, want it updated")
	}
	b.checkProblems()
}

// Everything works with the keyboard, and the focus stays while the page changes.
func TestFleetPageByKeyboard(t *testing.T) {
	l, b := labUp(t), newTab(t)
	b.open(l.url + "/_lab")
	press := func(keys string) { t.Helper(); b.do(chromedp.KeyEvent(keys)) }
	const focused = "(document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent.trim())"
	var stops []string
	for range 20 {
		press(kb.Tab)
		stops = append(stops, evaluate[string](b, focused))
		if stops[len(stops)-1] == "Kill server-3" {
			break
		}
	}
	want := []string{
		"Skip to the content", "Open the application", "Add a server",
		"Stop server-1", "Kill server-1", "Stop server-2", "Kill server-2", "Stop server-3", "Kill server-3",
	}
	if !slices.Equal(stops, want) {
		t.Fatalf("the tabulator stops at %q, want %q", stops, want)
	}
	l.kill("server-1")
	b.shows(row("server-1"), "unhealthy")
	b.click(row("server-1") + " [action$=stop] button")
	b.await("!document.querySelector('" + row("server-1") + "')")
	b.do(chromedp.Focus(chromedp.CSS(row("server-3") + " .danger")))
	before := evaluate[string](b, "document.querySelector('.chart').innerHTML")
	b.await("document.querySelector('.chart').innerHTML !== " + quoted(before))
	if now := evaluate[string](b, focused); now != "Kill server-3" {
		t.Errorf("after a change the focus is on %q, want Kill server-3", now)
	}
	press(kb.Enter)
	b.shows(row("server-3"), "unhealthy")
	b.checkProblems()
}

// The load switch starts and ends a load whose sessions are checked.
func TestFleetPageLoad(t *testing.T) {
	l, b := labUp(t), newTab(t)
	b.open(l.url + "/_lab")
	b.click(".switch [value=low]")
	b.await("document.querySelector('.switch [value=low]').getAttribute('aria-pressed') === 'true'")
	b.shows("#load-figures", "of 2") // twenty or more sessions
	b.click(row("server-1") + " .danger")
	b.shows(row("server-1"), "unhealthy")
	b.click(".switch [value=off]")
	b.shows(".events", "load ended: ")
	b.shows(".events", " 0 sessions lost, 0 updates lost")
	b.checkProblems()

	b.open(l.url + "/_lab")
	b.await("document.querySelector('.switch [value=off]').getAttribute('aria-pressed') === 'true'")
	b.checkProblems()
}

// The page shows when the store is unavailable and when it is available again.
func TestFleetPageStoreDown(t *testing.T) {
	store := storeserver.OwnForTest(t, storeserver.Valkey)
	l, b := labUp(t, "--store-addr", store.Addr), newTab(t)
	b.open(l.url + "/_lab")
	b.shows(".figures", "answers in")
	if err := store.Pause(); err != nil {
		t.Fatal(err)
	}
	b.shows(".figures", "doesn’t answer")
	b.shows(".events", "store down")
	b.shows(".figures", "3 of 3") // the servers are as healthy as before
	if err := store.Resume(); err != nil {
		t.Fatal(err)
	}
	b.shows(".figures", "answers in")
	b.shows(".events", "store answers again")
	b.checkProblems()
}

// The page shows when the lab has ended.
func TestFleetPageLabStopped(t *testing.T) {
	l, b := labUp(t), newTab(t)
	b.open(l.url + "/_lab")
	b.shows(".figures", "answers in")
	b.checkProblems()
	if err := l.process.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.shows("#status", "The lab doesn’t respond.")
}

// The forms of the page work without JavaScript.
func TestFleetPageWithoutJavaScript(t *testing.T) {
	l, b := labUp(t), newTab(t)
	b.withoutJavaScript()
	b.open(l.url + "/_lab")
	b.shows("nav", "Refresh")
	b.click(row("server-2") + " .danger")
	l.await("server-2 out of service", func(fleet []server) bool { return !slices.Contains(fleet, server{"server-2", "healthy"}) })
	b.click("nav noscript a")
	b.shows(row("server-2"), "unhealthy")
	b.shows(".events", "server-2 killed")
	b.click("form[action='/_lab/servers'] button")
	b.shows(row("server-4"), "healthy")
	b.click(".switch [value=low]")
	b.shows("#load-text", "20 visitors send 20 requests per second")
	b.click(".switch [value=off]")
	b.await("document.querySelector('.switch [value=off]').getAttribute('aria-pressed') === 'true'")
	b.checkProblems()
}

// The page has no faults in its initial state and with many events.
func TestFleetPageLooks(t *testing.T) {
	sessiontest.Long(t)
	l, b := labUp(t), newTab(t)
	b.open(l.url + "/_lab")
	b.shows(".figures", "answers in")
	b.checkLooks("fleet-new")
	b.click(".switch [value=high]")
	b.shows("#load-figures", "of 1") // a hundred or more sessions
	if *update {                     // the chart in the documentation shows most of a minute
		b.await("document.querySelector('.chart path[class^=server-]').getAttribute('d').split('M').length > 40")
	}
	b.click(row("server-2") + " .danger")
	b.shows(row("server-2"), "unhealthy")
	b.click("form[action='/_lab/servers'] button")
	b.shows(row("server-4"), "healthy")
	b.checkLooks("fleet")
	b.checkProblems()

	b.open(l.url + "/_lab/nowhere")
	b.shows("h1", "Not Found")
	b.checkLooks("fleet-error")
}

// A server has the same colour and letter on both pages.
func TestServersLookTheSameOnBothPages(t *testing.T) {
	l, b := labUp(t), newTab(t)
	b.open(l.url)
	b.click("#burst") // twenty answers, of all three
	b.await("document.querySelectorAll('#legend li').length === 3")
	const identities = `(rows) => rows.map((row) => {
		const tile = row.querySelector(".tile");
		return /server-\d+/.exec(row.textContent)[0] + " " + tile.textContent + " " + getComputedStyle(tile).backgroundColor;
	}).sort()`
	sample := evaluate[[]string](b, "("+identities+")([...document.querySelectorAll('#legend li')])")
	b.open(l.url + "/_lab")
	fleet := evaluate[[]string](b, "("+identities+")([...document.querySelectorAll('tbody tr')])")
	if !slices.Equal(sample, fleet) || len(fleet) != 3 {
		t.Errorf("servers on the sample page %q, on the fleet page %q, want three equal ones", sample, fleet)
	}
}

// Another site in the same browser can neither end servers nor see them, not even under a name of its own
// that resolves to this machine.
func TestOtherSitesCannotReachTheFleet(t *testing.T) {
	l, b := labUp(t), newTab(t)
	b.open(serve(t, "", fmt.Sprintf(`<form method="post" action="%s/_lab/servers/server-1/kill"><button>You have won</button></form>`, l.url)))
	b.click("button")
	b.shows("body", "the request comes from a page of another site")

	b.open(strings.Replace(l.url, "127.0.0.1", rebound, 1) + "/_lab")
	b.shows("body", "from this machine only")
	if fleet := l.fleet(); len(fleet) != 3 || fleet[0] != (server{"server-1", "healthy"}) {
		t.Errorf("the fleet is %+v, want three servers and server-1 healthy", fleet)
	}
}
