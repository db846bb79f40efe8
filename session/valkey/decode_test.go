package valkey

import (
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"pgregory.net/rapid"

	"stateless-servers/session"
	"stateless-servers/session/sessiontest/must"
)

// Any hash under a session's key is decoded or rejected.
func FuzzDecode(f *testing.F) {
	now := time.UnixMilli(2_000_000_000_000)
	const live = "@created=1999999990000\n@expires=2000000090000\n@idle=2000000010000\n"
	for _, seed := range []string{
		"", live, live + "@user=ada\n@agent=Browser/1.0\nvisits=7\ncart/tea=-1\ntheme=\"dark\"\n",
		live + "@future=of a newer server\n@=\nempty=\n", live + "@ended=2000000060000", live + "@ended=", live + "=0\n",
		"@ended=2000000060000", "@ended=1999999999999", "@ended=soon", "visits=7",
		"@created=1999999990000\n@expires=2000000000000\n@idle=2000000010000", "@created=\n@expires=\n@idle=",
		"@created=-9223372036854775808\n@expires=9223372036854775807\n@idle=9223372036854775807",
		"@created=1\n@expires=99999999999999999999\n@idle=2e12", "@created=0x10\n@expires= 1\n@idle=+1\n\xff=\xfe",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		stored := map[string]string{}
		for line := range strings.Lines(text) {
			field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
			stored[field] = value
		}
		record, err := decode(stored, now)
		if len(stored) > 0 && !strings.Contains(text, separator) {
			again, errAgain := decodeReply(asText(stored))
			if err == nil && (errAgain != nil || !reflect.DeepEqual(again, record)) {
				t.Errorf("as a script's reply, %q is decoded as %+v, %v; want %+v", text, again, errAgain, record)
			}
		}
		if err != nil {
			if record.Values != nil || record.User != "" {
				t.Errorf("%q is rejected, but returned %+v", text, record)
			}
			return
		}
		if _, ended := stored[fieldEnded]; ended || !record.Live(now) {
			t.Errorf("%q has ended or expired, but returned %+v", text, record)
		}
		for key, value := range record.Values {
			if strings.HasPrefix(key, "@") || stored[key] != value {
				t.Errorf("%q is decoded with the value %q=%q", text, key, value)
			}
		}
	})
}

// asText encodes a hash as the scripts do.
func asText(fields map[string]string) string {
	var list []string
	for field, value := range fields {
		list = append(list, field, value)
	}
	return strings.Join(list, separator)
}

// Any other reply is rejected, and decoded values were in the reply.
func FuzzDecodeReply(f *testing.F) {
	const live = "@created|1999999990000|@expires|2000000090000|@idle|2000000010000"
	for _, seed := range []string{
		"", live, live + "|visits|7", live + "|visits", live + "||", "|", "||", "a|b", "@created|1", live + "|@user|ada", "stored",
	} {
		f.Add(strings.ReplaceAll(seed, "|", separator))
	}
	f.Fuzz(func(t *testing.T, text string) {
		record, err := decodeReply(text)
		if err != nil {
			return
		}
		if strings.Count(text, separator)%2 == 0 {
			t.Errorf("%q has a field without a value, but is decoded as %+v", text, record)
		}
		for key, value := range record.Values {
			if !strings.Contains(text, key+separator+value) {
				t.Errorf("%q is decoded with the value %q=%q", text, key, value)
			}
		}
	})
}

func TestReplyThatIsNoHash(t *testing.T) {
	for _, text := range []string{"", "x", "a" + separator + "b" + separator + "c"} {
		if _, err := decodeReply(text); !errors.Is(err, errMissingValue) {
			t.Errorf("%q: %v, want %v", text, err, errMissingValue)
		}
	}
}

