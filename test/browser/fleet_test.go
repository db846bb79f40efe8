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
	"stateless-servers/session/sessiontest/must"
)

// row returns the selector of a server's row in the table.
func row(name string) string { return "tr[data-key=" + name + "]" }

// The page follows the fleet without reloading.
func TestFleetPageIsLive(t *testing.T) {
	l, b := labUp(t), newTab(t)
	b.open(l.url + "/_lab")
	evaluate[chromedp.Void](b, "window.witness = document.querySelector('tbody tr')")
	b.shows(".figures", "3 of 3")
	b.shows("#store", "answers in")

	for range 30 {
		response := must.Get(http.Get(l.url + "/none"))(t)
		response.Body.Close()
	}
	for _, name := range []string{"server-1", "server-2", "server-3"} {
		b.shows(".legend", name)
	}
	b.await("document.querySelectorAll('.chart path[class^=server-][d*=M]').length === 3")
	evaluate[bool](b, `document.querySelector(".slider").dispatchEvent(new PointerEvent("pointermove", { clientX: 400 }))`)
	b.shows("#moment", "no data") // nothing was sampled that long ago
	evaluate[bool](b, `document.querySelector(".slider").dispatchEvent(new PointerEvent("pointerleave"))`)
	b.await("document.querySelector('#moment').textContent === ''")

	b.click(row("server-2") + " .danger")
	b.shows(".events", "server-2 killed")
	b.shows(row("server-2"), "killed, out of service")
	b.shows(".events", "server-2 unhealthy: connection refused")
	b.shows(".labels", "server-2 unhealthy")
	b.shows("#news", "server-2 unhealthy: connection refused.") // announced to screen readers
	b.shows(".figures", "2 of 3")

	b.click("form[action='/_lab/servers'] button")
	b.shows(row("server-4"), "healthy")
	b.shows(".events", "server-4 added")
	b.shows(".figures", "3 of 4")
	b.click(row("server-3") + " [action$=stop] button")
	b.await("!document.querySelector('" + row("server-3") + "')")
	b.shows(".figures", "2 of 3")
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
		"Skip to the content", "Open the application", "Off", "Low", "High", "Pause the store", "1 min", "5 min", "15 min",
		"Time of the values", "Add a server", "Stop server-1", "Kill server-1", "Stop server-2", "Kill server-2", "Stop server-3", "Kill server-3",
	}
	if !slices.Equal(stops, want) {
		t.Fatalf("the tabulator stops at %q, want %q", stops, want)
	}
	b.do(chromedp.Focus(chromedp.CSS(".ranges li:nth-child(2) a")))
	press(kb.Enter)
	b.shows(".ranges [aria-current]", "5 min")
	press(kb.Tab + kb.Tab + kb.ArrowLeft)
	b.await("document.querySelector('.slider').getAttribute('aria-valuetext').match(/^no data$|: all \\d/)")
	b.await("document.querySelector('.cursor').checkVisibility()")
	l.kill("server-1")
	b.shows(row("server-1"), "killed")
	b.click("form[action='/_lab/servers'] button")
	b.shows(row("server-4"), "healthy")
	b.do(chromedp.Focus(chromedp.CSS(row("server-3") + " .danger")))
	before := evaluate[string](b, "document.querySelector('.chart').innerHTML")
	b.await("document.querySelector('.chart').innerHTML !== " + quoted(before))
	if now := evaluate[string](b, focused); now != "Kill server-3" {
		t.Errorf("after a change the focus is on %q, want Kill server-3", now)
	}
	press(kb.Enter)
	b.shows(row("server-3"), "killed")
	b.checkProblems()
}

// The load switch starts and ends a load whose sessions are checked.
func TestFleetPageLoad(t *testing.T) {
	l, b := labUp(t), newTab(t)
	b.open(l.url + "/_lab")
	b.click(".switch [value=low]")
	b.await("document.querySelector('.switch [value=low]').getAttribute('aria-pressed') === 'true'")
	b.shows("#lost", "of 2") // twenty or more sessions
	b.click(row("server-1") + " .danger")
	b.shows(row("server-1"), "killed, out of service")
	b.click(".switch [value=off]")
	b.shows(".events", "load ended: ")
	b.shows(".events", " 0 sessions lost, 0 updates lost")
	b.checkProblems()

	b.open(l.url + "/_lab")
	b.await("document.querySelector('.switch [value=off]').getAttribute('aria-pressed') === 'true'")
	b.checkProblems()
}

// A paused store is seen at once: the servers' own failures are failures.
func TestFleetPageStorePaused(t *testing.T) {
	l, b := labUp(t), newTab(t)
	b.open(l.url + "/_lab")
	b.shows("#store", "answers in")
	b.click(".switch [value=low]")
	b.shows("#lost", "of 2")
	b.click("#store button")
	b.shows("#store", "paused")
	b.shows(".events", "store down")
	b.await("document.querySelector('#failed.bad b')?.innerText > 0")
	b.await("document.querySelector('.chart path.failed').getAttribute('d').includes('M')")
	b.await("document.querySelector('td.bad').innerText > 0")
	b.shows(".labels", "store paused")
	b.shows(".figures", "3 of 3") // the servers are as healthy as before
	b.click("#store button")
	b.shows("#store", "answers in")
	b.shows(".events", "store answers again")
	b.checkProblems()
}

