package browser

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"stateless-servers/session/sessiontest"
	"strings"
	"testing"
)

const sound = `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Sound</title>
<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">%s</head>
<body><main><h1>Sound</h1>%s</main></body></html>`

// serve serves a page with this head and body at every path.
func serve(t *testing.T, head, body string) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, sound, head, body)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// Each check finds the page with its kind of fault, and no check finds a fault in a correct page.
func TestChecksOfPages(t *testing.T) {
	sessiontest.Long(t)
	elsewhere := serve(t, "", "")
	tests := []struct {
		name, head, body string
		finds            string // part of what is said; empty for a sound page
	}{
		{"sound", "", "<p>Nothing is wrong here.</p>", ""},
		{"an image without words", "", `<img src="data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw==">`, "image-alt"},
		{"grey on grey", "", `<p style="color:#999;background:#bbb">Hard to read</p>`, "color-contrast"},
		{"grey on grey in the dark", "<style>@media (prefers-color-scheme: dark) { p { color: #999; background: #bbb } }</style>",
			"<p>Hard to read</p>", "color-contrast"},
		{"an error on the console", "<script>console.error('broken')</script>", "", "broken"},
		{"an exception", "<script>throw new Error('thrown')</script>", "", "thrown"},
		{"a promise that nobody catches", "<script>Promise.reject(new Error('rejected'))</script>", "", "rejected"},
		{"an image from elsewhere", "", `<img alt="" src="` + elsewhere + `/pixel.gif">`, "leaves the origin: " + elsewhere},
		{"a request to elsewhere", "<script>fetch('" + elsewhere + "/beacon', { mode: 'no-cors' })</script>", "", "leaves the origin: " + elsewhere},
		{"wider than a telephone", "", `<div style="width:30rem">wide</div>`, "wider than the window"},
		{"wider than its section", "", `<section style="width:9rem"><p style="width:10rem">wide</p></section>`, "sticks out of its section"},
		{"moving", "<style>@keyframes on { to { opacity: .9 } } p { animation: on 1s infinite }</style>", "<p>Dizzy</p>", "elements move"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := newTab(t)
			b.open(serve(t, test.head, test.body))
			var found []string
			for _, l := range []look{{"light", 1280}, {"dark", 360}} {
				found = append(found, b.faults(l)...)
			}
			found = append(found, b.wrong()...)
			if test.finds == "" && len(found) > 0 {
				t.Errorf("faults in a correct page: %q", found)
			}
			if !strings.Contains(strings.Join(found, "\n"), test.finds) {
				t.Errorf("not found: %q, only %q", test.finds, found)
			}
		})
	}
}
