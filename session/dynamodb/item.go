package dynamodb

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"stateless-servers/session"
)

// KeyAttribute is the table's partition key.
const KeyAttribute = attributeID

// The attributes of an item. Times are seconds of the Unix epoch, as DynamoDB's TTL wants them, but for created and
// position, which are milliseconds.
//
// A session that has ended has the attribute ended, and neither expires, owner nor position. So every condition of a
// change fails on it, and the index drops it. What is kept of its last state stays under the same names, but for its two
// expiries.
const (
	attributeID       = "id"
	attributeCreated  = "created"
	attributeExpires  = "expires"  // absolutely
	attributeTTL      = "ttl"      // by idling; DynamoDB deletes the item within days after it
	attributeUser     = "user"     // who is logged in
	attributeAgent    = "agent"    // the user agent
	attributeValues   = "values"   // a map; counters are numbers, everything else is JSON in strings
	attributeOwner    = "owner"    // of sessions with a user: the index's partition
	attributePosition = "position" // of sessions with a user: created, the index's order

	attributeEnded       = "ended"        // until when it is remembered that the session has ended; ttl is the same
	attributeKept        = "kept"         // for whom the last state is kept
	attributeKeptExpires = "kept_expires" // the session's expires
	attributeKeptIdle    = "kept_idle"    // the session's ttl

	ownerIndex = "owner"
)

// The values of the attribute kept.
const (
	keptForLogin = "login" // the session was renewed
	keptForMove  = "move"  // the session moves to another store
)

type item = map[string]types.AttributeValue

func encode(id session.ID, r session.Record) item {
	values := make(map[string]types.AttributeValue, len(r.Values))
	for key, value := range r.Values {
		values[key] = encodeValue(value)
	}
	it := item{
		attributeID:      text(id.String()),
		attributeCreated: number(r.Created.UnixMilli()),
		attributeExpires: seconds(r.Expires),
		attributeTTL:     seconds(r.IdleExpires),
		attributeValues:  &types.AttributeValueMemberM{Value: values},
	}
	if r.User != "" {
		it[attributeUser] = text(r.User)
		it[attributeOwner] = text(owner(r.User))
		it[attributePosition] = number(r.Created.UnixMilli())
	}
	if r.UserAgent != "" {
		it[attributeAgent] = text(r.UserAgent)
	}
	return it
}

// decodeOf is decode of the answer to a request about the item of that id. Another item is an error.
func decodeOf(id session.ID, it item, now time.Time) (session.Record, error) {
	if len(it) > 0 && plain(it[attributeID]) != id.String() {
		return session.Record{}, errors.New("the answer has another item than the one asked for")
	}
	return decode(it, now)
}

// decode returns the live session of an item, else session.ErrNotFound or session.ErrEnded.
func decode(it item, now time.Time) (session.Record, error) {
	record, err := decodeHead(it, now)
	if err != nil {
		return session.Record{}, err
	}
	return decodeValues(it, record)
}

// decodeHead is decode without the values, which the item needn't have.
func decodeHead(it item, now time.Time) (session.Record, error) {
	if len(it) == 0 {
		return session.Record{}, session.ErrNotFound
	}
	if ended, ok := it[attributeEnded]; ok {
		if until, err := integer(ended); err != nil || now.Before(time.Unix(until, 0)) {
			return session.Record{}, session.ErrEnded
		}
		return session.Record{}, session.ErrNotFound
	}
	record, err := decodeState(it, attributeExpires, attributeTTL)
	if err == nil && !record.Live(now) {
		err = session.ErrNotFound
	}
	if err != nil {
		return session.Record{}, err
	}
	return record, nil
}

// decodeKept returns what an item keeps of a session that has ended for whom it is kept, and until when. It is false if
// the item keeps nothing for that.
func decodeKept(it item, kept string) (record session.Record, until time.Time, ok bool) {
	if plain(it[attributeKept]) != kept {
		return session.Record{}, time.Time{}, false
	}
	seconds, err := integer(it[attributeEnded])
	if err == nil {
		record, err = decodeState(it, attributeKeptExpires, attributeKeptIdle)
	}
	if err == nil {
		record, err = decodeValues(it, record)
	}
	if err != nil {
		return session.Record{}, time.Time{}, false
	}
	return record, time.Unix(seconds, 0), true
}

// decodeState reads everything but the values. The expiries are in the attributes of these names.
func decodeState(it item, expires, idle string) (session.Record, error) {
	var times [3]int64
	for i, name := range []string{attributeCreated, expires, idle} {
		var err error
		if times[i], err = integer(it[name]); err != nil {
			return session.Record{}, fmt.Errorf("decode attribute %s of a session: %w", name, err)
		}
	}
	return session.Record{
		Created: time.UnixMilli(times[0]), Expires: time.Unix(times[1], 0), IdleExpires: time.Unix(times[2], 0),
		User: plain(it[attributeUser]), UserAgent: plain(it[attributeAgent]),
	}, nil
}

// decodeValues adds the values of an item to its record.
func decodeValues(it item, record session.Record) (session.Record, error) {
	values, _ := it[attributeValues].(*types.AttributeValueMemberM)
	if values == nil {
		return session.Record{}, fmt.Errorf("decode attribute %s of a session: it is no map", attributeValues)
	}
	record.Values = make(map[string]string, len(values.Value))
	for key, value := range values.Value {
		record.Values[key] = plain(value)
	}
	return record, nil
}

// encodeValue makes numbers of what can be a counter, since only numbers can be added to.
func encodeValue(value string) types.AttributeValue {
	n, err := strconv.ParseInt(value, 10, 64)
	if err == nil && -session.MaxCounter <= n && n <= session.MaxCounter && strconv.FormatInt(n, 10) == value {
		return &types.AttributeValueMemberN{Value: value}
	}
	return text(value)
}

// plain is the text of a string or a number, and empty for anything else.
func plain(value types.AttributeValue) string {
	switch value := value.(type) {
	case *types.AttributeValueMemberS:
		return value.Value
	case *types.AttributeValueMemberN:
		return value.Value
	default:
		return ""
	}
}

func text(value string) types.AttributeValue { return &types.AttributeValueMemberS{Value: value} }

func number(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}

func integer(value types.AttributeValue) (int64, error) {
	return strconv.ParseInt(plain(value), 10, 64)
}

// seconds rounds up, so that a session never ends early.
func seconds(t time.Time) types.AttributeValue { return number(ceil(t)) }

func ceil(t time.Time) int64 { return t.Add(time.Second - 1).Unix() }

// owner is the index's partition of a user's sessions. Hashing bounds its length.
func owner(user string) string {
	sum := sha256.Sum256([]byte(user))
	return "user:" + base64.RawURLEncoding.EncodeToString(sum[:])
}
