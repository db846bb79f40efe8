package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"stateless-servers/app/config"
	"stateless-servers/session/sessiontest/must"
)

// serve starts a server on free ports and returns its addresses. The function end stops it and returns the result of run.
func serve(t *testing.T, change func(*config.Config)) (web, admin string, end func() error) {
	t.Helper()
	c := config.Default()
	c.ServerName, c.PlainHTTP, c.AllowDelay = "server-1", true, true
	c.Addr, c.AdminAddr, c.ShutdownDelay = "127.0.0.1:0", "127.0.0.1:0", 0
	change(&c)
	reader, writer := io.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		defer writer.Close()
		s, err := newServer(ctx, c, slog.New(slog.NewJSONHandler(writer, nil)))
		if err == nil {
			err = s.run(ctx)
		}
		ended <- err
	}()
	var line struct{ Msg, Addr, Admin string }
	for lines := json.NewDecoder(reader); line.Msg != "serving"; {
		if err := lines.Decode(&line); err != nil {
			t.Fatalf("the server logged no line serving: %v", err)
		}
	}
	go io.Copy(io.Discard, reader)
	end = func() error { cancel(); return <-ended }
	t.Cleanup(cancel)
	return "http://" + line.Addr, "http://" + line.Admin, end
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	response := must.Get(http.Get(url))(t)
	defer response.Body.Close()
	body := must.Get(io.ReadAll(response.Body))(t)
	return response.StatusCode, string(body)
}

func TestServes(t *testing.T) {
	web, admin, end := serve(t, func(*config.Config) {})
	for _, path := range []string{"/", "/healthz", "/readyz", "/none", "/api/session"} {
		if status, body := get(t, web+path); status != http.StatusOK {
			t.Errorf("GET %s: %d %s", path, status, body)
		}
	}
	if response, err := http.Post(web+"/api/visits", "", nil); err != nil || response.StatusCode != http.StatusOK {
		t.Errorf("POST /api/visits: %v %v", response, err)
	}
	_, metrics := get(t, admin+"/metrics")
	for _, want := range []string{
		`session_store_operation_seconds_count{operation="create",outcome="ok",store="memory"} 1`,
		`http_requests_total{code="200",method="get"} 5`, "http_requests_in_flight 0", "go_goroutines",
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
	if status, _ := get(t, web+"/metrics"); status != http.StatusNotFound {
		t.Errorf("/metrics on the public address: status %d, want 404", status)
	}
	if err := end(); err != nil {
		t.Error(err)
	}
}

// awaitRequest waits until a request is in flight.
func awaitRequest(t *testing.T, admin string) {
	t.Helper()
	for range 3000 {
		if _, metrics := get(t, admin+"/metrics"); strings.Contains(metrics, "http_requests_in_flight 1") {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("no request is in flight")
}

// A request without its body is in flight until the body arrives, for readTimeout at most.
const (
	requestHeader = "POST /api/scores HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n" +
		"Content-Length: 7\r\n\r\n"
	requestBody = "score=7"
)

func TestDrain(t *testing.T) {
	web, admin, end := serve(t, func(c *config.Config) { c.ShutdownDelay = time.Second })
	inFlight := dial(t, strings.TrimPrefix(web, "http://"))
	io.WriteString(inFlight, requestHeader)
	awaitRequest(t, admin)
	ended := make(chan error, 1)
	go func() { ended <- end() }()
	notReady := 0
	for range 300 { // while the server still accepts connections
		response, err := http.Get(web + "/readyz")
		if err != nil {
			break
		}
		response.Body.Close()
		if response.StatusCode == http.StatusServiceUnavailable {
			notReady++
		}
		time.Sleep(10 * time.Millisecond)
	}
	if notReady == 0 {
		t.Error("/readyz never failed during the drain, want 503")
	}
	io.WriteString(inFlight, requestBody)
	if response, err := http.ReadResponse(inFlight.reader, nil); err != nil || response.StatusCode != http.StatusOK {
		t.Errorf("the request in flight got %v, %v, want 200", response, err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestDrainIsBounded(t *testing.T) {
	web, admin, end := serve(t, func(c *config.Config) { c.DrainTimeout = 200 * time.Millisecond })
	io.WriteString(dial(t, strings.TrimPrefix(web, "http://")), requestHeader)
	awaitRequest(t, admin)
	if err := end(); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want an error about requests in flight", err)
	}
}

func TestStoreOutageAffectsOnlySessions(t *testing.T) {
	const unused = "127.0.0.1:1" // ports below 1024 are never assigned
	web, _, end := serve(t, func(c *config.Config) { c.Store, c.ValkeyAddress = config.StoreValkey, unused })
	// The server only calls the store for a request with a cookie.
	request, _ := http.NewRequest(http.MethodGet, web+"/api/session", nil)
	request.AddCookie(&http.Cookie{Name: "session", Value: strings.Repeat("A", 43)})
	response := must.Get(http.DefaultClient.Do(request))(t)
	response.Body.Close()
	if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") == "" {
		t.Errorf("GET /api/session: %d %v", response.StatusCode, response.Header)
	}
	for path, want := range map[string]int{"/none": 200, "/healthz": 200, "/readyz": 503} {
		if status, body := get(t, web+path); status != want {
			t.Errorf("GET %s: %d %s, want %d", path, status, body, want)
		}
	}
	if err := end(); err != nil {
		t.Error(err)
	}
}

func TestFailedStartsReturnOneError(t *testing.T) {
	taken := must.Get(net.Listen("tcp", "127.0.0.1:0"))(t)
	defer taken.Close()
	tests := []struct {
		name        string
		environment []string
		want        []string
	}{
		{"bad values", []string{"SESSION_STORE=nosuch", "KEEP_ALIVE=never"}, []string{"SESSION_STORE", `"nosuch"`, "dynamodb, valkey", "KEEP_ALIVE", `"never"`}},
		{"port in use", []string{"ADDR=" + taken.Addr().String(), "ADMIN_ADDR=127.0.0.1:0"}, []string{"web server", taken.Addr().String(), "address already in use"}},
		{"admin port in use", []string{"ADMIN_ADDR=" + taken.Addr().String(), "ADDR=127.0.0.1:0"}, []string{"admin server", taken.Addr().String(), "address already in use"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := run(t.Context(), append(test.environment, "SERVER_NAME=a"))
			if err == nil {
				t.Fatal("the server started, want an error")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q lacks %q", err, want)
				}
			}
		})
	}
}
