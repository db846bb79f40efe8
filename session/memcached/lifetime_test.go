package memcached

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"stateless-servers/session"
	"stateless-servers/session/sessiontest/must"
	"stateless-servers/session/sessiontest/storeserver"
)

func TestLifetime(t *testing.T) {
	const month = 30 * 24 * time.Hour
	now := time.Unix(1_800_000_000, 500)
	tests := []struct {
		now  time.Time
		left time.Duration
		want int32
	}{
		{now, time.Minute, 120},
		{now, time.Minute + 1, 121},
		{now, -time.Hour, 1}, // 0 would mean no expiry
		{now, month - time.Minute - time.Second, 2_591_999},
		{now, month - time.Minute, 1_800_000_000 + 2_592_000 + 1},
		{now, month, 1_800_000_000 + 2_592_060 + 1},
		{time.Unix(2_147_483_000, 0), time.Hour, 3660},
		{time.Unix(2_147_483_000, 0), 2 * month, 2_592_000},
	}
	for _, test := range tests {
		if got := lifetime(test.now, test.now.Add(test.left)); got != test.want {
			t.Errorf("%v from %d: got %d, want %d", test.left, test.now.Unix(), got, test.want)
		}
	}
}

// The server must interpret the expiration as intended.
func TestItemLifetimeOnTheServer(t *testing.T) {
	server := storeserver.ForTest(t, storeserver.Memcached)
	store := must.Get(New(Options{Addresses: []string{server.Addr}}))(t)
	t.Cleanup(func() { store.Close() })
	now := time.Now()
	check := func(id session.ID, want time.Duration) {
		t.Helper()
		if got := left(t, server.Addr, store.key(id)) - want; got < -2*time.Second || got > time.Minute+2*time.Second {
			t.Errorf("the server keeps the item %v longer than %v, want up to a minute", got, want)
		}
	}
	const day = 24 * time.Hour
	for i, span := range []time.Duration{time.Hour, 29 * day, 30 * day, 31 * day, 365 * day} {
		id := session.ID{byte(i)}
		record := session.Record{Created: now, Expires: now.Add(span), IdleExpires: now.Add(2 * span)}
		must.Succeed(t, store.Create(t.Context(), id, record))
		check(id, span)
		must.Get(store.Update(t.Context(), id, session.Update{Now: now, IdleExpires: now.Add(span / 2)}))(t)
		check(id, span/2)
		must.Get(store.End(t.Context(), id, session.EndOptions{Now: now}))(t)
		check(id, session.EndedFor)
	}
}

// left returns the time for which the server will keep an item.
func left(t *testing.T, addr, key string) time.Duration {
	t.Helper()
	conn := must.Get(net.Dial("tcp", addr))(t)
	defer conn.Close()
	fmt.Fprintf(conn, "mg %s t\r\n", key)
	line := must.Get(bufio.NewReader(conn).ReadString('\n'))(t)
	var seconds int
	if _, err := fmt.Sscanf(strings.TrimSpace(line), "HD t%d", &seconds); err != nil {
		t.Fatalf("the server replied %q to the query of an item's time", line)
	}
	return time.Duration(seconds) * time.Second
}
