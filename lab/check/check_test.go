package check_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"stateless-servers/lab/check"
	"stateless-servers/session/sessiontest/must"
)

// request is a line of a history; times are in milliseconds.
type request struct {
	kind           check.Kind
	sent, received int
	product        string
	quantity       int
	status         int
	error, body    string
}

const name = "visitor-run-0-0" // the user of the session in all tests

// Requests of a visitor with their responses.

func add(sent, received, visits int) request {
	return request{kind: check.Write, sent: sent, received: received, status: 200, body: fmt.Sprintf(`{"visits":%d}`, visits)}
}

func buy(sent, received int, product string, quantity int, cart string) request {
	return request{
		kind: check.Cart, sent: sent, received: received, product: product, quantity: quantity, status: 200,
		body: fmt.Sprintf(`{"cart":{%s}}`, cart),
	}
}

func show(kind check.Kind, sent, received int, user string, visits int, cart string) request {
	return request{kind: kind, sent: sent, received: received, status: 200, body: fmt.Sprintf(
		`{"authenticated":%t,"user":%q,"visits":%d,"cart":{%s},"created":"2026-11-21T10:00:00Z","expires":"2026-11-21T10:30:00Z"}`,
		user != "", user, visits, cart)}
}

func read(sent, received int, user string, visits int, cart string) request {
	return show(check.Read, sent, received, user, visits, cart)
}

func nothing(kind check.Kind, sent, received int) request {
	return request{kind: kind, sent: sent, received: received, status: 200,
		body: `{"authenticated":false,"user":"","visits":0,"cart":{},"created":null,"expires":null}`}
}

func failed(kind check.Kind, sent, received, status int) request {
	return request{kind: kind, sent: sent, received: received, status: status}
}

func unanswered(kind check.Kind, sent, received int) request {
	return request{kind: kind, sent: sent, received: received, error: "timeout"}
}

const marked = `"umbrella":7`

var open = buy(0, 10, "umbrella", 7, marked)

// history returns the history of the requests, in the format of lab load.
func history(requests []request) string {
	var b strings.Builder
	fmt.Fprintln(&b, `{"history":1,"run":"run","url":"http://127.0.0.1:1","idle_ns":1800000000000}`)
	for _, r := range requests {
		fields := map[string]any{
			"visitor": 0, "session": 0, "kind": r.kind, "sent_ns": r.sent * int(time.Millisecond),
			"received_ns": r.received * int(time.Millisecond), "server": fmt.Sprintf("server-%d", 1+r.sent%3),
			"product": r.product, "quantity": r.quantity, "status": r.status, "error": r.error,
		}
		if r.body != "" {
			fields["body"] = json.RawMessage(r.body)
		}
		line, err := json.Marshal(fields)
		if err != nil {
			panic(err)
		}
		fmt.Fprintln(&b, string(line))
	}
	return b.String()
}

