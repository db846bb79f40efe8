// Command gorilla is the lab's contract on gorilla/sessions with boj/redistore, written as their READMEs have it.
package main

import (
	"encoding/gob"
	"encoding/json"
	"log"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/boj/redistore"
	"github.com/gorilla/sessions"
)

func main() {
	storeURL, err := url.Parse(os.Getenv("STORE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	gob.Register(map[string]int{})
	store, err := redistore.NewRediStore(10, "tcp", storeURL.Host, "", "", []byte(os.Getenv("SESSION_KEY")))
	if err != nil {
		log.Fatal(err)
	}
	server := http.Server{
		Addr: "127.0.0.1:" + os.Getenv("PORT"), Handler: routes(store), ReadHeaderTimeout: time.Minute,
	}
	log.Fatal(server.ListenAndServe())
}

func routes(store sessions.Store) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /api/session", func(w http.ResponseWriter, r *http.Request) {
		session, err := store.Get(r, "session")
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		document := map[string]any{"user": session.Values["user"], "visits": session.Values["visits"], "cart": session.Values["cart"]}
		if err := json.NewEncoder(w).Encode(document); err != nil {
			log.Print(err)
		}
	})
	mux.HandleFunc("POST /api/visits", change(store, func(_ *http.Request, session *sessions.Session) {
		visits, _ := session.Values["visits"].(int)
		session.Values["visits"] = visits + 1
	}))
	mux.HandleFunc("POST /api/cart/{sku}", change(store, func(r *http.Request, session *sessions.Session) {
		cart, _ := session.Values["cart"].(map[string]int)
		if cart == nil {
			cart = map[string]int{}
		}
		cart[r.PathValue("sku")]++
		session.Values["cart"] = cart
	}))
	mux.HandleFunc("POST /login", change(store, func(r *http.Request, session *sessions.Session) {
		session.ID = "" // Save draws another one
		session.Values["user"] = r.FormValue("user")
	}))
	mux.HandleFunc("POST /logout", change(store, func(_ *http.Request, session *sessions.Session) {
		session.Options.MaxAge = -1
	}))
	return mux
}

// change returns a handler that gets the session, changes it and saves it.
func change(store sessions.Store, apply func(*http.Request, *sessions.Session)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		session, err := store.Get(r, "session")
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		apply(r, session)
		if err := session.Save(r, w); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	}
}
