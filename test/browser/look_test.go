package browser

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"stateless-servers/session/sessiontest/must"
)

// axe reads axe-core, which checks accessibility, from the npm package in package.json.
var axe = sync.OnceValues(func() (string, error) {
	program, err := os.ReadFile(filepath.Join(root, "node_modules/axe-core/axe.min.js"))
	if err != nil {
		return "", fmt.Errorf("the check of accessibility needs axe-core; npm ci installs it: %w", err)
	}
	return string(program), nil
})

// accessibilityFaults returns the accessibility violations that axe-core finds in the current page, with the elements that have
// them.
func (b *tab) accessibilityFaults() []string {
	b.t.Helper()
	program := must.Get(axe())(b.t)
	const check = `axe.run(document, { resultTypes: ["violations"] }).then(({ violations }) => violations.flatMap(({ id, help, nodes }) =>
		nodes.map((node) => id + ": " + help + ": " + node.html + " " + node.failureSummary)))`
	if !evaluate[bool](b, "'axe' in window") { // not on a page that has been checked in another look
		evaluate[int](b, program+";0")
	}
	return evaluate[[]string](b, check)
}

// A look is a colour scheme and a width of the window.
type look struct {
	scheme string // light or dark
	width  int64  // CSS pixels; pages must fit into 360
}

// looks returns the looks in which pages are checked: all combinations, or with -short two that have every scheme and every width.
func looks() []look {
	if testing.Short() {
		return []look{{"light", 1280}, {"dark", 360}}
	}
	return []look{{"light", 1280}, {"dark", 1280}, {"light", 360}, {"dark", 360}}
}

func (l look) String() string { return fmt.Sprintf("%s-%d", l.scheme, l.width) }

// use sets the look of the tab.
func (b *tab) use(l look) {
	b.t.Helper()
	call(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: l.width, Height: 900, DeviceScaleFactor: 1, Mobile: l.width < 500,
	})
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: l.scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
	}})
}

// faults returns the faults of the current page in the look: accessibility violations, content that is wider than the window or
// its section, and animations, because the tests ask for reduced motion.
func (b *tab) faults(l look) (list []string) {
	b.t.Helper()
	b.use(l)
	for _, fault := range b.accessibilityFaults() {
		list = append(list, fmt.Sprintf("%s: %s", l, fault))
	}
	if pixels := evaluate[int](b, "document.documentElement.scrollWidth - document.documentElement.clientWidth"); pixels > 0 {
		list = append(list, fmt.Sprintf("%s: %d pixels wider than the window", l, pixels))
	}
	const outside = `[...document.querySelectorAll("main section *")].filter((e) => e.checkVisibility() &&
		e.getBoundingClientRect().right > e.closest("section").getBoundingClientRect().right).map((e) => e.outerHTML)`
	for _, element := range evaluate[[]string](b, outside) {
		list = append(list, fmt.Sprintf("%s: wider than its section: %s", l, element))
	}
	if moving := evaluate[int](b, "document.getAnimations().length"); moving > 0 {
		list = append(list, fmt.Sprintf("%s: %d animated elements", l, moving))
	}
	return list
}

// checkLooks checks that the page has no faults in any look. Without -short, it saves a screenshot of each.
func (b *tab) checkLooks(name string) {
	b.t.Helper()
	for _, l := range looks() {
		for _, fault := range b.faults(l) {
			b.t.Errorf("%s, %s", name, fault)
		}
		if !testing.Short() {
			b.screenshot(name + "-" + l.String())
		}
	}
	b.use(looks()[0])
}

// shown returns the names of the screenshots in the documentation.
func shown() []string {
	return []string{"sample-light-1280", "sample-dark-1280", "fleet-light-1280", "fleet-dark-1280"}
}

// screenshot saves a screenshot of the whole page.
func (b *tab) screenshot(name string) {
	b.t.Helper()
	picture := must.Get(chromedp.Run(b.ctx, chromedp.FullScreenshot(100)))(b.t)
	folders := []string{filepath.Join(root, ".build/screenshots")}
	for _, other := range shown() {
		if *update && name == other {
			folders = append(folders, filepath.Join(root, "docs/images"))
		}
	}
	for _, folder := range folders {
		err := os.MkdirAll(folder, 0o755)
		if err == nil {
			err = os.WriteFile(filepath.Join(folder, name+".png"), picture, 0o644)
		}
		must.Succeed(b.t, err)
	}
}