func TestViolations(t *testing.T) {
	tests := []struct {
		name     string
		requests []request
		want     check.Counts // without Total
		violated bool         // the session is not linearizable
		text     []string     // parts of the explanation
	}{
		{"sequential requests", []request{
			open, add(20, 30, 1), buy(40, 50, "coffee", 1, `"coffee":1,`+marked), read(60, 70, "", 1, `"coffee":1,`+marked),
			show(check.Login, 80, 90, name, 1, `"coffee":1,`+marked), add(100, 110, 2), read(120, 130, name, 2, `"coffee":1,`+marked),
			nothing(check.Logout, 140, 150), nothing(check.Read, 160, 170),
		}, check.Counts{}, false, nil},
		{"there is no session before it is opened", []request{nothing(check.Read, 5, 20), open}, check.Counts{}, false, nil},
		{"overlapping additions with responses in any order", []request{
			open, add(20, 90, 3), add(21, 80, 1), add(22, 70, 2), read(30, 60, "", 2, marked), read(91, 95, "", 3, marked),
		}, check.Counts{}, false, nil},
		{"an addition without a response took effect late", []request{
			open, unanswered(check.Write, 20, 30), read(40, 50, "", 0, marked), add(60, 70, 1), read(80, 90, "", 2, marked),
		}, check.Counts{}, false, nil},
		{"additions without a response had no effect", []request{
			open, unanswered(check.Write, 20, 30), failed(check.Write, 31, 32, 502), failed(check.Write, 33, 34, 503),
			add(60, 70, 1), read(80, 90, "", 1, marked),
		}, check.Counts{}, false, nil},
		{"a login ends the session of the old cookie under requests in flight", []request{
			open, add(15, 20, 1), nothing(check.Read, 22, 50), failed(check.Write, 23, 49, 409), show(check.Login, 21, 40, name, 1, marked),
			read(60, 70, name, 1, marked),
		}, check.Counts{}, false, nil},
		{"a logout ends the session under requests in flight", []request{
			open, add(15, 20, 1), add(22, 31, 2), failed(check.Write, 23, 60, 409), nothing(check.Logout, 21, 40), nothing(check.Read, 70, 80),
		}, check.Counts{}, false, nil},
		{"after a logout without a response nothing is known", []request{
			open, unanswered(check.Logout, 20, 30), nothing(check.Read, 25, 40),
		}, check.Counts{}, false, nil},
		{"an expired session is not lost", []request{
			open, read(20, 30, "", 0, marked), nothing(check.Read, 2_000_000, 2_000_010),
		}, check.Counts{}, false, nil},

		{"the session is gone", []request{
			open, add(20, 30, 1), nothing(check.Read, 40, 50), nothing(check.Read, 1100, 1110),
		}, check.Counts{Lost: 1}, true, []string{
			"Session 0 of visitor 0 was lost", "at 0.0200 s POST /api/visits, answered at 0.0300 s by server-3: visits 1",
			"at 0.0400 s GET /api/session, answered at 0.0500 s by server-2: no session", "at 1.1000 s",
		}},
		{"a write gets 409 without a logout", []request{
			open, failed(check.Write, 20, 30, 409),
		}, check.Counts{Lost: 1}, true, []string{"answered at 0.0300 s by server-3: 409"}},
		{"a new session replaces it", []request{
			open, show(check.Login, 20, 30, name, 0, marked), add(40, 50, 1), read(60, 70, "", 1, ""), read(1200, 1210, "", 1, ""),
		}, check.Counts{Lost: 1}, true, []string{"nobody logged in, visits 1"}},
		{"an addition is lost", []request{
			open, add(20, 31, 1), add(21, 30, 1), read(40, 50, "", 1, marked), read(1100, 1110, "", 1, marked), add(1120, 1130, 2),
			read(1140, 1150, "", 2, marked), add(1160, 1170, 3),
		}, check.Counts{LostUpdates: 1}, true, []string{
			"lost 1 of the acknowledged additions to visits", "at 0.0200 s POST", "at 0.0210 s POST", "at 1.1200 s POST /api/visits",
		}},
		{"additions to the cart are lost", []request{
			open, buy(20, 30, "socks", 1, `"socks":1,`+marked), buy(40, 50, "socks", 1, `"socks":2,`+marked), read(60, 70, "", 0, marked),
			read(1100, 1110, "", 0, marked), buy(1120, 1130, "socks", 1, `"socks":1,`+marked),
		}, check.Counts{LostUpdates: 2}, true, []string{"lost 2 of the acknowledged additions to socks"}},
		{"a read is stale", []request{
			open, add(20, 30, 1), read(40, 50, "", 0, marked), read(60, 70, "", 1, marked),
		}, check.Counts{StaleReads: 1}, true, []string{"was read in an old state", "visits 0", "visits 1"}},
		{"reads are stale for ever", []request{
			open, add(20, 30, 1), read(40, 50, "", 0, marked), read(1100, 1110, "", 0, marked), add(1120, 1130, 2),
		}, check.Counts{StaleReads: 2}, true, nil},
		{"a replica lacks the new session", []request{
			open, nothing(check.Read, 20, 30), read(40, 50, "", 0, marked),
		}, check.Counts{StaleReads: 1}, true, nil},
		{"another visitor's cart", []request{
			open, read(20, 30, "", 0, `"umbrella":8`),
		}, check.Counts{CrossSessionLeaks: 1}, true, []string{"its cart has 8 of umbrella, which is another visitor's number, not 7"}},
		{"another user", []request{
			open, read(20, 30, "visitor-run-1-0", 0, marked),
		}, check.Counts{CrossSessionLeaks: 1}, true, []string{"the user visitor-run-1-0, not " + name}},
		{"a session for a visitor who has none", []request{
			read(1, 5, "", 3, `"umbrella":8`),
		}, check.Counts{CrossSessionLeaks: 1}, false, []string{"had no session, and was shown one"}},
		{"an addition is applied twice", []request{
			open, add(20, 30, 2),
		}, check.Counts{CrossSessionLeaks: 1}, true, []string{"it shows visits 2, but this visitor has added only 1"}},
		{"the session is alive after its logout", []request{
			open, nothing(check.Logout, 20, 30), read(40, 50, "", 0, marked),
		}, check.Counts{AliveAfterLogout: 1}, true, []string{"was alive after its logout", "at 0.0200 s POST /logout", "at 0.0400 s GET"}},
		{"a write in flight recreates the session", []request{
			open, add(15, 20, 1), add(21, 60, 1), nothing(check.Logout, 22, 30), read(70, 80, "", 1, ""),
		}, check.Counts{AliveAfterLogout: 1}, true, nil},

		// Violations that only the search for an order finds.
		{"two additions with the same response, and no later read", []request{
			open, add(20, 31, 1), add(21, 30, 1), nothing(check.Logout, 40, 50),
		}, check.Counts{}, true, []string{"is not linearizable", "the first that doesn't"}},
		{"two reads that contradict each other during a write", []request{
			open, add(20, 90, 1), read(21, 30, "", 1, marked), read(40, 50, "", 0, marked), read(95, 99, "", 1, marked),
		}, check.Counts{}, true, []string{"sent at 0.0400 s"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			replay := must.Get(check.ReadHistory(t.Context(), strings.NewReader(history(test.requests))))(t)
			if slices.Contains(test.requests, open) {
				test.want.Total = 1
			}
			if replay.Counts != test.want {
				t.Errorf("got %+v, want %+v", replay.Counts, test.want)
			}
			found := replay.CheckLinearizability(t.Context(), check.Limits{Session: time.Minute, Total: 5 * time.Minute})
			if violated := found.Linearizable == 0 && found.Sessions == 1; violated != test.violated || found.Undecided > 0 {
				t.Errorf("linearizability is %+v, want a violation: %v", found, test.violated)
			}
			text := found.Violation
			if len(replay.Findings) > 0 {
				text = replay.Findings[0].Text
			}
			for _, part := range test.text {
				if !strings.Contains(text, part) {
					t.Errorf("%q is not in\n%s", part, text)
				}
			}
		})
	}
}

