package valkey_test

import (
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"stateless-servers/session"
	"stateless-servers/session/revocation"
	"stateless-servers/session/sessiontest"
	"stateless-servers/session/sessiontest/must"
	"stateless-servers/session/sessiontest/storeserver"
	"stateless-servers/session/valkey"
)

func TestRevocations(t *testing.T) {
	sessiontest.RunList(t, open(t, storeserver.ForTest(t, storeserver.Valkey).Addr).Revocations())
}

func TestRevocationsOnCluster(t *testing.T) {
	sessiontest.RunList(t, open(t, storeserver.ValkeyCluster(t, 3, 0)[1].Addr).Revocations())
}

// TestRevocationsEmbedded runs the suite on miniredis, which the lab uses if there is no real server. With -short, TestRevocations
// runs it on a real server.
func TestRevocationsEmbedded(t *testing.T) {
	sessiontest.Long(t)
	sessiontest.RunList(t, open(t, miniredis.RunT(t).Addr()).Revocations())
}

// An entry is deleted after the session has expired by every clock, and not before.
func TestExpiredRevocationsAreDeleted(t *testing.T) {
	list := newStore(t, valkey.Options{Address: storeserver.ForTest(t, storeserver.Valkey).Addr, Prefix: "expiry:"}).Revocations()
	start := time.Now().Truncate(time.Second)
	add := func(at, expires time.Time) session.ID {
		entry := revocation.Entry{At: at, Expires: expires}
		rand.Read(entry.ID[:])
		must.Get(list.Add(t.Context(), entry))(t)
		return entry.ID
	}
	first := add(start, start.Add(time.Hour))
	contains := func() bool {
		page, _, err := list.Page(t.Context(), time.Time{}, "")
		must.Succeed(t, err)
		for _, entry := range page {
			if entry.ID == first {
				return true
			}
		}
		return false
	}
	add(start, start.Add(2*time.Hour))
	add(start.Add(time.Hour+session.MaxClockSkew), start.Add(3*time.Hour))
	if !contains() {
		t.Error("the entry is gone while the session may be live by another clock")
	}
	add(start.Add(time.Hour+session.MaxClockSkew+time.Second), start.Add(3*time.Hour))
	if contains() {
		t.Error("the entry is still there after the session has expired, want it deleted")
	}
}

// BenchmarkRevocations adds an entry per iteration and reports the bytes that each takes in Valkey.
func BenchmarkRevocations(b *testing.B) {
	server := storeserver.OwnForTest(b, storeserver.Valkey)
	store := valkey.New(valkey.Options{Address: server.Addr})
	b.Cleanup(store.Close)
	list := store.Revocations()
	now := time.Now()
	for b.Loop() {
		entry := revocation.Entry{At: now, Expires: now.Add(24 * time.Hour)}
		rand.Read(entry.ID[:])
		must.Get(list.Add(b.Context(), entry))(b)
		now = now.Add(time.Millisecond)
	}
	sum := int64(0)
	for _, key := range []string{"session:{revoked}:at", "session:{revoked}:expires"} {
		reply := must.Get(storeserver.Query(b.Context(), server, "MEMORY USAGE "+key+" SAMPLES 0"))(b)
		sum += atoi(strings.TrimPrefix(reply[0], ":"))
	}
	b.ReportMetric(float64(sum)/float64(b.N), "storedB/entry")
	b.ReportMetric(0, "ns/op")
}
