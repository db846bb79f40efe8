package web

import (
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"testing"
)

// serverNumbers in static/script.js computes the same numbers.
func TestServerNumbers(t *testing.T) {
	got := serverNumbers([]string{"server-12", "i-0b", "server-1", "i-0a", "server-12", "i-0123456789abc1234"})
	want := map[string]int{"server-1": 1, "server-12": 12, "i-0123456789abc1234": 1, "i-0a": 2, "i-0b": 3}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestPanicAfterTheResponseHasBegunBreaksTheConnection(t *testing.T) {
	s := &server{Options: Options{Logger: slog.New(slog.DiscardHandler)}}
	recorder := httptest.NewRecorder()
	defer func() {
		if cause := recover(); cause != http.ErrAbortHandler {
			t.Errorf("recovered %v", cause)
		}
		if recorder.Body.String() != "half" {
			t.Errorf("the body is %q", recorder.Body)
		}
	}()
	s.recoverPanics(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte("half"))
		panic("boom")
	})).ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/", nil))
}
