package dynamodb

import (
	"encoding/json"
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"pgregory.net/rapid"

	"stateless-servers/session"
	"stateless-servers/session/sessiontest/must"
)

// Any item under a session's id is decoded or rejected. The inputs are items in DynamoDB's JSON.
func FuzzDecode(f *testing.F) {
	now := time.Unix(2_000_000_000, 0)
	const live = `"created":{"N":"1999999990000"},"expires":{"N":"2000000090"},"ttl":{"N":"2000000010"}`
	for _, seed := range []string{
		`{}`, `{` + live + `}`, `{` + live + `,"values":{"M":{}}}`,
		`{` + live + `,"user":{"S":"ada"},"agent":{"S":"Browser/1.0"},"values":{"M":{"visits":{"N":"7"},"theme":{"S":"\"dark\""}}}}`,
		`{` + live + `,"values":{"M":{"":{"S":""},"list":{"L":[{"N":"1"}]},"null":{"NULL":true},"map":{"M":{"a":{"B":"AA=="}}}}}}`,
		`{` + live + `,"values":{"S":"{}"}}`, `{` + live + `,"values":{"M":{}},"ended":{"N":"2000000060"}}`,
		`{"ended":{"N":"2000000060"},"ttl":{"N":"2000000060"}}`, `{"ended":{"N":"1999999999"}}`, `{"ended":{"BOOL":true}}`,
		`{"created":{"N":"1"},"expires":{"N":"1E+30"},"ttl":{"N":"1.5"}}`, `{"created":{"S":""},"expires":{},"ttl":null}`,
		`{"created":{"N":"-9223372036854775808"},"expires":{"N":"9223372036854775807"},"ttl":{"N":"9223372036854775807"}}`,
		`{"id":{"S":"x"}}`,
		`{"ended":{"N":"2000000060"},"kept":{"S":"move"},"created":{"N":"1"},"kept_expires":{"N":"2"},"kept_idle":{"N":"3"},"values":{"M":{}}}`,
		`{"ended":{"BOOL":true},"kept":{"S":"move"},"kept_expires":{"S":""}}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var stored map[string]map[string]any
		if json.Unmarshal([]byte(text), &stored) != nil {
			return // no item at all
		}
		it := item{}
		for name, value := range stored {
			it[name] = attribute(value)
		}
		var id session.ID
		if len(it) > 0 {
			it[attributeID] = &types.AttributeValueMemberS{Value: id.String()}
		}
		record, err := decodeOf(id, it, now)
		if kept, until, ok := decodeKept(it, keptForMove); ok && (err == nil || kept.Values == nil) {
			t.Errorf("%s is decoded with %v, but keeps %+v until %v", text, err, kept, until)
		}
		// The error of a failed condition contains the item.
		failed := replyError(&types.ConditionalCheckFailedException{Item: it}, id, now, nil)
		if failed == nil || errors.Is(failed, session.ErrCounter) != (err == nil) {
			t.Errorf("%s is decoded with %v, but a failed condition on it gives %v", text, err, failed)
		}
		if err != nil {
			if record.Values != nil || record.User != "" {
				t.Errorf("%s is rejected, but returned %+v", text, record)
			}
			return
		}
		if _, ended := it[attributeEnded]; ended || !record.Live(now) || record.Values == nil {
			t.Errorf("%s has ended or expired, or is empty, but returned %+v", text, record)
		}
	})
}

// attribute decodes a value in DynamoDB's JSON. It returns nil for other types.
func attribute(value map[string]any) types.AttributeValue {
	for kind, value := range value {
		switch value := value.(type) {
		case string:
			if kind == "N" {
				return &types.AttributeValueMemberN{Value: value}
			}
			if kind == "B" {
				return &types.AttributeValueMemberB{Value: []byte(value)}
			}
			return text(value)
		case bool:
			if kind == "NULL" {
				return &types.AttributeValueMemberNULL{Value: value}
			}
			return &types.AttributeValueMemberBOOL{Value: value}
		case []any:
			return &types.AttributeValueMemberL{}
		case map[string]any:
			members := item{}
			for name, member := range value {
				member, _ := member.(map[string]any)
				members[name] = attribute(member)
			}
			return &types.AttributeValueMemberM{Value: members}
		}
	}
	return nil
}

// Every session is loaded as it was stored, with times at most a second later.
func TestAnySession(t *testing.T) {
	anyKey := rapid.StringN(1, 32, 128)
	anyValue := rapid.OneOf(
		rapid.SampledFrom([]string{"0", "-0", "7", "007", "-5", "1.5", "1e3", "null", `""`, "9007199254740991", "9007199254740992"}),
		rapid.String(),
	)
	rapid.Check(t, func(t *rapid.T) {
		now := time.UnixMilli(rapid.Int64Range(0, 4_000_000_000_000).Draw(t, "now"))
		later := func(what string) time.Time {
			return now.Add(time.Duration(1 + rapid.Int64Range(0, int64(365*24*time.Hour)).Draw(t, what)))
		}
		want := session.Record{
			Values: rapid.MapOf(anyKey, anyValue).Draw(t, "values"),
			User:   rapid.String().Draw(t, "user"), UserAgent: rapid.String().Draw(t, "agent"),
			Created: now, Expires: later("expires"), IdleExpires: later("idle expires"),
		}
		it := encode(session.ID{1}, want)
		got := must.Get(decode(it, now))(t)
		if !maps.Equal(got.Values, want.Values) || got.User != want.User || got.UserAgent != want.UserAgent ||
			!got.Created.Equal(want.Created) {
			t.Fatalf("got %+v, want %+v", got, want)
		}
		for _, times := range [][2]time.Time{{got.Expires, want.Expires}, {got.IdleExpires, want.IdleExpires}} {
			if late := times[0].Sub(times[1]); late < 0 || late >= time.Second {
				t.Fatalf("got time %v for %v: allowed is up to a second later", times[0], times[1])
			}
		}
		if _, listed := it[attributeOwner]; listed != (want.User != "") {
			t.Fatalf("user %q: the session is in the index: %t", want.User, listed)
		}
		for key, value := range want.Values {
			// A value is a number if and only if it is a counter.
			_, number := it[attributeValues].(*types.AttributeValueMemberM).Value[key].(*types.AttributeValueMemberN)
			_, err := session.Apply(map[string]string{key: value}, []session.Change{{Op: session.OpAdd, Key: key}})
			if number != (err == nil) && value != "" {
				t.Fatalf("%q is stored as a number: %t, but as a counter: %v", value, number, err)
			}
		}
	})
}

// The error of a failed condition says which one it was, even if the item has changed before it was read.
func TestFailedConditionOfALiveSession(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	id := session.ID{1}
	it := encode(id, session.Record{
		Values:  map[string]string{"flash": `"saved"`, "text": `"x"`},
		Created: now, Expires: now.Add(time.Hour), IdleExpires: now.Add(time.Hour),
	})
	removal := func(value string) session.Change {
		return session.Change{Op: session.OpRemove, Key: "flash", Value: value}
	}
	for _, test := range []struct {
		changes []session.Change
		want    error
	}{
		{[]session.Change{removal(`"other"`)}, session.ErrChanged},
		{[]session.Change{removal(`"saved"`)}, session.ErrChanged},
		{[]session.Change{{Op: session.OpAdd, Key: "text", N: 1}}, session.ErrCounter},
		{[]session.Change{{Op: session.OpAdd, Key: "n", N: 1}}, session.ErrCounter},
		{[]session.Change{removal(`"saved"`), {Op: session.OpAdd, Key: "text", N: 1}}, session.ErrCounter},
	} {
		if err := replyError(&types.ConditionalCheckFailedException{Item: it}, id, now, test.changes); !errors.Is(err, test.want) {
			t.Errorf("%+v: got %v, want %v", test.changes, err, test.want)
		}
	}
}
