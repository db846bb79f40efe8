package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	g "maragu.dev/gomponents"

	"stateless-servers/session"
)

// A problem is a problem document (RFC 9457). Its type is about:blank, which means that the status describes the error.
type problem struct {
	Type     string `json:"type"`
	Title    string `json:"title"`
	Status   int    `json:"status"`
	Detail   string `json:"detail"`
	Instance string `json:"instance"`
}

// writeError responds with an error: with a problem document below /api/, and with a page elsewhere and to forms.
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

// ErrorHandler returns a handler of errors of package session, for session.Options. It responds with the status of
// session.StatusCode, and logs the errors that only an operator can fix.
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
			detail = "The session would exceed the size limit of its store. It is unchanged."
		case http.StatusUnprocessableEntity:
			detail = "A counter would exceed its range. The session is unchanged."
			if errors.Is(err, session.ErrInvalid) {
				detail = "The session can't store this value. It is unchanged."
			}
		case http.StatusNotImplemented:
			detail = "The session store doesn't support that: " + err.Error() + "."
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

// writeUnavailable responds with 503, and logs the error unless the client has disconnected.
func writeUnavailable(w http.ResponseWriter, r *http.Request, logger *slog.Logger, what string, err error) {
	if r.Context().Err() == nil {
		logger.ErrorContext(r.Context(), "store unavailable", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	writeError(w, r, http.StatusServiceUnavailable, what+" doesn't answer. Try again in a moment.")
}

// isForm reports whether a form of the page sent the request, and not a program.
func isForm(r *http.Request) bool {
	return r.Method == http.MethodPost && strings.Contains(r.Header.Get("Accept"), "text/html")
}

// respond responds to a request that has used the session successfully.
func (s *server) respond(w http.ResponseWriter, r *http.Request, body any) {
	if isPage(r) {
		if state, err := s.state(r.Context()); err == nil {
			s.follow(w, r, state, state)
		}
	}
	s.reply(w, r, body)
}

// reply replies to a form with a redirect to the page, otherwise with body.
func (s *server) reply(w http.ResponseWriter, r *http.Request, body any) {
	if isForm(r) {
		s.redirectToHome(w, r)
		return
	}
	writeJSON(w, body)
}

func (s *server) redirectToHome(w http.ResponseWriter, r *http.Request) {
	s.recordServer(w, r)
	w.Header().Set("Location", "/")
	w.WriteHeader(http.StatusSeeOther)
}

func writeJSON(w http.ResponseWriter, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		panic(fmt.Errorf("encode %T: %w", body, err)) // a bug in this package: it only encodes types of its own
	}
	write(w, http.StatusOK, "application/json", append(text, '\n'))
}

func writePage(w http.ResponseWriter, status int, page g.Node) {
	var text bytes.Buffer
	page.Render(&text) // fails only if the writer fails, and a buffer doesn't
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

// maxBody bounds the body of a request, in bytes. The largest form has a few hundred bytes.
const maxBody = 4 << 10

// maxDiscarded bounds what is read of a body that is too large, in bytes, as net/http does for connections that it keeps.
const maxDiscarded = 256 << 10

// formValue returns a field of the form in the request's body. If ok is false, it has written an error response.
func formValue(w http.ResponseWriter, r *http.Request, field string) (value string, ok bool) {
	body := r.Body
	r.Body = http.MaxBytesReader(w, body, maxBody)
	err := r.ParseForm()
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		// A client that is still sending when the server closes the connection gets a reset instead of the response.
		_, _ = io.CopyN(io.Discard, body, maxDiscarded)
		writeError(w, r, http.StatusRequestEntityTooLarge, fmt.Sprintf("The form is too large: allowed are %d bytes.", maxBody))
		return "", false
	case err != nil:
		writeError(w, r, http.StatusBadRequest, "The form can't be read: "+err.Error()+".")
		return "", false
	}
	return r.PostForm.Get(field), true
}

// formInteger returns a field of the form that is a whole number from low to high. If ok is false, it has written an error
// response.
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

// badValueDetail returns a message about a bad value in a request and the allowed values. It truncates a long value.
func badValueDetail(where, value, allowed string) string {
	const maxValue = 80 // bytes
	if len(value) > maxValue {
		cut := maxValue
		for !utf8.RuneStart(value[cut]) {
			cut--
		}
		value = value[:cut] + "…"
	}
	return fmt.Sprintf("The %s is %q: allowed is %s.", where, value, allowed)
}
