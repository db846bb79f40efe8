package browser

import (
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"stateless-servers/app/login"
	"stateless-servers/app/login/logintest"
	"stateless-servers/app/web"
	"stateless-servers/session"
	"stateless-servers/session/sealing/sealingtest"
	"stateless-servers/session/sessiontest/must"
	"stateless-servers/session/token"
)

// Login and logout with a provider work under the Content-Security-Policy of the page.
func TestLoginByAProvider(t *testing.T) {
	server := httptest.NewUnstartedServer(nil)
	t.Cleanup(server.Close)
	url := "http://" + server.Listener.Addr().String()
	redirect := url + "/login/callback"
	p := logintest.Start(t, redirect)
	keys := sealingtest.Keys(t, "a")
	codec, err := token.New(keys, token.Options{Issuer: "lab", Audience: "lab"})
	must.Succeed(t, err)
	logger := slog.New(slog.DiscardHandler)
	sessions, err := session.NewWithCodec(codec, session.Options{
		PlainHTTP: true, ErrorHandler: web.ErrorHandler(logger), Logger: logger,
	})
	must.Succeed(t, err)
	client, err := login.New(login.Options{
		Issuer: p.Issuer, ClientID: logintest.ClientID, RedirectURL: redirect, Keys: keys, PlainHTTP: true,
	})
	must.Succeed(t, err)
	server.Config.Handler = web.New(web.Options{
		Server: "server-1", Zone: "a", Sessions: sessions, Login: client, PlainHTTP: true, Logger: logger,
	})
	server.Start()

	for _, javaScript := range []bool{true, false} {
		t.Run(fmt.Sprintf("JavaScript %t", javaScript), func(t *testing.T) {
			b := newTab(t)
			if !javaScript {
				b.withoutJavaScript()
			}
			b.open(url)
			b.click("form[action='/login'] button")
			b.shows("[name=password]", "")
			b.enter("[name=user]", "ann")
			b.enter("[name=password]", logintest.Password)
			b.click("button")
			b.shows(".who", "Logged in as ann")

			b.click("form[action='/logout'] button")
			b.shows("#no-session", "You have no session yet") // the provider has redirected back
			b.shows("form[action='/login'] button", "Log in")
			for _, problem := range b.takeProblems() {
				if !strings.Contains(problem, p.Issuer) { // the requests to the provider are expected
					t.Error(problem)
				}
			}
		})
	}
}
