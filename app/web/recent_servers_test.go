package web

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
)

// serverSlots in static/script.js computes the same numbers.
func TestSlots(t *testing.T) {
	got := serverSlots([]string{"server-2", "server-1", "server-2", "server-3"})
	if len(got) != 3 || got["server-1"] != 4 || got["server-2"] != 5 || got["server-3"] != 2 {
		t.Errorf("got %v", got)
	}
	var names []string
	for n := range servedLength {
		names = append(names, fmt.Sprintf("i-%017x", n))
		taken, coloursTaken := map[int]bool{}, map[int]bool{}
		for _, slot := range serverSlots(names) {
			taken[slot], coloursTaken[servedResponse{Slot: slot}.Colour()] = true, true
		}
		if len(taken) != len(names) || len(coloursTaken) != min(len(names), colours) {
			t.Errorf("%d servers have %d slots and %d colours", len(names), len(taken), len(coloursTaken))
		}
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