func TestRefusedHistories(t *testing.T) {
	first := `{"history":1,"run":"run","url":"http://127.0.0.1:1","idle_ns":1800000000000}`
	for _, test := range []struct{ text, want string }{
		{"", "the history is empty"},
		{"hello\n", "line 1 is not the header of a history"},
		{`{"history":2}`, "line 1 is not the header of a history"},
		{first + "\nhello", "line 2: not a request of a history"},
		{first + "\n" + `{"kind":"wash"}`, `line 2: kind "wash": allowed is read, write, cart, login or logout`},
		{first + "\n" + `{"kind":"cart","product":"car"}`, `line 2: product "car" is not sold`},
		{first + "\n" + `{"kind":"read","sent_ns":2,"received_ns":1}`, "line 2: sent_ns and received_ns are 2 and 1"},
		{first + "\n" + `{"kind":"read","sent_ns":-1,"received_ns":1}`, "line 2: sent_ns and received_ns are -1 and 1"},
		{first + "\n" + `{"kind":"read","sent_ns":1,"received_ns":9223372036854775807}`, "line 2: sent_ns and received_ns are 1 and 9223372036854775807"},
		{first + "\n" + `{"kind":"cart","product":"socks","quantity":-1}`, "line 2: quantity is -1"},
		{first + "\n" + `{"kind":"cart","product":"socks","quantity":9223372036854775807}`, "line 2: quantity is 9223372036854775807"},
		{first + "\n" + `{"kind":"write","status":200,"body":{"visits":9223372036854775807}}`, "line 2: the response has visits 9223372036854775807"},
		{first + "\n" + `{"kind":"cart","product":"socks","status":200,"body":{"cart":{"socks":-9223372036854775808}}}`, "line 2: the response has socks -9223372036854775808"},
		{first + "\n" + `{"kind":"read","status":200,"body":{"authenticated":true,"user":"` + strings.Repeat("a", 1001) + `","visits":0,"cart":{}}}`,
			"line 2: the response has a user of 1001 bytes"},
		{strings.Replace(first, "1800000000000", "-1", 1), "line 1: idle_ns is -1"},
		{strings.Replace(first, "1800000000000", "9223372036854775807", 1), "line 1: idle_ns is 9223372036854775807"},
		{first + "\n" + `{"kind":"read","status":200,"body":{}}`, "line 2: the response lacks"},
		{first + "\n" + `{"kind":"read","status":200}`, "line 2: the response is not the expected JSON"},
		{first + "\n" + strings.Repeat("x", 2<<20), "reading the history"},
	} {
		if _, err := check.ReadHistory(t.Context(), strings.NewReader(test.text)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%.80q: got %v, want %q", test.text, err, test.want)
		}
	}
}

// hard returns a history of sessions whose linearizability can't be decided within an hour: each of thirty additions may have
// taken effect before the last response, which no order explains.
func hard(sessions int) string {
	requests := []request{open}
	for range 30 {
		requests = append(requests, unanswered(check.Write, 20, 30))
	}
	first, lines, _ := strings.Cut(history(append(requests, read(40, 50, "", 1000, marked))), "\n")
	var b strings.Builder
	b.WriteString(first + "\n")
	for i := range sessions {
		b.WriteString(strings.ReplaceAll(lines, `"visitor":0`, fmt.Sprintf(`"visitor":%d`, i)))
	}
	return b.String()
}

