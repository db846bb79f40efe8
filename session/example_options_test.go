package session_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"time"

	"stateless-servers/session"
	"stateless-servers/session/memory"
)

// exampleServer returns a server with the routes of mux and sessions in memory, and a browser that keeps its cookies.
func exampleServer(mux *http.ServeMux, options session.Options) (*httptest.Server, *http.Client) {
	options.PlainHTTP, options.Logger = true, slog.New(slog.DiscardHandler) // only for the examples, which have no TLS
	manager, err := session.New(memory.New(), options)
	if err != nil {
		panic(err)
	}
	jar, _ := cookiejar.New(nil)
	return httptest.NewServer(manager.Handler(mux)), &http.Client{Jar: jar}
}

// A checkbox of the login form decides whether the session outlives the browser.
func ExampleRemember() {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		remember := session.Remember(r.FormValue("remember") != "")
		if err := session.From(r.Context()).Login(r.Context(), r.FormValue("user"), remember); err != nil {
			http.Error(w, "sorry", session.StatusCode(err))
		}
	})
	server, browser := exampleServer(mux, session.Options{
		BrowserCookie:    true,                // others are logged out when the browser closes, or after Lifetime
		RememberLifetime: 30 * 24 * time.Hour, // the default
	})
	defer server.Close()
	for _, path := range []string{"/login?user=ada", "/login?user=ada&remember=yes"} {
		response, err := browser.Post(server.URL+path, "", nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		response.Body.Close()
		fmt.Println(path, "Max-Age:", response.Cookies()[0].MaxAge)
	}
	// Output:
	// /login?user=ada Max-Age: 0
	// /login?user=ada&remember=yes Max-Age: 2592000
}

// A message for the next page is shown once, even if two tabs load the page at the same time.
func ExampleKey_Pop() {
	const flash = session.Key[string]("flash")
	mux := http.NewServeMux()
	mux.HandleFunc("POST /save", func(w http.ResponseWriter, r *http.Request) {
		flash.Set(r.Context(), "Your changes are saved.")
		http.Redirect(w, r, "/", http.StatusSeeOther)
	})
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		message, found, err := flash.Pop(r.Context())
		if err != nil {
			http.Error(w, "sorry", session.StatusCode(err))
			return
		}
		fmt.Fprintf(w, "%v: %q", found, message)
	})
	server, browser := exampleServer(mux, session.Options{})
	defer server.Close()
	for range 2 {
		response, err := browser.Get(server.URL)
		if err == nil {
			body, _ := io.ReadAll(response.Body)
			response.Body.Close()
			fmt.Println(string(body))
			response, err = browser.Post(server.URL+"/save", "", nil) // follows the redirect to the page
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		fmt.Println(string(body))
	}
	// Output:
	// false: ""
	// true: "Your changes are saved."
	// false: ""
	// true: "Your changes are saved."
}

// A mobile application has no cookies. It sends the session in a header and keeps the value of each response that has one.
func ExampleOptions_tokenHeader() {
	const cart = session.Counters("cart")
	mux := http.NewServeMux()
	mux.HandleFunc("POST /cart/tea", func(w http.ResponseWriter, r *http.Request) {
		tea := cart.Counter("tea")
		tea.Add(r.Context(), 1)
		n, err := tea.Get(r.Context())
		if err != nil {
			http.Error(w, "sorry", session.StatusCode(err))
			return
		}
		fmt.Fprintf(w, "tea: %d", n)
	})
	server, _ := exampleServer(mux, session.Options{TokenHeader: "Authorization"})
	defer server.Close()

	authorization := "Bearer" // no session yet
	for range 2 {
		request, _ := http.NewRequest(http.MethodPost, server.URL+"/cart/tea", nil)
		request.Header.Set("Authorization", authorization)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			fmt.Println(err)
			return
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if values := response.Header.Values("Authorization"); len(values) > 0 {
			authorization = values[0]
		}
		fmt.Printf("%s, %d bytes, %d cookies\n", body, len(authorization), len(response.Cookies()))
	}
	// Output:
	// tea: 1, 50 bytes, 0 cookies
	// tea: 2, 50 bytes, 0 cookies
}

// New refuses cookies that browsers would ignore, with the reason.
func ExampleOptions_cookies() {
	for _, options := range []session.Options{
		{CookieDomain: "shop.example", ClearSiteData: `"cache", "storage"`}, // one session for all subdomains
		{SameSite: http.SameSiteNoneMode, Partitioned: true},                // a widget in the frames of other sites
		{SameSite: http.SameSiteNoneMode, PlainHTTP: true},
	} {
		_, err := session.New(memory.New(), options)
		fmt.Println(err)
	}
	// Output:
	// <nil>
	// <nil>
	// session option SameSite is None: browsers ignore such a cookie without Secure, which PlainHTTP leaves out
}
