package web_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"stateless-servers/app/web"
	"stateless-servers/session"
)

func TestErrorsOfSessions(t *testing.T) {
	for _, test := range []struct {
		err    error
		status int
		detail string
		logged bool
	}{
		{session.ErrNotFound, 404, "There is no such session.", false},
		{session.ErrEnded, 409, "The session has ended", false},
		{session.ErrTooLarge, 413, "exceed the size limit of its store", false},
		{session.ErrCounter, 422, "A counter would exceed its range", false},
		{session.ErrInvalid, 422, "can't store this value", false},
		{session.ErrUnsupported, 501, "The session store doesn't support that: do it: not supported", false},
		{session.ErrUnavailable, 503, "The session store doesn't answer", true},
		{session.ErrResponseStarted, 500, "Something went wrong in this server", true},
		{errDown, 500, "Something went wrong in this server", true},
	} {
		t.Run(test.err.Error(), func(t *testing.T) {
			var log strings.Builder
			handler := web.ErrorHandler(slog.New(slog.NewTextHandler(&log, nil)))
			recorder := httptest.NewRecorder()
			request := httptest.NewRequest(http.MethodPost, "/api/visits", nil)
			handler(recorder, request, fmt.Errorf("do it: %w", test.err))
			result := recorder.Result()
			result.Request = request
			body, err := io.ReadAll(result.Body)
			if err != nil {
				t.Fatal(err)
			}
			response{result, string(body)}.problem(t, test.status, test.detail)
			if logged := strings.Contains(log.String(), test.err.Error()); logged != test.logged {
				t.Errorf("logged: %v, want %v: %s", logged, test.logged, &log)
			}
		})
	}
}
