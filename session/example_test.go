package session_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"

	"stateless-servers/session"
	"stateless-servers/session/memory"
)

// A key is a typed constant. Its type determines the values and the changes that it allows.
const (
	exampleVisits = session.Counter("visits")
	exampleTheme  = session.Key[string]("theme")
	exampleCart   = session.Counters("cart")
)

func Example() {
	manager, err := session.New(memory.New(), session.Options{
		PlainHTTP: true, // only for this example; leave it out with HTTPS
		Logger:    slog.New(slog.DiscardHandler),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /visit", func(w http.ResponseWriter, r *http.Request) {
		exampleVisits.Add(r.Context(), 1)
		exampleCart.Counter("tea").Add(r.Context(), 2)
		exampleTheme.Set(r.Context(), "dark")
		n, err := exampleVisits.Get(r.Context()) // sends the three changes and reads the state: one store operation
		if err != nil {
			http.Error(w, "sorry", session.StatusCode(err))
			return
		}
		fmt.Fprintf(w, "visit %d", n)
	})
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		if err := session.From(r.Context()).Login(r.Context(), r.FormValue("user")); err != nil { // gives the session a new id and ends the old one
			http.Error(w, "sorry", session.StatusCode(err))
			return
		}
		lines, _ := exampleCart.All(r.Context())
		fmt.Fprintf(w, "hello %s, your cart has %v", r.FormValue("user"), lines)
	})
	server := httptest.NewServer(manager.Handler(mux))
	defer server.Close()

	jar, _ := cookiejar.New(nil)
	visitor := http.Client{Jar: jar}
	for _, path := range []string{"/visit", "/visit", "/login?user=ada"} {
		response, err := visitor.Post(server.URL+path, "", nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		fmt.Println(string(body))
	}
	// Output:
	// visit 1
	// visit 2
	// hello ada, your cart has map[tea:4]
}
