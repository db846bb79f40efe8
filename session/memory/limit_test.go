package memory_test

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"stateless-servers/session"
	"stateless-servers/session/memory"
)

// A limited store stays within its limit and reuses the memory of expired sessions.
func TestLimit(t *testing.T) {
	const limit = 16 << 20
	start := time.Now()
	record := func(now time.Time) session.Record {
		return session.Record{
			Values: map[string]string{"visits": "1", "cart.coffee": "2"}, UserAgent: "Mozilla/5.0 (X11; Linux x86_64)",
			Created: now, Expires: now.Add(time.Hour), IdleExpires: now.Add(time.Minute),
		}
	}
	id := func(i int) session.ID { return session.ID{byte(i), byte(i >> 8), byte(i >> 16), 1} }
	before := live()
	store := memory.NewLimited(limit)
	created, err := 0, error(nil)
	for ; err == nil && created < limit; created++ {
		err = store.Create(t.Context(), id(created), record(start))
	}
	created--
	if took := live() - before; took > limit || took < limit/8 {
		t.Errorf("%d sessions take %d bytes, want at most %d", created, took, limit)
	}
	if err == nil {
		t.Errorf("create beyond the limit: got %v, want an error", err)
	}
	update := session.Update{Now: start, IdleExpires: start.Add(time.Hour)}
	if _, err := store.Update(t.Context(), id(0), update); err != nil {
		t.Errorf("update that doesn't grow the session: %v", err)
	}
	update.Changes = []session.Change{{Op: session.OpSet, Key: "note", Value: `"` + strings.Repeat("a", 2000) + `"`}}
	if _, err := store.Update(t.Context(), id(0), update); err == nil {
		t.Errorf("update that grows the session: got %v, want an error", err)
	}
	if _, err := store.End(t.Context(), id(1), session.EndOptions{Now: start}); err != nil {
		t.Errorf("end: %v", err)
	}
	for range 100 { // each call checks a few entries
		err = store.Create(t.Context(), id(created+1), record(start.Add(10*time.Minute)))
		if err == nil {
			break
		}
	}
	if err != nil {
		t.Errorf("create after the others have expired: %v", err)
	}
}

func live() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}
