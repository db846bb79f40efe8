package web_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"stateless-servers/session/sessiontest"
)

// An answer is a response that tests check.
type answer sessiontest.Response

// expect checks the status and the exact body, where one is given.
func (a answer) expect(t *testing.T, status int, body ...string) answer {
	t.Helper()
	if a.StatusCode != status {
		t.Errorf("%s %s: status %d, want %d\n%.300s", a.Request.Method, a.Request.URL.Path, a.StatusCode, status, a.Body)
	}
	// Where a retry can help, and nowhere else.
	if again := a.Header.Get("Retry-After") != ""; again != (status == http.StatusServiceUnavailable) {
		t.Errorf("%s %s: status %d, with Retry-After: %v", a.Request.Method, a.Request.URL.Path, status, again)
	}
	if len(body) > 0 && strings.TrimSpace(a.Body) != body[0] {
		t.Errorf("%s %s\n got %s\nwant %s", a.Request.Method, a.Request.URL.Path, a.Body, body[0])
	}
	return a
}

// contains checks that the body holds each text.
func (a answer) contains(t *testing.T, texts ...string) answer {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(a.Body, text) {
			t.Errorf("%s %s lacks %q", a.Request.Method, a.Request.URL.Path, text)
		}
	}
	return a
}

func (a answer) lacks(t *testing.T, texts ...string) answer {
	t.Helper()
	for _, text := range texts {
		if strings.Contains(a.Body, text) {
			t.Errorf("%s %s has %q", a.Request.Method, a.Request.URL.Path, text)
		}
	}
	return a
}

// problem checks that the answer is a problem document of that status, whole, whose detail has the text.
func (a answer) problem(t *testing.T, status int, text string) answer {
	t.Helper()
	a.expect(t, status)
	var document map[string]any
	if err := json.Unmarshal([]byte(a.Body), &document); err != nil {
		t.Fatalf("%s %s: %v\n%s", a.Request.Method, a.Request.URL.Path, err, a.Body)
	}
	detail, _ := document["detail"].(string)
	if a.Header.Get("Content-Type") != "application/problem+json" || len(document) != 5 ||
		document["type"] != "about:blank" || document["title"] != http.StatusText(status) ||
		document["status"] != float64(status) ||
		document["instance"] != a.Request.URL.EscapedPath() || detail == "" || !strings.Contains(detail, text) {
		t.Errorf("%s %s: not the problem that was expected (%d, %q): %s",
			a.Request.Method, a.Request.URL.Path, status, text, a.Body)
	}
	return a
}

// page checks that the answer is an error page of that status with the text.
func (a answer) page(t *testing.T, status int, text string) answer {
	t.Helper()
	a.expect(t, status).contains(t, "<!doctype html>", http.StatusText(status), text)
	if got := a.Header.Get("Content-Type"); got != "text/html; charset=utf-8" {
		t.Errorf("%s %s: content type %q", a.Request.Method, a.Request.URL.Path, got)
	}
	return a
}

// cookies are the names of the cookies that the answer sets.
func (a answer) cookies() string {
	var names []string
	for _, cookie := range a.Cookies() {
		names = append(names, cookie.Name)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}