func TestSearchKeepsItsLimits(t *testing.T) {
	replay := must.Get(check.ReadHistory(t.Context(), strings.NewReader(hard(100))))(t)
	for _, limits := range []check.Limits{{Session: time.Hour, Total: 100 * time.Millisecond}, {Session: 10 * time.Millisecond, Total: time.Hour}} {
		if found := replay.CheckLinearizability(t.Context(), limits); found.Sessions != 100 || found.Undecided != 100 || found.Violation != "" {
			t.Errorf("%+v: %+v", limits, found)
		}
	}
}

func TestReadHistoryEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	cancel(why)
	if _, err := check.ReadHistory(ctx, strings.NewReader(hard(1))); err != why {
		t.Errorf("got %v", err)
	}
}

// A server whose clock is set during a session shows a negative or an enormous lifetime.
func TestClocksOfServersMayJump(t *testing.T) {
	for _, expires := range []string{"1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z"} {
		text := strings.ReplaceAll(history([]request{
			open, show(check.Login, 20, 30, name, 0, marked), add(40, 50, 1), read(60, 70, name, 1, marked),
		}), "2026-11-21T10:30:00Z", expires)
		replay, err := check.ReadHistory(t.Context(), strings.NewReader(text))
		if err != nil || replay.Counts != (check.Counts{Total: 1}) {
			t.Errorf("%s: %+v, %v", expires, replay, err)
		}
	}
}

// FuzzHistory reads and checks arbitrary histories.
func FuzzHistory(f *testing.F) {
	f.Add(history([]request{open, add(20, 30, 1), show(check.Login, 40, 50, name, 1, marked), nothing(check.Logout, 60, 70)}))
	f.Add(hard(1))
	f.Fuzz(func(t *testing.T, text string) {
		replay, err := check.ReadHistory(t.Context(), strings.NewReader(text))
		if err == nil {
			replay.CheckLinearizability(t.Context(), check.Limits{Session: 10 * time.Millisecond, Total: 20 * time.Millisecond})
		}
	})
}

// The responses determine which requests a session allows next.
func TestStages(t *testing.T) {
	log := check.NewLog(nil)
	s := check.Checker{RunID: "run", Idle: time.Hour, Log: log}.NewSession(0, 0)
	at := func(ms int) time.Duration { return time.Duration(ms) * time.Millisecond }
	send := func(kind check.Kind, ms int) *check.Op {
		r := check.Request{Kind: kind, Sent: at(ms)}
		if kind == check.Cart {
			r.Product, r.Quantity = check.MarkProduct, 7
		}
		return s.Send(r)
	}
	receive := func(op *check.Op, r request) bool {
		a := check.Response{Status: r.status, Server: "server-1", Received: at(r.received), Error: r.error}
		if r.body != "" {
			must.Succeed(t, a.Parse(r.kind, []byte(r.body)))
		}
		return op.Receive(a)
	}
	stage := func(want check.Stage) {
		t.Helper()
		if got := s.Stage(); got != want {
			t.Errorf("stage %v, want %v", got, want)
		}
	}
	stage(check.Fresh)
	op := send(check.Cart, 0)
	stage(check.Opening)
	receive(op, open)
	stage(check.Open)
	receive(send(check.Write, 20), add(20, 30, 1))
	receive(send(check.Read, 40), read(40, 50, "", 0, marked))
	stage(check.InDoubt)
	receive(send(check.Read, 1060), read(1060, 1070, "", 0, marked))
	stage(check.Confirming)
	if got := s.Confirmation(); got.Kind != check.Write {
		t.Errorf("the confirmation is %+v, want a write", got)
	}
	receive(send(check.Write, 1080), add(1080, 1090, 2))
	stage(check.Open)
	op = send(check.Logout, 1100)
	if late := send(check.Write, 1101); !s.InTransition() || s.InFlight() != 2 || !receive(late, failed(check.Write, 0, 1105, 409)) {
		t.Error("a 409 during a logout is refused, want it accepted")
	}
	receive(op, nothing(check.Logout, 1100, 1110))
	stage(check.LoggedOut)
	receive(send(check.Read, 1120), unanswered(check.Read, 1120, 1130))
	stage(check.LoggedOut)
	receive(send(check.Read, 1140), nothing(check.Read, 1140, 1150))
	stage(check.Done)
	if got := log.Counts(); got != (check.Counts{Total: 1, StaleReads: 2}) || got.Violations() != 2 {
		t.Errorf("got %+v", got)
	}
}
