package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"stateless-servers/session/sessiontest/must"
)

// pageTimeout bounds how long a test waits for the page. It is long because the machine may be busy.
const pageTimeout = time.Minute

// A tab is a page in a fresh browser context, without cookies. It records errors.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	origin   string // of the address that was opened last
	problems []string
}

// newTab opens an empty page, which is closed at the end of the test.
func newTab(t *testing.T) *tab {
	t.Helper()
	browser := must.Get(chromium())(t)
	b := &tab{t: t}
	ctx, cancel := chromedp.NewContext(browser, chromedp.WithNewBrowserContext(), chromedp.WithListener(b.record))
	t.Cleanup(cancel)
	b.ctx = ctx
	// The context of the first call becomes the context of the tab and must have no deadline.
	watchdog := time.AfterFunc(pageTimeout, cancel)
	defer watchdog.Stop()
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("opening a tab: %v", err)
	}
	return b
}

// record records errors on the console and requests to other origins.
func (b *tab) record(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	add := func(format string, args ...any) { b.problems = append(b.problems, fmt.Sprintf(format, args...)) }
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		switch e.Type {
		case runtime.ConsoleAPICalledTypeError, runtime.ConsoleAPICalledTypeWarning, runtime.ConsoleAPICalledTypeAssert:
			add("console: %s %v", e.Type, texts(e.Args))
		}
	case *runtime.EventExceptionThrown:
		add("exception: %s %v", e.ExceptionDetails.Text, e.ExceptionDetails.Exception)
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
			add("log: %s %s %s", e.Entry.Level, e.Entry.Text, e.Entry.URL)
		}
	case *network.EventRequestWillBeSent:
		if foreign(b.origin, e.Request.URL) {
			add("request to another origin: %s", e.Request.URL)
		}
	case *network.EventWebSocketCreated:
		add("web socket: %s", e.URL)
	}
}

func texts(args []*runtime.RemoteObject) (list []string) {
	for _, arg := range args {
		list = append(list, string(arg.Value))
	}
	return list
}

// foreign reports whether the address is of another origin. Data URLs belong to every origin.
func foreign(origin, address string) bool {
	u, err := url.Parse(address)
	return err != nil || u.Scheme != "data" && u.Scheme+"://"+u.Host != origin
}

// takeProblems returns the problems recorded since the last call.
func (b *tab) takeProblems() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := b.problems
	b.problems = nil
	return list
}

// checkProblems fails the test if problems were recorded.
func (b *tab) checkProblems() {
	b.t.Helper()
	for _, problem := range b.takeProblems() {
		b.t.Error(problem)
	}
}

// do runs the steps within pageTimeout.
func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	must.Succeed(b.t, b.withTimeout(func(ctx context.Context) error { return chromedp.Do(ctx, steps...) }))
}

// withTimeout calls run with a context that ends after pageTimeout.
func (b *tab) withTimeout(run func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(b.ctx, pageTimeout)
	defer cancel()
	return run(ctx)
}

// call sends a command of the DevTools protocol.
func call[P, R any](b *tab, command cdp.Command[P, R], params P) R {
	b.t.Helper()
	var result R
	err := b.withTimeout(func(ctx context.Context) (err error) {
		result, err = chromedp.Call(ctx, command, params)
		return err
	})
	if err != nil {
		b.t.Fatalf("%s: %v", command.Method, err)
	}
	return result
}

// evaluate returns the value of a JavaScript expression. If the value is a promise, it awaits it.
func evaluate[T any](b *tab, expression string) T {
	b.t.Helper()
	value, err := tryEvaluate[T](b, expression)
	if err != nil {
		b.t.Fatalf("%s: %v", expression[:min(len(expression), 200)], err)
	}
	return value
}

// tryEvaluate is like evaluate, but returns the error. Evaluating may fail while the page changes.
func tryEvaluate[T any](b *tab, expression string) (value T, err error) {
	err = b.withTimeout(func(ctx context.Context) (err error) {
		value, err = chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
		return err
	})
	return value, err
}

// open navigates to an address.
func (b *tab) open(address string) {
	b.t.Helper()
	u := must.Get(url.Parse(address))(b.t)
	b.mu.Lock()
	b.origin = u.Scheme + "://" + u.Host
	b.mu.Unlock()
	b.do(chromedp.Navigate(address))
}

// click clicks the element with the mouse.
func (b *tab) click(selector string) {
	b.t.Helper()
	b.do(chromedp.Click(chromedp.CSS(selector)))
}

func (b *tab) enter(selector, text string) {
	b.t.Helper()
	b.do(chromedp.SendKeys(chromedp.CSS(selector), text))
}

// await waits until a JavaScript expression is true.
func (b *tab) await(expression string) {
	b.t.Helper()
	var last error
	for deadline := time.Now().Add(pageTimeout); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		var reached bool
		if reached, last = tryEvaluate[bool](b, "Boolean("+expression+")"); reached {
			return
		}
	}
	page, _ := tryEvaluate[string](b, "document.body.innerText.replace(/\\s+/g, ' ')")
	b.t.Fatalf("timed out waiting for %s (%v); the page says\n%s\n%v", expression, last, page, b.takeProblems())
}

// shows waits until the element is visible and its text contains text.
func (b *tab) shows(selector, text string) {
	b.t.Helper()
	b.await(fmt.Sprintf("document.querySelector(%s)?.checkVisibility()", quoted(selector)))
	b.await(fmt.Sprintf("document.querySelector(%s)?.innerText.replace(/\\s+/g, ' ').includes(%s)", quoted(selector), quoted(text)))
}

func quoted(text string) string {
	literal, _ := json.Marshal(text)
	return string(literal)
}

// withoutJavaScript disables JavaScript for pages opened afterwards.
func (b *tab) withoutJavaScript() {
	b.t.Helper()
	call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
}
