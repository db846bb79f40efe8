package browser

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"stateless-servers/session/sessiontest"
	"strings"
	"testing"
)

const pageFormat = `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Sound</title>
<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">%s</head>
<body><main><h1>Sound</h1>%s</main></body></html>`

// serve serves a page with this head and body at every path.
func serve(t *testing.T, head, body string) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, pageFormat, head, body)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// Each check finds the page with its kind of fault, and no check finds a fault in a correct page.
func TestChecksOfPages(t *testing.T) {
	sessiontest.Long(t)
	otherOrigin := serve(t, "", "")
	tests := []struct {
		name, head, body string
		finds            string // part of a fault, or "" for a correct page
	}{
		{"a correct page", "", "<p>Nothing is wrong here.</p>", ""},
		{"an image without a text alternative", "", `<img src="data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw==">`, "image-alt"},
		{"grey on grey", "", `<p style="color:#999;background:#bbb">Hard to read</p>`, "color-contrast"},
		{"grey on grey in the dark", "<style>@media (prefers-color-scheme: dark) { p { color: #999; background: #bbb } }</style>",
			"<p>Hard to read</p>", "color-contrast"},
		{"an error on the console", "<script>console.error('broken')</script>", "", "broken"},
		{"an exception", "<script>throw new Error('thrown')</script>", "", "thrown"},
		{"an unhandled rejection of a promise", "<script>Promise.reject(new Error('rejected'))</script>", "", "rejected"},
		{"an image from another origin", "", `<img alt="" src="` + otherOrigin + `/pixel.gif">`, "request to another origin: " + otherOrigin},
		{"a request to another origin", "<script>fetch('" + otherOrigin + "/beacon', { mode: 'no-cors' })</script>", "", "request to another origin: " + otherOrigin},
		{"wider than a telephone", "", `<div style="width:30rem">wide</div>`, "wider than the window"},
		{"wider than its section", "", `<section style="width:9rem"><p style="width:10rem">wide</p></section>`, "wider than its section"},
		{"moving", "<style>@keyframes on { to { opacity: .9 } } p { animation: on 1s infinite }</style>", "<p>Dizzy</p>", "animated elements"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := newTab(t)
			b.open(serve(t, test.head, test.body))
			var found []string
			for _, l := range []look{{"light", 1280}, {"dark", 360}} {
				found = append(found, b.faults(l)...)
			}
			found = append(found, b.takeProblems()...)
			if test.finds == "" && len(found) > 0 {
				t.Errorf("faults in a correct page: %q", found)
			}
			if !strings.Contains(strings.Join(found, "\n"), test.finds) {
				t.Errorf("found %q, want %q", found, test.finds)
			}
		})
	}
}
