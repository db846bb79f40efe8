package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	g "maragu.dev/gomponents"

	"stateless-servers/session"
)

// A problem is an error as RFC 9457 describes it. Its type is about:blank: the status says it all.
type problem struct {
	Type     string `json:"type"`
	Title    string `json:"title"`
	Status   int    `json:"status"`
	Detail   string `json:"detail"`
	Instance string `json:"instance"`
}

// writeError responds with an error: a problem document below /api/, a page elsewhere. A form of the page gets a page too,
// wherever it was sent.
func writeError(w http.ResponseWriter, r *http.Request, status int, detail string) {
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	if !strings.HasPrefix(r.URL.Path, "/api/") || isForm(r) {
		writePage(w, status, errorDocument(status, detail, w.Header().Get("X-Served-By")))
		return
	}
	body, _ := json.Marshal(problem{"about:blank", http.StatusText(status), status, detail, r.URL.EscapedPath()})
	write(w, status, "application/problem+json", append(body, '\n'))
}

// ErrorHandler returns a handler of errors of package session, for session.Options. It answers with the status of
// session.StatusCode, and logs errors that only an operator can mend.
func ErrorHandler(logger *slog.Logger) func(http.ResponseWriter, *http.Request, error) {
	return func(w http.ResponseWriter, r *http.Request, err error) {
		status := session.StatusCode(err)
		detail := ""
		switch status {
		case http.StatusNotFound:
			detail = "There is no such session."
		case http.StatusConflict:
			detail = "The session has ended: it was logged out, or a login replaced it, in another tab or elsewhere. " +
				"Log out to start afresh, or log in."
		case http.StatusRequestEntityTooLarge:
			detail = "The session would grow larger than its store takes. It stays as it was."
		case http.StatusUnprocessableEntity:
			detail = "A counter would leave its range. The session stays as it was."
			if errors.Is(err, session.ErrInvalid) {
				detail = "The session takes nothing of that form. It stays as it was."
			}
		case http.StatusNotImplemented:
			detail = "The session store can't do that: " + err.Error() + "."
		case http.StatusServiceUnavailable:
			writeUnavailable(w, r, logger, "The session store", err)
			return
		default:
			logger.ErrorContext(r.Context(), "session error", "method", r.Method, "path", r.URL.Path, "error", err)
			detail = "Something went wrong in this server."
		}
		writeError(w, r, status, detail)
	}
}

// writeUnavailable answers 503 and tells the operator why, unless it is the client who left.
func writeUnavailable(w http.ResponseWriter, r *http.Request, logger *slog.Logger, what string, err error) {
	if r.Context().Err() == nil {
		logger.ErrorContext(r.Context(), "store unavailable", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	writeError(w, r, http.StatusServiceUnavailable, what+" doesn't answer. Try again in a moment.")
}

// isForm reports whether a form of the page was sent, rather than a program's request.
func isForm(r *http.Request) bool {
	return r.Method == http.MethodPost && strings.Contains(r.Header.Get("Accept"), "text/html")
}

// respond responds what was done: with body, or with the way back to the page.
func (s *server) respond(w http.ResponseWriter, r *http.Request, body any) {
	if isForm(r) {
		s.recordServer(w, r)
		w.Header().Set("Location", "/")
		w.WriteHeader(http.StatusSeeOther)
		return
	}
	writeJSON(w, body)
}

func writeJSON(w http.ResponseWriter, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		panic(fmt.Errorf("encode %T: %w", body, err)) // a mistake in this package: nothing of ours can't be encoded
	}
	write(w, http.StatusOK, "application/json", append(text, '\n'))
}

func writePage(w http.ResponseWriter, status int, page g.Node) {
	var text bytes.Buffer
	page.Render(&text) // fails only when the writer does, which a buffer never does
	write(w, status, "text/html; charset=utf-8", text.Bytes())
}

func write(w http.ResponseWriter, status int, contentType string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(body)
}

// maxBody bounds a request's body. The largest form takes a few hundred bytes.
const maxBody = 4 << 10

// formValue returns a field of the form in the request's body. When it can't, it has answered why.
func formValue(w http.ResponseWriter, r *http.Request, field string) (value string, ok bool) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	err := r.ParseForm()
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		writeError(w, r, http.StatusRequestEntityTooLarge, fmt.Sprintf("The form is too large: allowed are %d bytes.", maxBody))
		return "", false
	case err != nil:
		writeError(w, r, http.StatusBadRequest, "The form can't be read: "+err.Error()+".")
		return "", false
	}
	return r.PostForm.Get(field), true
}

// formInteger returns a field of the form that is a whole number within bounds. When it can't, it has answered why.
func formInteger(w http.ResponseWriter, r *http.Request, field string, low, high int64) (n int64, ok bool) {
	value, ok := formValue(w, r, field)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < low || n > high {
		writeError(w, r, http.StatusUnprocessableEntity,
			badValueDetail("form field "+field, value, fmt.Sprintf("a whole number from %d to %d", low, high)))
		return 0, false
	}
	return n, true
}

// badValueDetail says what is wrong with a value that a visitor sent, and what would be right.
func badValueDetail(where, value, allowed string) string {
	const most = 80 // of the value, in bytes
	if len(value) > most {
		cut := most
		for !utf8.RuneStart(value[cut]) {
			cut--
		}
		value = value[:cut] + "…"
	}
	return fmt.Sprintf("The %s is %q: allowed is %s.", where, value, allowed)
}
