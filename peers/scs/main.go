// Command scs is the lab's contract on alexedwards/scs with its Redis store, written as the README of scs has it.
package main

import (
	"encoding/gob"
	"encoding/json"
	"log"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/alexedwards/scs/goredisstore"
	"github.com/alexedwards/scs/v2"
	"github.com/redis/go-redis/v9"
)

func main() {
	store, err := url.Parse(os.Getenv("STORE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	gob.Register(map[string]int{})
	sessions := scs.New()
	sessions.Lifetime = 24 * time.Hour
	sessions.Store = goredisstore.New(redis.NewClient(&redis.Options{Addr: store.Host}))
	server := http.Server{
		Addr: "127.0.0.1:" + os.Getenv("PORT"), Handler: sessions.LoadAndSave(routes(sessions)), ReadHeaderTimeout: time.Minute,
	}
	log.Fatal(server.ListenAndServe())
}

func routes(sessions *scs.SessionManager) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /api/session", func(w http.ResponseWriter, r *http.Request) {
		cart, _ := sessions.Get(r.Context(), "cart").(map[string]int)
		answer(w, map[string]any{
			"user": sessions.GetString(r.Context(), "user"), "visits": sessions.GetInt(r.Context(), "visits"), "cart": cart,
		})
	})
	mux.HandleFunc("POST /api/visits", func(w http.ResponseWriter, r *http.Request) {
		visits := sessions.GetInt(r.Context(), "visits") + 1
		sessions.Put(r.Context(), "visits", visits)
		answer(w, map[string]any{"visits": visits})
	})
	mux.HandleFunc("POST /api/cart/{sku}", func(w http.ResponseWriter, r *http.Request) {
		cart, _ := sessions.Get(r.Context(), "cart").(map[string]int)
		if cart == nil {
			cart = map[string]int{}
		}
		cart[r.PathValue("sku")]++
		sessions.Put(r.Context(), "cart", cart)
		answer(w, map[string]any{"cart": cart})
	})
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		if err := sessions.RenewToken(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		sessions.Put(r.Context(), "user", r.FormValue("user"))
	})
	mux.HandleFunc("POST /logout", func(w http.ResponseWriter, r *http.Request) {
		if err := sessions.Destroy(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	return mux
}

func answer(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(value); err != nil {
		log.Print(err)
	}
}