// A killed server doesn't look healthy while the load balancer hasn't noticed.
func TestFleetPageKilledNotYetNoticed(t *testing.T) {
	l, b := labUp(t, "--health-interval", "1m"), newTab(t)
	b.open(l.url + "/_lab")
	b.click(row("server-2") + " .danger")
	b.shows(row("server-2"), "killed, not yet noticed")
	b.shows(".figures", "2 of 3 requests still go to server-2")
	b.await("document.querySelectorAll('" + row("server-2") + " button:disabled').length === 2")
	for range 3 {
		response := must.Get(http.Get(l.url + "/none"))(t)
		response.Body.Close()
	}
	b.shows("#failed", "1 in the last minute: 0 by servers, 1 by the load balancer")
	b.checkProblems()
}

// Nothing on the page looks current when the lab has ended.
func TestFleetPageLabStopped(t *testing.T) {
	l, b := labUp(t), newTab(t)
	b.open(l.url + "/_lab")
	b.shows(".figures", "3 of 3")
	b.checkProblems()
	must.Succeed(t, l.process.Stop(t.Context()))
	b.shows("#gone", "The lab doesn’t respond.")
	if text := evaluate[string](b, "document.querySelector('.live').innerText"); strings.Contains(text, "healthy\n") || strings.Contains(text, "3 of 3") {
		t.Errorf("the page of a lab that has ended says %s", text)
	}
	b.checkLooks("fleet-gone")
	labUp(t, "--addr", strings.TrimPrefix(l.url, "http://"))
	b.shows(".figures", "3 of 3")
	b.await("!document.querySelector('#gone').checkVisibility()")
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
	b.shows(row("server-2"), "killed, out of service")
	b.shows(".events", "server-2 killed")
	b.click("form[action='/_lab/servers'] button")
	b.shows(row("server-4"), "healthy")
	b.click(".switch [value=low]")
	b.shows("#load-text", "20 simulated visitors send 20 requests per second")
	b.click(".switch [value=off]")
	b.await("document.querySelector('.switch [value=off]').getAttribute('aria-pressed') === 'true'")
	b.checkProblems()
}

// The page has no faults in its initial state and with many events.
func TestFleetPageLooks(t *testing.T) {
	sessiontest.Long(t)
	l, b := labUp(t), newTab(t)
	b.open(l.url + "/_lab")
	b.shows("#store", "answers in")
	b.checkLooks("fleet-new")
	b.click(".switch [value=high]")
	b.shows("#lost", "of 1") // a hundred or more sessions
	b.fitsOneScreen()
	if *update { // the chart in the README shows most of a minute
		b.await("document.querySelector('.chart path[class^=server-]').getAttribute('d').split('M').length > 40")
	}
	b.click(row("server-2") + " .danger")
	b.shows(row("server-2"), "killed, out of service")
	b.click("form[action='/_lab/servers'] button")
	b.shows(row("server-4"), "healthy")
	b.checkLooks("fleet")
	b.click("#store button")
	b.await("document.querySelector('#failed.bad b')?.innerText > 0")
	b.checkLooks("fleet-failing")
	b.click("#store button")
	b.checkProblems()

	b.open(l.url + "/_lab/nowhere")
	b.shows("h1", "Not Found")
	b.checkLooks("fleet-error")
}

// fitsOneScreen checks that the page needs no scrolling for its controls, figures, charts and servers.
func (b *tab) fitsOneScreen() {
	b.t.Helper()
	const below = `[...document.querySelectorAll(".tools button, .figures b, .chart, .legend, tbody button")].
		filter((e) => e.getBoundingClientRect().bottom > 800).map((e) => e.outerHTML.slice(0, 80))`
	b.use(looks()[0])
	if elements := evaluate[[]string](b, below); len(elements) > 0 {
		b.t.Errorf("below the first 800 pixels: %q", elements)
	}
}

// A server has the same colour and number on both pages.
func serversLookTheSameOnBothPages(t *testing.T, l *runningLab) {
	b := newTab(t)
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
func otherSitesCannotReachTheFleet(t *testing.T, l *runningLab) {
	b := newTab(t)
	b.open(serve(t, "", fmt.Sprintf(`<form method="post" action="%s/_lab/servers/server-1/kill"><button>You have won</button></form>`, l.url)))
	b.click("button")
	b.shows("body", "the request comes from a page of another site")

	b.open(strings.Replace(l.url, "127.0.0.1", rebound, 1) + "/_lab")
	b.shows("body", "from this machine only")
	if fleet := l.fleet(); len(fleet) != 3 || fleet[0] != (server{"server-1", "healthy"}) {
		t.Errorf("the fleet is %+v, want three servers and server-1 healthy", fleet)
	}
}
