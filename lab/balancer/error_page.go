package balancer

import (
	_ "embed"
	"html/template"
	"net/http"
)

//go:embed error_page.tmpl
var errorPageText string

// errorPage has its style inside, because there may be no server to get a style sheet from. It links /_lab, the page about
// the fleet that lab up serves.
var errorPage = template.Must(template.New("error").Parse(errorPageText))

// advice returns what a visitor can know and do after an error response of the load balancer itself.
func advice(status int) string {
	const maybe = "If you sent a change, it may or may not have been made. "
	switch status {
	case http.StatusBadGateway:
		return maybe + "The load balancer sends no more requests to a dead server once its health checks have failed; until then, some fail like this one. Try again."
	case http.StatusServiceUnavailable:
		return "Nothing was changed. Try again in a moment."
	case http.StatusGatewayTimeout:
		return maybe + "Try again in a moment."
	}
	return ""
}

// writeErrorPage responds with the status and an HTML page with the reason.
func writeErrorPage(w http.ResponseWriter, status int, reason string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = errorPage.Execute(w, struct {
		Status                int
		Title, Reason, Advice string
	}{status, http.StatusText(status), reason, advice(status)})
}
