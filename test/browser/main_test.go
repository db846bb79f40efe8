// Package browser tests the pages in Chromium. Screenshots are saved
// in .build/screenshots, except with -short; with -update, those in the documentation are copied to docs/images. Start reading at tab_test.go.
package browser

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"

	"stateless-servers/lab/fleet"
)

// root is the module's folder, seen from this package.
const root = "../.."

var update = flag.Bool("update", false, "copy the screenshots of the documentation to docs/images")

// rebound is a host name that resolves to this machine in the tests' browser, like an attacker's name after DNS rebinding.
const rebound = "rebound.example"

// chromium starts the browser once for all tests. No flag concerns the pages: they keep the browser from calling
// its vendor's services, which logs errors in a closed network, and let it run as root.
var chromium = sync.OnceValues(func() (browser struct {
	context.Context
	close func()
}, err error) {
	program, err := exec.LookPath("chromium")
	if err != nil {
		return browser, fmt.Errorf("the tests of the pages need a browser; make setup installs it: %w", err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("host-resolver-rules", "MAP "+rebound+" 127.0.0.1"),
	)
	allocator, closeAllocator := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, cancel := chromedp.NewContext(allocator)
	browser.Context = ctx
	browser.close = func() {
		_ = chromedp.Cancel(ctx) // lets the browser exit and remove its temporary files
		cancel()
		closeAllocator()
	}
	if err := chromedp.Do(ctx); err != nil {
		browser.close()
		return browser, fmt.Errorf("starting %s: %w", program, err)
	}
	return browser, nil
})

// labProgram builds the lab once for all tests.
var labProgram = sync.OnceValues(func() (string, error) { return fleet.BuildProgram(context.Background(), "lab", ".", "./lab") })

func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	if browser, err := chromium(); err == nil {
		browser.close()
	}
	os.Exit(code)
}