// Every session is loaded as it was stored, and updates have the same effect as session.Apply.
func TestAnySession(t *testing.T) {
	store := New(Options{Address: miniredis.RunT(t).Addr()})
	t.Cleanup(store.Close)
	rapid.Check(t, func(t *rapid.T) {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		start := time.Now().Truncate(time.Millisecond)
		later := func(what string) time.Time {
			return start.Add(time.Hour + time.Duration(rapid.Int64Range(0, 1<<40).Draw(t, what))*time.Millisecond)
		}
		want := session.Record{
			Values: rapid.MapOf(anyKey, anyValue).Draw(t, "values"),
			User:   rapid.String().Draw(t, "user"), UserAgent: rapid.String().Draw(t, "agent"),
			Created: start, Expires: later("expires"), IdleExpires: later("idle expires"), IdleTimeout: anyTimeout.Draw(t, "idle timeout"),
		}
		var id session.ID
		rand.Read(id[:])
		must.Succeed(t, store.Create(ctx, id, want))
		update := session.Update{Now: start, IdleExpires: later("new idle expires")}
		for _, key := range rapid.SliceOfDistinct(rapid.OneOf(anyKey, rapid.SampledFrom(keys(want))), rapid.ID).Draw(t, "changed") {
			change := session.Change{
				Op:    rapid.SampledFrom([]session.Op{session.OpSet, session.OpRemove, session.OpAdd}).Draw(t, "operation"),
				Key:   key,
				Value: anyValue.Draw(t, "value"),
				N: rapid.OneOf(
					rapid.SampledFrom([]int64{0, 1, session.MaxCounter + 1, session.MaxCounter + 5, -session.MaxCounter - 5}),
					rapid.Int64Range(-session.MaxCounter, session.MaxCounter),
				).Draw(t, "n"),
			}
			if change.Op == session.OpRemove { // conditional or not
				change.Value = rapid.SampledFrom([]string{"", want.Values[key], change.Value}).Draw(t, "condition")
			}
			update.Changes = append(update.Changes, change)
		}
		expect(t, "load", want)(store.Load(ctx, id, start))
		values, refused := session.Apply(want.Values, update.Changes)
		if refused == nil {
			want = update.Extend(want)
			want.Values = values
			expect(t, "update", want)(store.Update(ctx, id, update))
		} else if _, err := store.Update(ctx, id, update); !errors.Is(err, session.ErrCounter) && !errors.Is(err, session.ErrChanged) {
			t.Fatalf("update: got %v, want %v", err, refused)
		}
		expect(t, "load after the update", want)(store.Load(ctx, id, start))
		next := session.Renewal{Old: id, Now: start, Record: session.Record{
			User: rapid.SampledFrom([]string{"", want.User, "bob"}).Draw(t, "new user"), UserAgent: rapid.String().Draw(t, "new agent"),
			Created: start, Expires: later("renewed expires"), IdleExpires: later("renewed idle expires"),
			IdleTimeout: anyTimeout.Draw(t, "renewed idle timeout"),
		}, KeepValues: rapid.Bool().Draw(t, "keep values")}
		fits := must.Get(store.SameSlot(ctx, id))(t)
		next.New = anyIDThat(fits)
		want = next.Renewed(want)
		expect(t, "renew", want)(store.Renew(ctx, next))
		expect(t, "renew again", want)(store.Renew(ctx, next))
		expect(t, "end to move", want)(store.End(ctx, next.New, session.EndOptions{Now: start, Moving: true}))
		expect(t, "end to move again", want)(store.End(ctx, next.New, session.EndOptions{Now: start.Add(time.Second), Moving: true}))
	})
}

var (
	anyKey = rapid.OneOf(
		rapid.SampledFrom([]string{"visits", "cart/tea", "theme", "a.b", "-", "0", "\x00", "ünïcode"}),
		rapid.StringN(1, 32, 128).Filter(func(key string) bool { return key != "" && key[0] != '@' }),
	)
	anyValue = rapid.OneOf(
		rapid.SampledFrom([]string{"0", "-0", "7", "007", "-5", "1.5", "1e3", "null", `""`, "9007199254740991", "9007199254740992"}),
		rapid.StringN(1, -1, -1),
	)
	anyTimeout = rapid.SampledFrom([]time.Duration{0, time.Second, 7 * 24 * time.Hour})
)

// keys returns a session's keys and an additional one, so that it is never empty.
func keys(r session.Record) []string {
	return append(slices.Sorted(maps.Keys(r.Values)), "visits")
}

func expect(t *rapid.T, call string, want session.Record) func(session.Record, error) {
	return func(got session.Record, err error) {
		if err != nil {
			t.Fatalf("%s: %v", call, err)
		}
		if !maps.Equal(got.Values, want.Values) || got.User != want.User || got.UserAgent != want.UserAgent ||
			!got.Created.Equal(want.Created) || !got.Expires.Equal(want.Expires) || !got.IdleExpires.Equal(want.IdleExpires) ||
			got.IdleTimeout != want.IdleTimeout {
			t.Fatalf("%s: got %+v, want %+v", call, got, want)
		}
	}
}
