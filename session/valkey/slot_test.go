package valkey

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"stateless-servers/session"
	"stateless-servers/session/memory"
	"stateless-servers/session/sessiontest"
	"stateless-servers/session/sessiontest/must"
	"stateless-servers/session/sessiontest/storeserver"
)

// The expected value is from the Valkey cluster specification, "Key distribution model".
func TestChecksum(t *testing.T) {
	if got := newCRCTable().checksum([]byte("123456789")); got != 0x31C3 {
		t.Errorf("got %#x, want 0x31c3", got)
	}
}

// The keys are from the Valkey cluster specification, "Hash tags", cut where an id could begin.
func TestHashTag(t *testing.T) {
	for prefix, want := range map[string]bool{
		"{user1000}.following:": true, "foo{}{bar}": false, "foo{{bar}}zap": true, "foo{bar}{zap}": true,
		"session:": false, "": false, "{": false, "}": false, "}{": false, "foo{bar": false, "foo}bar{zap}": true, "{}": false,
	} {
		if got := hasTag(prefix); got != want {
			t.Errorf("prefix %q has a hash tag: %v, want %v", prefix, got, want)
		}
	}
}

// The server of a cluster is asked for the slot of each key.
func TestSameSlot(t *testing.T) {
	node := storeserver.ValkeyCluster(t, 1, 0)[0]
	slot := func(prefix string, id session.ID) int {
		lines := must.Get(storeserver.Query(t.Context(), node, "CLUSTER KEYSLOT "+prefix+id.String()))(t)
		return must.Get(strconv.Atoi(strings.TrimPrefix(lines[0], ":")))(t)
	}
	for _, prefix := range []string{"session:", "s", "{a}:", "a{b}c{d}", "{}:", "{}{x}:", "a{b:", "}{", "{{a}}:"} {
		old := sessiontest.NewID()
		same := sameSlot(prefix, old)
		if same == nil {
			for range 5 {
				if id := sessiontest.NewID(); slot(prefix, id) != slot(prefix, old) {
					t.Errorf("prefix %q: sameSlot is nil, but %v and %v are in different slots", prefix, old, id)
				}
			}
			continue
		}
		if id := sessiontest.NewID(); same(id) != (slot(prefix, id) == slot(prefix, old)) {
			t.Errorf("prefix %q: %v and %v are in the same slot: sameSlot reports %v", prefix, old, id, same(id))
		}
		id := anyIDThat(same)
		if slot(prefix, id) != slot(prefix, old) {
			t.Errorf("prefix %q: sameSlot reports that %v is in the slot of %v", prefix, id, old)
		}
	}
}

// anyIDThat returns an id for which fits is true. After a million draws it returns any id.
func anyIDThat(fits func(session.ID) bool) session.ID {
	id := sessiontest.NewID()
	for n := range uint32(1 << 20) {
		binary.BigEndian.PutUint32(id[:], n)
		if fits == nil || fits(id) {
			break
		}
	}
	return id
}

// A clustered is a store without cost whose ids are constrained as on a cluster.
type clustered struct{ session.Store }

func (clustered) SameSlot(_ context.Context, old session.ID) (func(session.ID) bool, error) {
	return sameSlot("session:", old), nil
}

// BenchmarkSameSlot measures a login. On a cluster it draws about 16,384 ids.
func BenchmarkSameSlot(b *testing.B) {
	for name, store := range map[string]session.Store{"one node": memory.New(), "cluster": clustered{memory.New()}} {
		b.Run(name, func(b *testing.B) {
			manager := must.Get(session.New(store, session.Options{}))(b)
			server := manager.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				must.Succeed(b, session.From(r.Context()).Login(r.Context(), "ada"))
			}))
			cookie := ""
			login := func() {
				r := httptest.NewRequest(http.MethodPost, "/", nil)
				r.Header.Set("Cookie", cookie)
				w := httptest.NewRecorder()
				server.ServeHTTP(w, r)
				set := w.Result().Cookies()
				cookie = fmt.Sprintf("%s=%s", set[0].Name, set[0].Value)
			}
			login() // the id of the first session is not constrained
			b.ReportAllocs()
			for b.Loop() {
				login()
			}
		})
	}
}
