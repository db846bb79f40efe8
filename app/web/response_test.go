package web_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"stateless-servers/session/sessiontest"
)

// A response has methods that check it.
type response sessiontest.Response

// expect checks the status, and the exact body if one is given.
func (r response) expect(t *testing.T, status int, body ...string) response {
	t.Helper()
	if r.StatusCode != status {
		t.Errorf("%s %s: status %d, want %d\n%.300s", r.Request.Method, r.Request.URL.Path, r.StatusCode, status, r.Body)
	}
	// Only a 503 has Retry-After, because only then a retry can help.
	if again := r.Header.Get("Retry-After") != ""; again != (status == http.StatusServiceUnavailable) {
		t.Errorf("%s %s: status %d, with Retry-After: %v", r.Request.Method, r.Request.URL.Path, status, again)
	}
	if len(body) > 0 && strings.TrimSpace(r.Body) != body[0] {
		t.Errorf("%s %s\n got %s\nwant %s", r.Request.Method, r.Request.URL.Path, r.Body, body[0])
	}
	return r
}

// contains checks that the body holds each text.
func (r response) contains(t *testing.T, texts ...string) response {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(r.Body, text) {
			t.Errorf("%s %s lacks %q", r.Request.Method, r.Request.URL.Path, text)
		}
	}
	return r
}

func (r response) lacks(t *testing.T, texts ...string) response {
	t.Helper()
	for _, text := range texts {
		if strings.Contains(r.Body, text) {
			t.Errorf("%s %s has %q", r.Request.Method, r.Request.URL.Path, text)
		}
	}
	return r
}

// problem checks that the response is a complete problem document with the status, whose detail contains the text.
func (r response) problem(t *testing.T, status int, text string) response {
	t.Helper()
	r.expect(t, status)
	var document map[string]any
	if err := json.Unmarshal([]byte(r.Body), &document); err != nil {
		t.Fatalf("%s %s: %v\n%s", r.Request.Method, r.Request.URL.Path, err, r.Body)
	}
	detail, _ := document["detail"].(string)
	if r.Header.Get("Content-Type") != "application/problem+json" || len(document) != 5 ||
		document["type"] != "about:blank" || document["title"] != http.StatusText(status) ||
		document["status"] != float64(status) ||
		document["instance"] != r.Request.URL.EscapedPath() || detail == "" || !strings.Contains(detail, text) {
		t.Errorf("%s %s: want a problem document with %d and %q, got %s",
			r.Request.Method, r.Request.URL.Path, status, text, r.Body)
	}
	return r
}

// page checks that the response is an error page with the status and the text.
func (r response) page(t *testing.T, status int, text string) response {
	t.Helper()
	r.expect(t, status).contains(t, "<!doctype html>", http.StatusText(status), text)
	if got := r.Header.Get("Content-Type"); got != "text/html; charset=utf-8" {
		t.Errorf("%s %s: content type %q", r.Request.Method, r.Request.URL.Path, got)
	}
	return r
}

// cookies returns the names of the cookies that the response sets.
func (r response) cookies() string {
	var names []string
	for _, cookie := range r.Cookies() {
		names = append(names, cookie.Name)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}
