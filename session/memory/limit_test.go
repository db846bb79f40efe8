package memory_test

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"stateless-servers/session"
	"stateless-servers/session/memory"
)

// A limited store takes no more memory than it was given, and makes room when sessions expire.
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
		t.Errorf("one session too many: %v", err)
	}
	update := session.Update{Now: start, IdleExpires: start.Add(time.Hour)}
	if _, err := store.Update(t.Context(), id(0), update); err != nil {
		t.Errorf("a session that doesn't grow: %v", err)
	}
	update.Changes = []session.Change{{Op: session.OpSet, Key: "note", Value: `"` + strings.Repeat("a", 2000) + `"`}}
	if _, err := store.Update(t.Context(), id(0), update); err == nil {
		t.Errorf("a session that grows: %v", err)
	}
	if _, err := store.End(t.Context(), id(1), session.EndOptions{Now: start}); err != nil {
		t.Errorf("a logout: %v", err)
	}
	for range 100 { // each looks at a few that may have expired
		err = store.Create(t.Context(), id(created+1), record(start.Add(10*time.Minute)))
		if err == nil {
			break
		}
	}
	if err != nil {
		t.Errorf("after the others have expired: %v", err)
	}
}

func live() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}
