package web

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A client can send any cookie. What the server accepts is short, and the page can show it.
func FuzzTrace(f *testing.F) {
	const good = "0123abcd~server-1~1795882000~1795883000~2~1~true~lost~server-2"
	for _, value := range []string{good, "0123abcd~server-1~1795882000~1795883000~0~0~false~~", strings.Repeat("a", 3000) + good[8:],
		strings.Replace(good, "lost", strings.Repeat("b", 3000), 1), strings.Replace(good, "~2~", "~-2~", 1), "~~~~~~~~", ""} {
		f.Add(value)
	}
	s := &server{Options: Options{PlainHTTP: true, Logger: slog.New(slog.DiscardHandler)}}
	f.Fuzz(func(t *testing.T, value string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Cookie", lostCookie+"="+value)
		got := readTrace(r, lostCookie)
		if got == (trace{}) {
			return
		}
		if title, text := (capabilities{}).explain(got); len(title)+len(text) > 500 {
			t.Errorf("the page shows %d bytes of %q", len(title)+len(text), value)
		}
		w := httptest.NewRecorder()
		s.setTrace(w, r, lostCookie, got, lostFor)
		line := w.Header().Get("Set-Cookie")
		if len(line) > 500 {
			t.Errorf("%q is sent back in a cookie of %d bytes", value, len(line))
		}
		cookie, _, _ := strings.Cut(line, ";")
		r.Header.Set("Cookie", cookie)
		if again := readTrace(r, lostCookie); again != got {
			t.Errorf("%q is read as %+v, and sent back as %+v", value, got, again)
		}
	})
}
