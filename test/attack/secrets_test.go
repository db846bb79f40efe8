package attack

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"stateless-servers/session/sessiontest/must"
	"stateless-servers/session/sessiontest/storeserver"
)

// No log line, metric or response contains a key or a cookie, even when requests fail.
func TestSecretsAreNotDisclosed(t *testing.T) {
	t.Parallel()
	key := base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef"))
	valkey := storeserver.OwnForTest(t, storeserver.Valkey)
	for name, settings := range map[string][]string{
		"cookie": {"SESSION_STORE=cookie", "SESSION_KEYS=" + key},
		"token":  {"SESSION_STORE=token", "SESSION_KEYS=" + key},
		"valkey": {"SESSION_STORE=valkey", "VALKEY_ADDRESS=" + valkey.Addr, "STORE_TIMEOUT=300ms"},
	} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t, append(settings, "PLAIN_HTTP=true"))
			login := s.do(t, http.MethodPost, "/login", "user=ada")
			cookies := cookieHeader(login)
			_, secret, _ := strings.Cut(cookies, "=")
			if len(secret) < 32 {
				t.Fatalf("no session cookie: %q", cookies)
			}
			var responses strings.Builder
			send := func(method, path, cookie string) {
				response := s.do(t, method, path, "", "Cookie", cookie)
				body, _ := io.ReadAll(response.Body)
				responses.Write(body)
			}
			if name == "valkey" {
				must.Succeed(t, valkey.Pause())
				defer valkey.Resume()
			}
			for _, cookie := range []string{cookies, cookies + "x", "session=" + secret[1:] + "A", "a=b; " + cookies} {
				send(http.MethodGet, "/", cookie)
				send(http.MethodGet, "/api/session", cookie)
				send(http.MethodPost, "/api/visits", cookie)
				send(http.MethodPost, "/api/cart/nosuch", cookie)
				send(http.MethodGet, "/nosuch", cookie)
			}
			for place, text := range map[string]string{"responses": responses.String(), "metrics": s.metrics(t), "log": s.output.String()} {
				for what, secret := range map[string]string{"the key": key, "the cookie": secret[1:]} {
					if strings.Contains(text, secret) {
						t.Errorf("%s is in the %s:\n%s", what, place, text)
					}
				}
			}
		})
	}
	t.Run("bad key", func(t *testing.T) {
		said := startFails(t, "SESSION_STORE=cookie", "SESSION_KEYS="+key[:20])
		if strings.Contains(said, key[:20]) || !strings.Contains(said, "session keys: key 1 of 1") {
			t.Errorf("the server wrote %q", said)
		}
	})
}

// Input from clients can't add lines to the log.
func TestLogLinesCannotBeForged(t *testing.T) {
	valkey := storeserver.OwnForTest(t, storeserver.Valkey)
	s := startServer(t, []string{"SESSION_STORE=valkey", "VALKEY_ADDRESS=" + valkey.Addr, "PLAIN_HTTP=true", "STORE_TIMEOUT=200ms"})
	if err := valkey.Pause(); err != nil { // the server then logs errors
		t.Fatal(err)
	}
	defer valkey.Resume()
	const forged = `{"level":"ERROR","msg":"forged"}`
	cookie := "session=" + strings.Repeat("A", 43)
	s.do(t, http.MethodPost, "/login", "user=%0a"+strings.NewReplacer(`"`, "%22").Replace(forged), "Cookie", cookie,
		"User-Agent", forged)
	s.do(t, http.MethodGet, "/%0a"+strings.NewReplacer(`"`, "%22").Replace(forged), "")
	s.send(t, "GET /api/session?\u2028"+forged+" HTTP/1.1\r\nHost: a\r\nCookie: "+cookie+"\r\n\r\n")
	s.send(t, "GET /\n"+forged+" HTTP/1.1\r\nHost: a\r\n\r\n")
	lines := 0
	for line := range strings.Lines(s.output.String()) {
		lines++
		var entry struct{ Msg string }
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Errorf("a line of the log is not JSON: %s", line)
		}
		if entry.Msg == "forged" || strings.Contains(line, "\x1b") {
			t.Errorf("input of a client became this line: %s", line)
		}
	}
	if lines < 2 {
		t.Errorf("only %d lines were logged:\n%s", lines, s.output)
	}
}
